"""Writes one run down, then shows it: nothing is published before the store has acknowledged it.

Finished messages and calls are held until the event after them, so that the last items and the ending are one commit.
A tool's result is written at once: the tool has acted, and the next model call may take minutes.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from gateway.errors import GatewayError, StorageFull
from gateway.event_log import pack, pieces
from gateway.events import (
    NO_USAGE,
    CallsStarted,
    Ending,
    Event,
    ItemDone,
    RunCancelled,
    RunCompleted,
    RunFailed,
    RunPaused,
    RunStarted,
    StepDone,
)
from gateway.items import ApprovalRequest, Item, ToolCall, ToolResult
from gateway.model_requests import RequestLog, Requests
from gateway.ports import Turn
from gateway.storage import Store, TurnEnd
from gateway.verdicts import BROKEN_OFF, OUTCOME_UNKNOWN, failure

logger = logging.getLogger(__name__)

NOT_WRITTEN = (
    "The gateway could not write the end of this run to its database. It goes on trying; free disk space, and "
    "look at the run again."
)


class Recorder:
    """The record of one run. Unless its turn is `recorded` in the store it is only shown, and written down as a whole
    if it comes to wait for a person.

    `open_calls` are the calls without a result that the run begins with, `begun` the ids of those that an earlier
    process had begun. `said` is what the run had said before a stop of the gateway; readers are told it again. `log` is
    what was published so far, of a run whose events are kept. `requests` takes what is sent to providers, to be kept.
    """

    def __init__(
        self,
        turn: Turn,
        store: Store,
        publish: Callable[..., None],
        *,
        recorded: bool = True,
        open_calls: Iterable[ToolCall] = (),
        begun: Iterable[str] = (),
        said: Sequence[Item] = (),
        log: Sequence[Event] | None = None,
    ) -> None:
        self._turn = turn
        self._keeper = store
        self._store = store if recorded else None
        self._publish = publish
        self._held: list[Event] = []
        self._items: list[Item] = []
        self._open = {call.call_id: call for call in open_calls}
        self._begun = set(begun)
        self._said = said
        self._log = log
        self.requests = RequestLog() if recorded and turn.stored else None
        self._usage = NO_USAGE
        self._unwritten: TurnEnd | None = None

    async def record(self, event: Event) -> None:
        """Take down what happened, in the order in which it did. Not for endings. Raises StorageFull."""
        if type(event) is StepDone:
            self._usage += event.usage or NO_USAGE
            if self.requests is not None:
                self.requests.answered(event.usage)
        if self._store is None:
            self._note(event)
            return
        match event:
            case RunStarted():
                self._publish(event, *pieces(self._said))
            case ItemDone(item=item):
                self._held.append(event)
                self._items.append(item)
                if isinstance(item, ToolResult):
                    await self._write(self._store)
            case StepDone():
                self._held.append(event)
            case CallsStarted(calls=calls):
                ids = [call.call_id for call in calls]
                await self._write(self._store, ids)
                self._begun.update(ids)
                self._publish(event)
            case _:
                if self._held:
                    await self._write(self._store)
                self._publish(event)

    def _note(self, event: Event) -> None:
        """Show it, and keep in mind what is needed to write it down later. A request is not shown before it is kept."""
        if type(event) is ItemDone:
            self._items.append(event.item)
            if isinstance(event.item, ApprovalRequest):
                self._held.append(event)
                return
        self._publish(event)

    async def _write(self, store: Store, begun: Sequence[str] = ()) -> None:
        """Store what is held, note the calls that are about to begin, and show it."""
        if self._items or begun:
            asked = self._asked()
            write = asyncio.ensure_future(store.append(self._turn.id, *self._items, begun=begun, requests=asked))
            try:
                await asyncio.shield(write)
            except asyncio.CancelledError:
                # The write goes on. The run's end must know whether these items are stored.
                await asyncio.wait([write])
                if not write.cancelled() and write.exception() is None:
                    self._written(asked)
                raise
            self._written(asked)
        else:
            self._written()

    def _asked(self) -> Requests:
        return () if self.requests is None else self.requests.over()

    def _written(self, asked: Requests = ()) -> None:
        if self.requests is not None:
            self.requests.drop(len(asked))
        self._open = opened(self._open, self._items)
        self._items = []
        held, self._held = self._held, []
        if held:
            self._publish(*held)

    async def finish(self, ending: Ending) -> None:
        """End the run. Its readers have their ending when this returns, also when the store fails: see `unwritten`."""
        if isinstance(ending, RunFailed | RunCancelled):
            ending = replace(ending, usage=self._usage)
            if self.requests is not None:
                self.requests.failed(ending.error) if isinstance(ending, RunFailed) else self.requests.cancelled()
            if self._store is not None:
                self._settle()
        if self._store is None:
            await self._show(ending)
            return
        end = to_end(ending)
        log = b"" if self._log is None else await asyncio.to_thread(pack, [*self._log, *self._held])
        try:
            await self._store.end(self._turn.id, end, *self._items, log=log, requests=self._asked())
        except StorageFull as error:
            logger.error("The ending of run %s was not stored: %s", self._turn.id, error)
            self._unwritten = end
            # What is not stored is not shown either.
            self._publish(RunFailed(error=StorageFull(NOT_WRITTEN), usage=self._usage))
        except Exception:
            logger.exception("The last items of run %s cannot be stored", self._turn.id)
            await self._finish_without_items(self._store)
        else:
            self._publish(*self._held, ending)

    async def _show(self, ending: Ending) -> None:
        """End a run that was not recorded. One that waits for a person is kept for the answer, whatever the client
        wants to be stored."""
        if isinstance(ending, RunPaused) and ending.asked:
            try:
                await self._keeper.begin(self._turn, to_end(ending), output=self._items)
            except GatewayError as error:
                ending = RunFailed(error=error, usage=self._usage)
            else:
                self._publish(*self._held)
        try:
            # Before it is shown: who asks again at once is to be told it. Nothing goes on from one that was cancelled.
            await self._keeper.end_telling(self._turn.id, failed=isinstance(ending, RunFailed | RunCancelled))
        except GatewayError as error:
            logger.error("What run %s was told waits for the next start of the gateway: %s", self._turn.id, error)
        self._publish(ending)

    async def _finish_without_items(self, store: Store) -> None:
        """An item that no store takes must not keep the run open: nobody could continue the conversation."""
        ending = RunFailed(error=GatewayError(), usage=self._usage)
        self._items = [self._failure(call) for call in self._open.values()]
        try:
            await store.end(self._turn.id, to_end(ending), *self._items)
        except Exception:
            logger.exception("The ending of run %s was not stored", self._turn.id)
            self._unwritten = to_end(ending)
        self._publish(ending)

    @property
    def unwritten(self) -> bool:
        """Whether the run ended for its readers but not yet in the store."""
        return self._unwritten is not None

    async def write_ending(self) -> None:
        """Try once more to store the ending, if it is not. One at a time. Raises StorageFull."""
        if self._store is not None and self._unwritten is not None:
            await self._store.end(self._turn.id, self._unwritten, *self._items, requests=self._asked())
            self._unwritten = None

    def _settle(self) -> None:
        """Answer the calls that a run left open when it broke off.

        Else the next turn would find them pending, and run them again if they are the gateway's, or ask the client for
        the outputs of a run that failed.
        """
        for call in opened(self._open, self._items).values():
            result = self._failure(call)
            self._held.append(ItemDone(result))
            self._items.append(result)

    def _failure(self, call: ToolCall) -> ToolResult:
        return failure(call, OUTCOME_UNKNOWN if call.call_id in self._begun else BROKEN_OFF)


def opened(calls: dict[str, ToolCall], items: Sequence[Item]) -> dict[str, ToolCall]:
    """The calls without a result after these items."""
    open_calls = dict(calls)
    for item in items:
        if isinstance(item, ToolCall):
            open_calls[item.call_id] = item
        elif isinstance(item, ToolResult):
            open_calls.pop(item.call_id, None)
    return open_calls


def to_end(ending: Ending) -> TurnEnd:
    """How the store keeps an ending."""
    match ending:
        case RunPaused(usage=usage, model=model):
            return TurnEnd(status="paused", usage=usage, model=model, ended_at=ending.ended_at)
        case RunCompleted(reason=reason, usage=usage, model=model):
            status = "completed" if reason == "stop" else "incomplete"
            return TurnEnd(status=status, reason=reason, usage=usage, model=model, ended_at=ending.ended_at)
        case RunFailed(error=error, usage=usage):
            return TurnEnd(status="failed", error=error, usage=usage, ended_at=ending.ended_at)
        case RunCancelled(usage=usage):
            return TurnEnd(status="cancelled", usage=usage, ended_at=ending.ended_at)
