"""How much a request body may hold, so that reading it costs a bounded time and memory whatever is in it."""

from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from gateway.errors import InvalidRequest

Element = TypeVar("Element")

Several = Annotated[list[Element], Field(fail_fast=True)]
"""A list of a body. Only its first error is looked for: a million of them would not fit into memory."""
MOST_ITEMS = 10_000
"""Messages or items of one request. OpenAI takes 2048 messages; other providers take more."""
MOST_PARTS = 1_000
"""Parts of one message's content."""
MOST_TOOLS = 512
"""OpenAI takes 128; other providers take more."""
LARGEST = 2**63 - 1
"""The largest integer that everything a request passes through can hold."""
MOST_VALUES = 100_000
"""Values in one body, of any kind. Those cost some 50 ms and 50 MB; 20 MB of empty objects hold 70 times as many."""


class StrictModel(BaseModel):
    """A body, or a part of one, whose values are of the types that they should be: `"2"` is no number, `1` no truth."""

    model_config = ConfigDict(strict=True)


def refuse_too_many_values(body: bytes | bytearray, most: int = MOST_VALUES) -> None:
    """Raises InvalidRequest before anything is made of the values. What is in a string counts as one, of any length."""
    if separators(body) <= most:
        return
    # Only now is it worth looking which of them are in strings: between quotes that are not escaped.
    plain = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    if plain.count(b'"') > 4 * most or separators(b"".join(plain.split(b'"')[::2])) > most:
        raise InvalidRequest(
            f"The request body holds more than {most} JSON values.", code="object_above_max_properties"
        )


def separators(text: bytes | bytearray) -> int:
    """One less than the values in it, at most."""
    return text.count(b",") + text.count(b"[") + text.count(b"{")
