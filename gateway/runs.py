"""The life of a run: start it, record it, let any number of readers follow it, stop it.

A run belongs to the gateway, not to the HTTP request that started it: readers come and go. An item is
in the store before any reader sees it. Not here: what a run does (engine) and how it looks (apis).
"""

import asyncio
import dataclasses
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing

from gateway.engine import BROKEN_OFF, OUTCOME_UNKNOWN, Engine, failure
from gateway.errors import ConversationLocked, GatewayError, InvalidRequest, NotFound, RunInterrupted
from gateway.events import (
    CallsStarted,
    Ending,
    Event,
    ItemDone,
    RunCancelled,
    RunCompleted,
    RunFailed,
    RunPaused,
    StepDone,
)
from gateway.items import Item, ToolCall, ToolResult, pending_calls
from gateway.ports import Store, StoredTurn, Turn, TurnEnd

logger = logging.getLogger(__name__)


class Run:
    """A turn while it happens: the log of its events, and whoever waits for the next one."""

    def __init__(self, turn: Turn) -> None:
        self.turn = turn
        self.finished = False
        self._events: list[Event] = []
        self._waiting: list[asyncio.Future[None]] = []
        self._readers = 0
        self._task: asyncio.Task[None] | None = None

    def publish(self, *events: Event) -> None:
        """Add to the log and wake the readers. The ending is the last thing ever published."""
        if self.finished:
            return
        self._events.extend(events)
        self.finished = isinstance(self._events[-1], Ending)
        if self.finished or self._readers:
            self.wake()

    def wake(self) -> None:
        """Let everybody who waits look again."""
        for future in self._waiting:
            if not future.done():
                future.set_result(None)
        self._waiting.clear()

    async def follow(self, after: int = 0) -> AsyncIterator[Sequence[Event]]:
        """Every event from number `after` on, past and to come, up to the ending; in batches of what is there.

        A batch is empty when `wake` was called though nothing happened.

        A slow reader costs nothing but its place in the log: the run never waits for it.
        """
        self._readers += 1
        try:
            while True:
                if batch := self._events[after:]:
                    after += len(batch)
                    yield batch
                elif self.finished:
                    return
                else:
                    await self._more()
                    if after == len(self._events):
                        yield ()
        finally:
            self._readers -= 1

    async def ended(self, unless: Callable[[], bool] = lambda: False) -> None:
        """Returns once the run has its ending, or after a `wake` when `unless` is true. Deltas do not wake it."""
        while not self.finished and not unless():
            await self._more()

    async def _more(self) -> None:
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        await future

    @property
    def events(self) -> Sequence[Event]:
        """What was published so far."""
        return self._events

    def stop(self) -> None:
        """Ask the run to stop, upstream request and tool calls included; its ending follows."""
        if self._task is not None and not self.finished:
            self._task.cancel()

    async def cancel(self) -> None:
        """Stop the run. Returns when it has its ending."""
        self.stop()
        await self.ended()


class Runs:
    """Every run of this process, and the order of the turns of each conversation."""

    def __init__(self, engine: Engine, store: Store) -> None:
        self._engine = engine
        self._store = store
        self._live: dict[str, Run] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def start(self, turn: Turn, *, wait: bool = True) -> Run:
        """Begin a turn; durable when this returns, if it is to be stored.

        Turns of one conversation never overlap: this one waits for those before it, or, with `wait` false,
        raises ConversationLocked. Raises NotFound for a parent or conversation that is missing or another
        owner's, and InvalidRequest when the history ends in calls the client has not answered.
        """
        lock = await self._lock(turn.conversation, wait=wait) if turn.conversation else None
        try:
            turn = await self._placed(turn)
            history = [*await self._store.history(turn.parent), *turn.input] if turn.parent else turn.input
            refuse_unanswered(history)
            if turn.stored:
                await self._store.begin(turn)
            return self._launch(turn, history, lock)
        except BaseException:
            self._release(lock, turn)
            raise

    async def _placed(self, turn: Turn) -> Turn:
        """The turn with its parent, once that has ended. What belongs to another owner is not found."""
        if turn.conversation:
            conversation = await self._store.conversation(turn.conversation)
            if conversation.owner != turn.owner:
                raise NotFound
            return dataclasses.replace(turn, parent=conversation.newest)
        if turn.parent:
            if live := self._live.get(turn.parent):
                await live.ended()
            if await self._store.owner(turn.parent) != turn.owner:
                raise NotFound
        return turn

    async def note(self, turn: Turn) -> None:
        """Put a turn's input into its conversation without asking a model. Durable when this returns."""
        assert turn.conversation
        lock = await self._lock(turn.conversation, wait=True)
        try:
            newest = (await self._store.conversation(turn.conversation)).newest
            await self._store.begin(dataclasses.replace(turn, parent=newest))
            await self._store.end(turn.id, TurnEnd(status="completed", ended_at=time.time()))
        finally:
            self._release(lock, turn)

    def find(self, turn_id: str) -> Run | None:
        """The run if it is still going on in this process."""
        return self._live.get(turn_id)

    async def recover(self) -> None:
        """Go on with every run that a crash interrupted. The model is told of calls with an unknown outcome."""
        for stored in await self._store.unfinished():
            try:
                await self._go_on(stored)
            except GatewayError:
                # One that cannot go on must not keep the others from it.
                logger.exception("Run %s was interrupted and could not go on", stored.turn.id)

    async def _go_on(self, stored: StoredTurn) -> None:
        turn = stored.turn
        lock = await self._lock(turn.conversation, wait=True) if turn.conversation else None
        try:
            history = await self._store.history(turn.id)
            unknown = await self._engine.unknown_outcomes(turn, history, stored.intents)
            if unknown:
                await self._store.append(turn.id, *unknown)
        except BaseException:
            self._release(lock, turn)
            raise
        logger.warning("Going on with run %s, which a stop of the gateway interrupted.", turn.id)
        self._launch(turn, [*history, *unknown], lock)

    async def close(self) -> None:
        """Leave stored runs unfinished for the next start to recover; end the others."""
        tasks = [run._task for run in self._live.values() if run._task is not None]  # pyright: ignore[reportPrivateUsage]
        for task in tasks:
            task.cancel("shutdown")
        if tasks:
            await asyncio.wait(tasks)

    async def _lock(self, conversation: str, *, wait: bool) -> asyncio.Lock:
        lock = self._locks.setdefault(conversation, asyncio.Lock())
        if lock.locked() and not wait:
            raise ConversationLocked(param="conversation")
        await lock.acquire()
        return lock

    def _release(self, lock: asyncio.Lock | None, turn: Turn) -> None:
        if lock is None or turn.conversation is None:
            return
        lock.release()
        # asyncio.Lock is fair: if somebody waits, they hold it next and release it in their turn.
        if not lock.locked() and not getattr(lock, "_waiters", None):
            self._locks.pop(turn.conversation, None)

    def _launch(self, turn: Turn, history: Sequence[Item], lock: asyncio.Lock | None) -> Run:
        run = Run(turn)
        self._live[turn.id] = run
        run._task = asyncio.create_task(self._drive(run, history, lock))  # pyright: ignore[reportPrivateUsage]
        return run

    async def _drive(self, run: Run, history: Sequence[Item], lock: asyncio.Lock | None) -> None:
        turn = run.turn
        recorder = Recorder(run, self._store if turn.stored else None)
        try:
            # Closed here and not by the garbage collector: closing is what aborts the request to the provider.
            async with asyncio.timeout(turn.agent.deadline), aclosing(self._engine.run(turn, history)) as events:
                async for event in events:
                    await recorder.record(event)
        except asyncio.CancelledError as stop:
            # A shutdown leaves a stored run open in the store, so that the next start goes on with it.
            await recorder.close(RunCancelled(), stored="shutdown" not in stop.args)
        except TimeoutError:
            seconds = f"{turn.agent.deadline:g}"
            error = RunInterrupted(f"The run took longer than its deadline of {seconds} seconds.")
            await recorder.close(RunFailed(error=error))
        except GatewayError as error:
            await recorder.close(RunFailed(error=error))
        except Exception:
            logger.exception("Run %s failed", turn.id)
            await recorder.close(RunFailed(error=GatewayError()))
        finally:
            del self._live[turn.id]
            self._release(lock, turn)


class Recorder:
    """Writes a run down, then shows it: nothing is published before the store has acknowledged it.

    Finished items are held until the event after them, so that the last items and the ending are one commit.
    """

    def __init__(self, run: Run, store: Store | None) -> None:
        self._run = run
        self._store = store
        self._held: list[Event] = []
        self._items: list[Item] = []
        self._unanswered: dict[str, ToolCall] = {}
        self._begun: set[str] = set()

    async def record(self, event: Event) -> None:
        if self._store is None:
            self._run.publish(event)
            return
        match event:
            case ItemDone(item=item):
                self._hold(item)
            case StepDone():
                self._held.append(event)
            case CallsStarted(calls=calls):
                turn_id = self._run.turn.id
                self._begun.update(call.call_id for call in calls)
                items, self._items = self._items, []
                # Both are queued before either is awaited: one commit, in this order.
                await asyncio.gather(
                    self._store.append(turn_id, *items),
                    self._store.intend(turn_id, *(call.call_id for call in calls)),
                )
                self._publish(event)
            case RunPaused() | RunCompleted() | RunFailed() | RunCancelled():
                if isinstance(event, RunFailed):
                    self._settle()
                await self._store.end(self._run.turn.id, to_end(event), *self._items)
                self._publish(event)
            case _:
                if self._items:
                    items, self._items = self._items, []
                    await self._store.append(self._run.turn.id, *items)
                self._publish(event)

    def _hold(self, item: Item) -> None:
        self._held.append(ItemDone(item))
        self._items.append(item)
        if isinstance(item, ToolCall) and item.server:
            self._unanswered[item.call_id] = item
        elif isinstance(item, ToolResult):
            self._unanswered.pop(item.call_id, None)

    def _settle(self) -> None:
        """Answer the gateway's own calls that a run left open when it broke off.

        Else the next turn would find them pending and run them: again, if they were begun.
        """
        for call in list(self._unanswered.values()):
            self._hold(failure(call, OUTCOME_UNKNOWN if call.call_id in self._begun else BROKEN_OFF))

    def _publish(self, event: Event) -> None:
        if self._held:
            held, self._held = self._held, []
            self._run.publish(*held, event)
        else:
            self._run.publish(event)

    async def close(self, ending: RunFailed | RunCancelled, *, stored: bool = True) -> None:
        """End a run that broke off. Readers get their ending even if the store fails; the store's own ending is then
        written by the recovery at the next start."""
        if self._run.finished:
            return
        if self._store is not None and stored:
            self._settle()
            try:
                await asyncio.shield(self._store.end(self._run.turn.id, to_end(ending), *self._items))
            except GatewayError as error:
                # What could not be stored is not shown either.
                ending, stored = RunFailed(error=error), False
            except asyncio.CancelledError:
                logger.warning("The ending of run %s may not have been stored.", self._run.turn.id)
        if stored:
            self._publish(ending)
        else:
            self._run.publish(ending)


def to_end(ending: Ending) -> TurnEnd:
    """How the store keeps an ending."""
    now = time.time()
    match ending:
        case RunPaused(usage=usage, model=model):
            return TurnEnd(status="paused", usage=usage, model=model, ended_at=now)
        case RunCompleted(reason=reason, usage=usage, model=model):
            status = "completed" if reason == "stop" else "incomplete"
            return TurnEnd(status=status, reason=reason, usage=usage, model=model, ended_at=now)
        case RunFailed(error=error, usage=usage):
            return TurnEnd(status="failed", error=error, usage=usage, ended_at=now)
        case RunCancelled(usage=usage):
            return TurnEnd(status="cancelled", usage=usage, ended_at=now)


def refuse_unanswered(history: Sequence[Item]) -> None:
    """OpenAI's two rules: every client-run call has its output, and every output belongs to a call."""
    calls = {item.call_id for item in history if isinstance(item, ToolCall)}
    for item in history:
        if item.kind == "tool_result" and item.call_id not in calls:
            raise InvalidRequest(
                f"No tool call found for function call output with call_id {item.call_id}.", param="input"
            )
    for call in pending_calls(history):
        if not call.server:
            raise InvalidRequest(f"No tool output found for function call {call.call_id}.", param="input")
