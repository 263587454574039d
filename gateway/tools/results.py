"""Turns the content of an MCP tool result into the parts of an item, cut to a size that a model can take."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from mcp import types

from gateway.items import Image, Part, Text

MAX_TEXT = 200_000
"""Characters of text kept of one result: about 50 000 tokens, more than half of the context of common models."""
MAX_IMAGE = 8 * 2**20
"""Characters of base64 kept of one image; providers accept 5 to 20 MB."""


def parts_of(content: Sequence[types.ContentBlock], structured: Any) -> tuple[Part, ...]:
    """Text stays text, images become data: URLs, resources their text; what no model can read becomes a note.

    The structured content stands in when there is nothing else to show.
    """
    parts = [_part(block) for block in content]
    if not any(part.text if isinstance(part, Text) else part for part in parts) and structured is not None:
        parts = [Text(text=json.dumps(structured, ensure_ascii=False, default=str))]
    return tuple(_cut(parts))


def _part(block: types.ContentBlock) -> Text | Image:
    match block:
        case types.TextContent():
            return Text(text=_clean(block.text))
        case types.ImageContent():
            return _image(block.mime_type, block.data)
        case types.AudioContent():
            return Text(text=_note("audio", block.mime_type, block.data))
        case types.ResourceLink():
            described = f": {block.description}" if block.description else ""
            return Text(text=_clean(f"{block.title or block.name} <{block.uri}>{described}"))
        case types.EmbeddedResource():
            resource = block.resource
            if isinstance(resource, types.TextResourceContents):
                return Text(text=_clean(resource.text))
            kind = resource.mime_type or "application/octet-stream"
            return (
                _image(kind, resource.blob)
                if kind.startswith("image/")
                else Text(text=_note("file", kind, resource.blob))
            )


def _image(mime_type: str, data: str) -> Text | Image:
    if len(data) > MAX_IMAGE:
        return Text(text=_note("image", mime_type, data))
    return Image(url=f"data:{mime_type};base64,{data}")


def _note(what: str, mime_type: str, data: str) -> str:
    return f"[{what} of type {mime_type}, {len(data) * 3 // 4} bytes, not shown]"


def _cut(parts: Iterable[Text | Image]) -> Iterable[Part]:
    """Keeps what fits and says what is missing, so that neither the model nor a reader takes a piece for the whole."""
    left, images = MAX_TEXT, MAX_IMAGE
    lost = 0
    for part in parts:
        if isinstance(part, Image):
            images -= len(part.url)
            yield part if images >= -100 else Text(text="[one more image, not shown]")
            continue
        kept = part.text[:left]
        left -= len(kept)
        lost += len(part.text) - len(kept)
        if kept or not part.text:
            yield Text(text=kept)
    if lost:
        yield Text(text=f"\n[The result was cut here: {lost} more characters are not shown. Ask for less at a time.]")


def _clean(text: str) -> str:
    """Without halves of surrogate pairs, which no database and no wire takes (file names can hold them)."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
