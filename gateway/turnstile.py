"""Lets the turns of each conversation through one at a time, in the order in which they came."""

import asyncio
from collections import deque

from gateway.errors import ConversationLocked


class Turnstile:
    """`enter` before, `leave` after. For one event loop."""

    def __init__(self) -> None:
        # A conversation that somebody is in, and who waits for it.
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    async def enter(self, conversation: str, *, wait: bool = True) -> None:
        """Returns when nobody else is in this conversation. With `wait` false, raises ConversationLocked instead."""
        waiting = self._waiting.get(conversation)
        if waiting is None:
            self._waiting[conversation] = deque()
            return
        if not wait:
            raise ConversationLocked(param="conversation")
        turn = asyncio.get_running_loop().create_future()
        waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                # It was let in and called away in the same moment.
                self.leave(conversation)
            raise

    def busy(self, conversation: str) -> bool:
        """Whether somebody is in it."""
        return conversation in self._waiting

    def leave(self, conversation: str) -> None:
        """Let the next one in."""
        waiting = self._waiting[conversation]
        while waiting:
            turn = waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        del self._waiting[conversation]
