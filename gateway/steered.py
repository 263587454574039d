"""Begins turns with what was said to their parents while those ran. See `steers.py`."""

import logging
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import replace

from gateway.admission import refuse_too_long
from gateway.approvals import open_requests
from gateway.item_sizes import size_of
from gateway.items import Answer, Item
from gateway.ports import Turn
from gateway.steers import Steer, SteersTaken
from gateway.storage import Store

logger = logging.getLogger(__name__)


class Steered:
    """`max_history` is the most characters of what a turn goes on from, its input included; `before` is that without
    its input, and `answers` are its answers to approval requests.

    A turn that leaves a request open is told nothing, and what waits for its parent waits for it from then on: words of
    the user's behind a request are a no to it, and these were said before it was asked.
    """

    def __init__(self, store: Store, max_history: int) -> None:
        self._store = store
        self._max_history = max_history

    async def begin(
        self, turn: Turn, before: Sequence[Item], answers: Sequence[Answer], *, recorded: bool, successor: bool
    ) -> tuple[Turn, Sequence[Item]]:
        """Store the turn if it is to be `recorded`. Returns it, and what its input begins with of what waited.

        A `successor` is there for what waits alone. Raises SteersTaken if nothing does, and InvalidRequest if it has
        no room.
        """
        while steers := await self._store.steers(turn.parent) if turn.parent else ():
            # Else another turn was faster, and what it was told does not wait any more.
            with suppress(SteersTaken):
                if successor:
                    refuse_too_long([*before, *joined(turn, steers)[1]], self._max_history, "input")
                return await self._begin_with(steers, turn, before, answers, recorded=recorded)
        if successor:
            raise SteersTaken
        if recorded:
            await self._store.begin(turn, answers=answers)
        return turn, ()

    async def joined(self, turn: Turn, before: Sequence[Item], answers: Sequence[Answer]) -> Turn:
        """The turn as `begin` would return it."""
        steers = await self._store.steers(turn.parent) if turn.parent else ()
        return turn if leaves_open(before, answers) else joined(turn, self._fitting(steers, before, turn.input))[0]

    async def _begin_with(
        self, steers: Sequence[Steer], turn: Turn, before: Sequence[Item], answers: Sequence[Answer], *, recorded: bool
    ) -> tuple[Turn, Sequence[Item]]:
        ids = [steer.id for steer in steers]
        if leaves_open(before, answers):
            if recorded:
                await self._store.begin(turn, answers=answers, passed_on=ids)
            return turn, ()
        fitting = self._fitting(steers, before, turn.input)
        if recorded:
            turn, said = joined(turn, fitting)
            await self._store.begin(turn, answers=answers, told=ids)
            return turn, said
        # Whoever is answered with a window may go on from it, or from the parent.
        if turn.options.get("compact") != "window":
            told = await self._tell(turn, ids)
            fitting = [steer for steer in fitting if steer.id in told]
        return joined(turn, fitting)

    async def _tell(self, turn: Turn, ids: Collection[str]) -> Collection[str]:
        try:
            return await self._store.tell_steers(turn.parent or "", ids, turn.id)
        except BaseException:
            # It may have been written though nobody waited any more, and there is no run whose end would undo it.
            await self._store.end_telling(turn.id, failed=True)
            raise

    def _fitting(self, steers: Sequence[Steer], before: Sequence[Item], given: Sequence[Item]) -> list[Steer]:
        """Without what has no room: it must not be in the way of every turn that follows."""
        room = self._max_history - sum(map(size_of, (*before, *given))) if steers else 0
        fitting: list[Steer] = []
        for steer in steers:
            if (size := sum(map(size_of, steer.items))) > room:
                logger.warning("What was said to %s is left out: %s has no room behind it.", steer.turn, steer.id)
            else:
                room -= size
                fitting.append(steer)
        return fitting


def joined(turn: Turn, steers: Sequence[Steer]) -> tuple[Turn, Sequence[Item]]:
    said = [item for steer in steers for item in steer.items]
    return replace(turn, input=[*said, *turn.input]), said


def leaves_open(before: Sequence[Item], answers: Sequence[Answer]) -> bool:
    return bool(open_requests(before).keys() - {answer.id for answer in answers})
