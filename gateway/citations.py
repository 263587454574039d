"""Which files an answer names, of those that a search has shown to the model: `file_citation` annotations."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, cast

from gateway.history import kinds_of
from gateway.items import Item, Message, Text, ToolResult


def cited(message: Message, seen: Sequence[Item]) -> Message:
    """The message with a citation where it first names a file that the model has `seen` passages of.

    `index` is the place right behind the name, in characters of the text.
    """
    if ToolResult not in kinds_of(seen):
        return message
    files = sorted({str(passage.get("file", "")) for passage in passages_in(seen)} - {""})
    if not files:
        return message
    parts = [
        replace(part, annotations=(*part.annotations, *citations(part.text, files))) if isinstance(part, Text) else part
        for part in message.content
    ]
    return replace(message, content=tuple(parts))


def citations(text: str, files: Iterable[str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for file in files:
        name = file.rpartition("/")[2]
        # Models name a file with its folder or without.
        if (place := text.find(name)) >= 0:
            found.append({"type": "file_citation", "file_id": file, "filename": name, "index": place + len(name)})
    return sorted(found, key=lambda note: note["index"])


def passages_in(items: Iterable[Item]) -> list[dict[str, Any]]:
    """The passages that searches among these items found (see `ToolResult.structured`)."""
    found: list[dict[str, Any]] = []
    for item in items:
        passages: object = item.structured.get("passages") if isinstance(item, ToolResult) else None
        listed = cast("list[object]", passages) if isinstance(passages, list) else []
        found += [cast("dict[str, Any]", one) for one in listed if isinstance(one, dict)]
    return found
