"""Endings that the store did not take, tried again until it does: the conversation is to go on when there is room."""

import asyncio

from gateway.errors import GatewayError
from gateway.recorder import Recorder

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds between two attempts, doubled from the one to the other."""


class Unwritten:
    """The recorders of runs that ended for their readers, but not yet in the store."""

    def __init__(self) -> None:
        self._recorders: dict[str, tuple[Recorder, asyncio.Lock]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def keep(self, turn_id: str, recorder: Recorder) -> None:
        """From now on try to write its ending."""

        async def write() -> None:
            pause = FIRST_PAUSE
            while recorder.unwritten:
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
                try:
                    await self.write(turn_id)
                except GatewayError:
                    continue
            del self._recorders[turn_id]

        self._recorders[turn_id] = recorder, asyncio.Lock()
        task = asyncio.create_task(write())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def write(self, turn_id: str) -> None:
        """Try at once, if this turn's ending is not written. Raises StorageFull.

        Whoever comes while another tries waits for that: an ending that is stored twice is an error.
        """
        if known := self._recorders.get(turn_id):
            recorder, writing = known
            async with writing:
                await recorder.write_ending()

    def close(self) -> None:
        """Try no more. The next start of the gateway goes on with these runs."""
        for task in self._tasks:
            task.cancel()
