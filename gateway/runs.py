"""The life of a run: start it, record it, let any number of readers follow it, stop it.

A run belongs to the gateway, not to the HTTP request that started it: readers come and go. An item is
in the store before any reader sees it. Not here: what a run does (engine), how it is written down (recorder) and how it
looks (apis).
"""

import asyncio
import dataclasses
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import aclosing

from gateway.admission import answerable, refuse_too_long
from gateway.approvals import answered
from gateway.engine import Engine
from gateway.errors import CallerGone, GatewayError, InvalidRequest, NotFound, RunInterrupted
from gateway.events import Ended, Ending, Event, RunCancelled, RunFailed, RunStarted
from gateway.history import pending_calls
from gateway.items import Item
from gateway.ports import Turn
from gateway.recorder import Recorder
from gateway.steered import Steered
from gateway.storage import Conversation, Store, StoredTurn, TurnEnd
from gateway.turnstile import Turnstile
from gateway.unwritten import Unwritten

logger = logging.getLogger(__name__)

SHUTDOWN = "shutdown"


class Run:
    """A turn while it happens: the log of its events, and whoever waits for the next one.

    It is `kept` going without its client, and by the next start of the gateway, if it is stored or a call was approved;
    without its client also if that may ask for the answer again.
    """

    def __init__(self, turn: Turn, *, kept: bool = True) -> None:
        self.turn = turn
        self.kept = kept
        self.finished = False
        self.late = False
        self._events: list[Event] = []
        self._waiting: list[asyncio.Future[None]] = []
        self._readers = 0
        self._ending = False
        self._halted = False
        self._task: asyncio.Task[None] | None = None

    def begin(self, life: Coroutine[None, None, None]) -> None:
        """Let it happen, in a task of its own."""
        self._task = asyncio.create_task(life)

    def publish(self, *events: Event) -> None:
        """Add to the log and wake the readers. The ending is the last thing ever published."""
        if self.finished:
            return
        self._events.extend(events)
        self.finished = isinstance(events[-1], Ended)
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

    def abandon(self) -> None:
        """The client that asked has hung up: a run that is kept goes on without it, another stops."""
        if self.kept:
            self.wake()
        else:
            self.stop()

    def stop(self, why: str = "") -> None:
        """Ask the run to stop, upstream request and tool calls included; its ending follows.

        Too late once it is being ended: what is on its way to the store cannot be called back.
        """
        if self._task is not None and not self._ending:
            self._task.cancel(why)

    def expire(self) -> None:
        """Its deadline has come."""
        self.late = True
        self.stop()

    def halt(self) -> None:
        """Ask the run to complete when its step is done, before it asks the model again."""
        self._halted = True

    def halted(self) -> bool:
        return self._halted

    def end(self) -> None:
        """From now on `stop` does nothing."""
        self._ending = True

    async def cancel(self) -> None:
        """Stop the run. Returns when it has its ending."""
        self.stop()
        await self.ended()

    async def gone(self) -> None:
        """Returns when nothing of the run is left to do, the writing of its ending included."""
        if self._task is not None:
            await asyncio.wait([self._task])


class Runs:
    """Every run of this process, and the order of the turns of each conversation."""

    def __init__(self, engine: Engine, store: Store, max_history: int) -> None:
        """`max_history` is the most characters of what a turn goes on from, its input included."""
        self.max_history = max_history
        self._engine = engine
        self._store = store
        self._steered = Steered(store, max_history)
        self._live: dict[str, Run] = {}
        self._turnstile = Turnstile()
        self._unwritten = Unwritten()

    async def start(
        self, turn: Turn, *, wait: bool = True, wanted: Callable[[], bool] = lambda: True, successor: bool = False
    ) -> Run:
        """Begin a turn; durable when this returns, if it is to be stored.

        Turns of one conversation never overlap: this one waits for those before it, or, with `wait` false,
        raises ConversationLocked. Raises CallerGone if it is no longer `wanted` when its time has come, NotFound for a
        parent or conversation that is missing or another owner's, and InvalidRequest when the history ends in calls
        the client has not answered, or the input has encrypted content that no turn could go on from: once stored it
        would be in the way of every later one. What was said to the parent while it ran stands before the turn's input
        (`steered.py`); a `successor` is begun for that alone.
        """
        if turn.conversation:
            if self._turnstile.busy(turn.conversation):
                # Whether a stranger's conversation is busy is nobody's business, nor is it anybody's to wait for.
                await self._own_conversation(turn)
            await self._turnstile.enter(turn.conversation, wait=wait)
        try:
            if turn.conversation or turn.parent:
                turn = await self._placed(turn)
            await self._engine.sealer.opened(turn.input, turn.owner)
            if not wanted():
                raise CallerGone
            before = await self._store.history(turn.parent) if turn.parent else ()
            refuse_too_long([*before, *turn.input], self.max_history, "input")
            turn, answers = await answered(turn, before, self._store)
            open_calls = answerable(before, turn.input, runs=not turn.options.get("compact"))
            history = await self._restored(turn, [*before, *turn.input])
            recorded = turn.stored or bool(answers)
            turn, said = await self._steered.begin(turn, before, answers, recorded=recorded, successor=successor)
            history[len(before) : len(before)] = said
        except BaseException:
            self._leave(turn)
            raise
        kept = turn.stored or turn.key is not None or any(answer.approved for answer in answers)
        run = self._live[turn.id] = Run(turn, kept=kept)
        log = run.events if is_logged(turn) else None
        recorder = Recorder(turn, self._store, run.publish, recorded=recorded, open_calls=open_calls, log=log)
        run.begin(self._live_through(run, recorder, history))
        return run

    async def _placed(self, turn: Turn) -> Turn:
        """The turn with its parent, once that has ended. What belongs to another owner is not found."""
        if turn.conversation:
            turn = dataclasses.replace(turn, parent=(await self._own_conversation(turn)).newest)
        elif turn.parent:
            if await self._store.owner(turn.parent) != turn.owner:
                raise NotFound
            if live := self._live.get(turn.parent):
                await live.ended()
        if turn.parent:
            await self._unwritten.write(turn.parent)
        return turn

    async def _own_conversation(self, turn: Turn) -> Conversation:
        conversation = await self._store.conversation(turn.conversation or "")
        if conversation.owner != turn.owner:
            raise NotFound
        return conversation

    async def note(self, turn: Turn) -> None:
        """Store a turn's input, in its conversation if it has one, and ask no model. Durable when this returns."""
        if turn.conversation:
            await self._turnstile.enter(turn.conversation)
        try:
            turn = await self._placed(turn)
            await self._engine.sealer.opened(turn.input, turn.owner)
            before = await self._store.history(turn.parent) if turn.parent else ()
            refuse_too_long([*before, *turn.input], self.max_history, "items")
            turn, answers = await answered(turn, before, self._store)
            if any(answer.strict for answer in answers):
                raise InvalidRequest("An approval cannot be added as an item: answer with a response.", param="items")
            await self._store.begin(turn, TurnEnd(status="completed", ended_at=time.time()), answers=answers)
        finally:
            self._leave(turn)

    async def admit(self, turn: Turn) -> None:
        """Let the rules look at a turn that will not be a run. Raises Forbidden."""
        await self._engine.admit(turn)

    async def admit_steer(self, turn: Turn, said: Sequence[Item]) -> None:
        """Raises InvalidRequest for what is too long to be said behind this turn, as far as that has come."""
        before = await self._store.history(turn.id) if turn.stored else turn.input
        refuse_too_long([*before, *said], self.max_history, "input")

    async def sealed(self, items: Sequence[Item], owner: str) -> list[Item]:
        """See `Sealer.sealed`."""
        return await self._engine.sealer.sealed(items, owner)

    async def count(self, turn: Turn) -> int:
        """About how many tokens the model would be sent first, were this turn begun now. Raises what `start` raises,
        and what the run would fail with before it asks the model."""
        turn = await self._placed(turn)
        await self._engine.sealer.opened(turn.input, turn.owner)
        before = await self._store.history(turn.parent) if turn.parent else ()
        turn, answers = await answered(turn, before, self._store)
        answerable(before, turn.input)
        turn = await self._steered.joined(turn, before, answers)
        return await self._engine.count(turn, await self._restored(turn, [*before, *turn.input]))

    async def _restored(self, turn: Turn, history: Sequence[Item]) -> list[Item]:
        param = "conversation" if turn.conversation else "previous_response_id" if turn.parent else "input"
        return await self._engine.sealer.restored(history, turn.owner, param)

    def find(self, turn_id: str) -> Run | None:
        """The run if it is still going on in this process."""
        return self._live.get(turn_id)

    async def recover(self) -> None:
        """Go on with every run that a stop of the gateway interrupted. The model is told of calls with an unknown
        outcome. When this returns, each has its place: a new turn waits for it."""
        for stored in await self._store.unfinished():
            turn = stored.turn
            try:
                if turn.conversation:
                    await self._turnstile.enter(turn.conversation, wait=False)
            except GatewayError:
                logger.exception("Run %s was interrupted and cannot go on", turn.id)
                continue
            logger.warning("Going on with run %s, which a stop of the gateway interrupted.", turn.id)
            run = self._live[turn.id] = Run(turn)
            run.begin(self._go_on(run, stored))

    async def _go_on(self, run: Run, stored: StoredTurn) -> None:
        turn = run.turn
        history: list[Item] = []
        shown: list[Item] = []
        try:
            try:
                history = await self._store.history(turn.id)
                unknown = await self._engine.unknown_outcomes(turn, history, stored.intents)
                if unknown:
                    await self._store.append(turn.id, *unknown)
                    history += unknown
                # Last: if it fails, the next turn must know all the same which calls were begun.
                shown = await self._restored(turn, history)
            except GatewayError as error:
                ending = RunFailed(error=error)
            except Exception:
                logger.exception("Run %s cannot go on", turn.id)
                ending = RunFailed(error=GatewayError())
            else:
                ending = None
            recorder = Recorder(
                turn,
                self._store,
                run.publish,
                open_calls=pending_calls(history),
                begun=stored.intents,
                said=stored.output,
                log=run.events if is_logged(turn) else None,
            )
            await self._end(run, recorder, ending or await self._play(run, recorder, shown))
        finally:
            self._part(run)

    async def close(self) -> None:
        """Leave stored runs unfinished for the next start to recover; end the others."""
        runs = list(self._live.values())
        for run in runs:
            run.stop(SHUTDOWN)
        for run in runs:
            await run.gone()
        self._unwritten.close()

    async def _live_through(self, run: Run, recorder: Recorder, history: Sequence[Item]) -> None:
        try:
            await self._end(run, recorder, await self._play(run, recorder, history))
        finally:
            self._part(run)

    async def _end(self, run: Run, recorder: Recorder, ending: Ending | None) -> None:
        """Nobody waits for ever: whatever goes wrong here, the readers get an ending."""
        run.end()
        try:
            if ending is not None:
                await recorder.finish(ending)
        finally:
            if not run.finished:
                run.publish(RunCancelled() if ending is None else RunFailed(error=GatewayError()))
        if recorder.unwritten:
            self._unwritten.keep(run.turn.id, recorder)

    async def _play(self, run: Run, recorder: Recorder, history: Sequence[Item]) -> Ending | None:
        """Take the run to its ending, whatever that is. None: the gateway stops, and the next start goes on with it."""
        turn = run.turn
        deadline: asyncio.TimerHandle | None = None
        if (seconds := turn.agent.deadline) is not None:
            deadline = asyncio.get_running_loop().call_later(seconds, run.expire)
        try:
            await recorder.record(RunStarted(turn.id))
            await self._engine.admit(turn)
            # Closed here and not by the garbage collector: closing is what aborts the request to the provider.
            async with aclosing(self._engine.run(turn, history, recorder.requests, run.halted)) as events:
                async for event in events:
                    if isinstance(event, Ended):
                        return event
                    await recorder.record(event)
        except asyncio.CancelledError as stop:
            if run.kept and SHUTDOWN in stop.args:
                return None
            if not run.late:
                return RunCancelled()
            return RunFailed(error=RunInterrupted(f"The run took longer than its deadline of {seconds:g} seconds."))
        except GatewayError as error:
            return RunFailed(error=error)
        except Exception:
            logger.exception("Run %s failed", turn.id)
        finally:
            if deadline is not None:
                deadline.cancel()
        return RunFailed(error=GatewayError())

    def _part(self, run: Run) -> None:
        del self._live[run.turn.id]
        self._leave(run.turn)
        if run.turn.servers:
            # Who holds a run to tell it again must not hold the client's credentials.
            run.turn = dataclasses.replace(run.turn, servers=())

    def _leave(self, turn: Turn) -> None:
        if turn.conversation:
            self._turnstile.leave(turn.conversation)


def is_logged(turn: Turn) -> bool:
    """Whether somebody may come back for the very frames of its stream."""
    return turn.background or (turn.live and turn.key is not None)
