"""Ids of tool calls that are short and new, whatever a vendor calls them."""

import secrets
from collections.abc import Sequence

from gateway.items import Item, ToolCall

LONGEST_CALL_ID = 64
"""Characters; OpenAI's own limit for `call_id`."""


class CallIds:
    """`items` are the history: an id in it is not given to another call."""

    __slots__ = ("_items", "_taken")

    def __init__(self, items: Sequence[Item]) -> None:
        self._items = items
        self._taken: set[str] | None = None

    def free(self, wire_id: str) -> str:
        """The vendor's id if it is short and new. llama.cpp and others count from zero in every answer."""
        if self._taken is None:
            self._taken = {item.call_id for item in self._items if isinstance(item, ToolCall)}
        if not wire_id or len(wire_id) > LONGEST_CALL_ID or wire_id in self._taken:
            wire_id = f"call_{secrets.token_hex(12)}"
        self._taken.add(wire_id)
        return wire_id
