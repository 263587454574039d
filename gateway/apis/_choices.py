"""Several choices of one answer: runs side by side, shown as one stream."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from starlette.requests import ClientDisconnect, Request

from gateway.apis._wire import begun, followed, until_ended
from gateway.errors import GatewayError
from gateway.events import Event, RunFailed
from gateway.ports import Turn
from gateway.runs import Run, Runs


async def start_all(runs: Runs, turns: Sequence[Turn], wanted: Callable[[], bool]) -> Sequence[Run]:
    """Begin a run for each. Raises what `Runs.start` raises, and then none of them goes on."""
    started: list[Run] = []
    try:
        for turn in turns:
            run = await runs.start(turn, wanted=wanted)
            started.append(run)
    except BaseException:
        for run in started:
            run.stop()
        raise
    return started


@dataclass(frozen=True, slots=True)
class Said:
    """An event of one of the runs."""

    index: int
    event: Event


class SideBySide:
    """Some runs, to be followed as one: `EventStream` takes it for a run. It ends with the last of them; when one
    fails, the others are stopped."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self._runs = runs
        self.turn = runs[0].turn

    def wake(self) -> None:
        for run in self._runs:
            run.wake()

    def abandon(self) -> None:
        for run in self._runs:
            run.abandon()

    def stop(self) -> None:
        for run in self._runs:
            run.stop()

    async def follow(self, after: int = 0) -> AsyncGenerator[Sequence[Said]]:
        batches: asyncio.Queue[Sequence[Said] | None] = asyncio.Queue()
        tasks = [asyncio.create_task(self._follow(index, batches)) for index in range(len(self._runs))]
        try:
            going = len(tasks)
            while going:
                batch = await batches.get()
                if batch is None:
                    going -= 1
                    continue
                yield batch
                if any(isinstance(said.event, RunFailed) for said in batch):
                    self.stop()
                    return
        finally:
            for task in tasks:
                task.cancel()

    async def _follow(self, index: int, batches: asyncio.Queue[Sequence[Said] | None]) -> None:
        try:
            async with aclosing(followed(self._runs[index])) as events:
                async for batch in events:
                    batches.put_nowait([Said(index, event) for event in batch])
        finally:
            batches.put_nowait(None)

    async def begun(self, request: Request) -> None:
        """Wait until the first has something to show. Raises its error, and ClientDisconnect."""
        try:
            await begun(self._runs[0], request)
        except ClientDisconnect:
            self.abandon()
            raise
        except GatewayError:
            self.stop()
            raise

    async def ended(self, request: Request) -> None:
        """Wait for all endings, or for one that failed. Raises ClientDisconnect if the client hangs up first."""
        try:
            for run in self._runs:
                await until_ended(run, request)
                if isinstance(run.events[-1], RunFailed):
                    self.stop()
                    return
        except ClientDisconnect:
            self.abandon()
            raise
