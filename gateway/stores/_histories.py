"""Histories of the branches in use, so that the next turn of a long conversation reads nothing.

A cache of committed rows and nothing else: every change to it is made after the COMMIT it reflects, on the
event loop, in commit order. A turn that is missing here is read from the database.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.items import Item


@dataclass(slots=True)
class _Branch:
    """Items of one line of turns, oldest first; each of its `turns` sees a prefix. Only ever appended to."""

    items: list[Item]
    size: int
    turns: int = 0


class Histories:
    """At most `max_turns` turns and about `max_bytes` of serialised items; the longest unused go first."""

    def __init__(self, *, max_turns: int = 4096, max_bytes: int = 64 << 20) -> None:
        self._max_turns = max_turns
        self._max_bytes = max_bytes
        self._bytes = 0
        self._turns: OrderedDict[str, tuple[_Branch, int]] = OrderedDict()
        self._reads: dict[str, object] = {}

    def get(self, turn_id: str) -> list[Item] | None:
        """The history up to and including this turn, a list of the caller's own; None when it is not here."""
        entry = self._turns.get(turn_id)
        if entry is None:
            return None
        self._turns.move_to_end(turn_id)
        branch, end = entry
        return branch.items[:end]

    def begun(self, turn_id: str, parent: str | None, items: Sequence[Item], size: int) -> None:
        """A turn with this input was committed after `parent`; `size` is in serialised bytes."""
        if parent is None:
            self._put(turn_id, _Branch(list(items), size))
        elif (entry := self._turns.get(parent)) is not None:
            self._grow(turn_id, *entry, items, size)

    def added(self, turn_id: str, items: Sequence[Item], size: int) -> None:
        """More items of this turn were committed."""
        self._reads.pop(turn_id, None)
        entry = self._turns.get(turn_id)
        if entry is not None and items:
            self._grow(turn_id, *entry, items, size)

    def reading(self, turn_id: str) -> object:
        """Say that a read of this turn begins; hand the token to `read`."""
        token = self._reads[turn_id] = object()
        return token

    def read(self, turn_id: str, token: object, items: Sequence[Item], size: int) -> None:
        """Keep what was read, unless something was committed to it since, or the read failed (`items` empty)."""
        if self._reads.get(turn_id) is token:
            del self._reads[turn_id]
            if items:
                self._put(turn_id, _Branch(list(items), size))

    def forget(self, turn_id: str) -> None:
        self._reads.pop(turn_id, None)
        self._drop(turn_id)

    def clear(self) -> None:
        self._turns.clear()
        self._reads.clear()
        self._bytes = 0

    def _grow(self, turn_id: str, branch: _Branch, end: int, items: Sequence[Item], size: int) -> None:
        if end != len(branch.items):
            # Another turn already went on from here: this one is a fork and gets its own list.
            branch = _Branch(branch.items[:end], branch.size)
            self._put(turn_id, branch)
        branch.items.extend(items)
        branch.size += size
        if branch.turns:
            self._bytes += size
        self._put(turn_id, branch)

    def _put(self, turn_id: str, branch: _Branch) -> None:
        branch.turns += 1
        if branch.turns == 1:
            self._bytes += branch.size
        self._drop(turn_id)
        self._turns[turn_id] = branch, len(branch.items)
        while len(self._turns) > self._max_turns or self._bytes > self._max_bytes:
            self._drop(next(iter(self._turns)))

    def _drop(self, turn_id: str) -> None:
        entry = self._turns.pop(turn_id, None)
        if entry is not None:
            branch = entry[0]
            branch.turns -= 1
            if not branch.turns:
                self._bytes -= branch.size
