"""Conversations in use, so that a turn of one need not ask the database where it goes on.

A cache of committed rows, like the histories: it changes on the event loop, after the COMMIT that it reflects and in
commit order. What was read just before such a change holds what the change will say again.
"""

from collections import OrderedDict
from dataclasses import replace

from gateway.storage import Conversation


class Conversations:
    """At most `most` of them, each a few kilobytes with its metadata; the longest unused goes first."""

    def __init__(self, *, most: int = 4096) -> None:
        self._most = most
        self._known: OrderedDict[str, Conversation] = OrderedDict()

    def get(self, id: str) -> Conversation | None:
        if (known := self._known.get(id)) is not None:
            self._known.move_to_end(id)
        return known

    def put(self, conversation: Conversation) -> None:
        """This is how it is now."""
        self._known[conversation.id] = conversation
        if len(self._known) > self._most:
            self._known.popitem(last=False)

    def moved(self, id: str, newest: str) -> None:
        """A turn was stored as its newest."""
        if (known := self._known.get(id)) is not None:
            self._known[id] = replace(known, newest=newest)

    def forget(self, id: str) -> None:
        self._known.pop(id, None)
