"""How long a model call may take: first token, silence, total. One timer a call, not one a chunk.

`asyncio.timeout` would cost a timer for every piece that arrives; here a piece only moves a number.
"""

import asyncio
from collections.abc import Sequence
from typing import Generic, TypeVar

from gateway.errors import ProviderTimeout
from gateway.providers.settings import Limits
from gateway.providers.targets import Answer

Said = TypeVar("Said")


def whole_by(limits: Limits, started: float, now: float, waiting: int) -> float:
    """The loop time until when a model may take for an answer that comes whole, when it is asked `now` in a call that
    began at `started`, and `waiting` others may be asked after it: its share of what is left.

    Its first token is its last, so `first_token` is the least that it needs.
    """
    total = started + limits.total
    return max(now + limits.first_token, now + (total - now) / (waiting + 1)) if waiting else total


class Patience:
    """Waits for what an answer says within `limits`, and for the first of it until `first_by`.

    `started` is the loop time when the whole call began.
    """

    __slots__ = (
        "_begun", "_cancelling", "_due", "_expired", "_first_by", "_idle", "_limits", "_loop", "_name", "_task",
        "_timer", "_total",
    )  # fmt: skip

    def __init__(self, name: str, limits: Limits, started: float, *, first_by: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._name = name
        self._limits = limits
        self._idle = 0.0
        self._begun = self._loop.time()
        self._total = started + limits.total
        self._due = self._first_by = min(first_by, self._total)
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0
        self._expired = False
        self._timer = self._loop.call_at(self._due, self._tick)

    async def first(self, answer: Answer[Said]) -> Sequence[Said] | None:
        """The first that is said. From then on silence counts. Raises ProviderTimeout."""
        while not (said := await self._wait(answer)):
            if said is None:
                return None
        self._idle = self._limits.idle
        due = self._due = min(self._loop.time() + self._idle, self._total)
        if due < self._first_by:
            # A later one is left to the timer that there is.
            self._timer.cancel()
            self._timer = self._loop.call_at(due, self._tick)
        return said

    async def next(self, answer: Answer[Said]) -> Sequence[Said] | None:
        due = self._loop.time() + self._idle
        self._due = due if due < self._total else self._total
        return await self._wait(answer)

    def stop(self) -> None:
        self._timer.cancel()

    async def _wait(self, answer: Answer[Said]) -> Sequence[Said] | None:
        if self._expired:
            raise self._error()
        self._task = task = asyncio.current_task(self._loop)
        assert task is not None
        self._cancelling = task.cancelling()
        try:
            return await answer.next()
        except asyncio.CancelledError:
            # Ours only if nobody else asked for it too.
            if self._expired and task.uncancel() <= self._cancelling:
                raise self._error() from None
            raise
        finally:
            self._task = None

    def _tick(self) -> None:
        now = self._loop.time()
        if now < self._due:
            self._timer = self._loop.call_at(self._due, self._tick)
        elif self._task is not None:
            self._expired = True
            self._task.cancel()
        elif now >= self._total:
            # The reader is slow, not the model; but the call is over.
            self._expired = True
        else:
            self._timer = self._loop.call_at(min(now + self._idle, self._total), self._tick)

    def _error(self) -> ProviderTimeout:
        limits = self._limits
        if self._loop.time() >= self._total:
            total, left = rounded(limits.total), rounded(self._total - self._begun)
            within = f"{left} seconds" if left == total else f"the {left} seconds that were left to it of {total}"
            return ProviderTimeout(f"{self._name} was not done within {within}.", code="total_timeout")
        if self._idle:
            return ProviderTimeout(f"{self._name} fell silent for {limits.idle:g} seconds.", code="idle_timeout")
        first = rounded(self._first_by - self._begun)
        return ProviderTimeout(f"{self._name} gave no first token within {first} seconds.", code="first_token_timeout")


def rounded(seconds: float) -> str:
    return f"{round(seconds, 2):g}"


class Begun(Generic[Said]):
    """An answer that has said its first, and the patience with the rest. It is a `ports.Relayed` when it says bytes."""

    __slots__ = ("_answer", "_first", "_patience")

    def __init__(self, answer: Answer[Said], patience: Patience, first: Sequence[Said] | None) -> None:
        self._answer, self._patience = answer, patience
        self._first = first

    async def next(self) -> Sequence[Said] | None:
        first, self._first = self._first, None
        return first if first is not None else await self._patience.next(self._answer)

    async def close(self) -> None:
        """Stop waiting and abort the request. May be called twice."""
        self._patience.stop()
        await self._answer.close()
