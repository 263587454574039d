"""What the parts of a chunk must be made of. Vendors, and whatever stands between, may send any JSON anywhere.

Only what the decoder reads is looked at; what is empty or null is as good as left out.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, cast

import orjson

Json = dict[str, Any]

MOST_COUNTED = 2**53
"""Tokens; what every reader of JSON can hold."""

DEEPEST = 100
"""Lists and objects in each other, in a value that is kept as it came. pydantic reads 200."""


class WrongShape(ValueError):
    """A value is not of the kind that its place is for."""


def delta_size(delta: Any) -> int:
    """Roughly the characters that a delta holds. Raises WrongShape."""
    size = 0
    for name, value in mapping(delta).items():
        if value and (measure := MEASURES.get(name)):
            size += measure(value)
    return size


def mapping(value: Any) -> Json:
    if isinstance(value, dict):
        # Not `cast`: it is a call, for every part of every chunk.
        return value  # pyright: ignore[reportUnknownVariableType]
    raise WrongShape


def objects(value: Any) -> list[Json]:
    if isinstance(value, list):
        return [mapping(inner) for inner in cast(list[Any], value)]
    raise WrongShape


def text_size(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    raise WrongShape


def json_size(value: Any) -> int:
    """Of a value that is kept as it came. What is nested deeper than a store or a later request can take cannot be."""
    try:
        text = orjson.dumps(value)
        if text.count(b"[") + text.count(b"{") > DEEPEST:
            # orjson writes 254 levels.
            for _ in range(254 - DEEPEST):
                value = [value]
            orjson.dumps(value)
    except orjson.JSONEncodeError as error:
        raise WrongShape from error
    return len(text)


def blocks_size(value: Any) -> int:
    return json_size(objects(value))


def content_size(content: Any) -> int:
    if isinstance(content, str):
        return len(content)
    size = 0
    for part in objects(content):
        size += text_size(part.get("text") or "")
        inner = part.get("thinking") or ""
        if isinstance(inner, str):
            size += len(inner)
        else:
            size += sum(text_size(piece.get("text") or "") for piece in objects(inner))
    return size


def calls_size(calls: Any) -> int:
    size = 0
    for call in objects(calls):
        function = mapping(call.get("function") or {})
        arguments = function.get("arguments") or ""
        size += text_size(call.get("id") or "") + text_size(function.get("name") or "")
        size += len(arguments) if isinstance(arguments, str) else json_size(arguments)
        if extra := call.get("extra_content"):
            size += json_size(extra)
    return size


MEASURES: Mapping[str, Callable[[Any], int]] = MappingProxyType(
    {
        "content": content_size,
        "refusal": text_size,
        "annotations": blocks_size,
        "reasoning_content": text_size,
        "reasoning_details": blocks_size,
        "thinking_blocks": blocks_size,
        "tool_calls": calls_size,
    }
)


def counted(*values: Any) -> int:
    """The first of the counts that says anything. An answer is not lost for what its usage looks like."""
    for value in values:
        if isinstance(value, int | float) and 0 < value <= MOST_COUNTED:
            return int(value)
    return 0


def joined_blocks(blocks: list[Json]) -> list[Json]:
    """Thinking blocks streamed in pieces, as the vendor wants them back: whole, the signature with its text.

    A piece continues the block before it if it has the same type and index, and that one has no signature yet.
    """
    whole: list[Json] = []
    for block in blocks:
        last = whole[-1] if whole else None
        if (
            last is None
            or last.get("type") != block.get("type")
            or last.get("index") != block.get("index")
            or last.get("signature")
            or "data" in block
        ):
            whole.append(dict(block))
            continue
        for key, value in block.items():
            if key in ("thinking", "text", "summary") and isinstance(value, str):
                before = last.get(key)
                last[key] = before + value if isinstance(before, str) else value
            elif value:
                last[key] = value
    return whole
