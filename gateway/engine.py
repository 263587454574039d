"""The turn loop. If you read one file, read this one.

The loop asks one question of the history: does it end in tool calls nobody answered? If so, answer
them; if not, ask the model. Resuming after an approval, after the client ran its own tool, and after a
crash are therefore the same thing as continuing, and none of them has code of its own.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from gateway.citations import cited
from gateway.compaction import compacted, is_worth_it, questions, summarising, summary_in
from gateway.errors import BadArguments, ContextTooLong, Forbidden
from gateway.events import (
    NO_USAGE,
    CallsStarted,
    Event,
    ItemDone,
    ItemStarted,
    ModelEvent,
    RunCompleted,
    RunPaused,
    StepDone,
)
from gateway.history import pending_calls, request_of
from gateway.items import NO_SERVER, ApprovalRequest, Item, Message, ToolCall, ToolResult
from gateway.model_requests import RequestLog
from gateway.ports import Memory, ModelCall, Provider, Rule, Toolbox, ToolSpec, Turn, Verdict
from gateway.sealing import Sealer
from gateway.structured import checked, form_of
from gateway.tool_choice import allowed, forced, refuse_missing, refuse_twins, unforced
from gateway.verdicts import (
    CUT_OFF,
    LIMIT_REACHED,
    NOT_APPROVED,
    OUTCOME_UNKNOWN,
    answer_to,
    failure,
    failures,
    question,
    strictest,
    without_tool,
)
from gateway.window import Window, tokens_in, window_of

UNBOUNDED = "everything"
"""The memory strategy that shows the whole conversation."""
FOR_THE_RUN = frozenset(
    {"allowed_tools", "max_tool_calls", "truncation", "sealed_reasoning", "compact", "compact_threshold"}
)
"""Options of a turn that say how the run goes; the others are for the model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """The loop with what it stands on: a provider, a toolbox, rules and the memory strategies by name. `input_rules`
    are those of the rules that look at what a turn begins with."""

    provider: Provider
    toolbox: Toolbox
    rules: Sequence[Rule]
    input_rules: Sequence[Rule]
    memories: Mapping[str, Memory]
    sealer: Sealer

    def run(
        self,
        turn: Turn,
        history: Sequence[Item],
        log: RequestLog | None = None,
        halted: Callable[[], bool] = lambda: False,
    ) -> AsyncGenerator[Event]:
        """What happens in a turn that was let in (`admit`). `history` includes the turn's own input, and is `restored`
        (see `sealing.py`). Once it is `halted`, the model is not asked again: the run completes, and a later turn can
        go on from it. Raises GatewayError where the run fails."""
        steps = (self._joined if turn.servers else self._asked_for)(turn, list(history), log, halted)
        return self._sealed(turn, steps) if turn.options.get("sealed_reasoning") else steps

    async def _joined(
        self, turn: Turn, history: list[Item], log: RequestLog | None, halted: Callable[[], bool]
    ) -> AsyncGenerator[Event]:
        """The steps with the servers that the client brought."""
        async with self.toolbox.join(turn, history) as toolbox:
            async with aclosing(toolbox.lists()) as lists:
                async for event in lists:
                    yield event
                    if isinstance(event, ItemDone):
                        history.append(event.item)
            joined = replace(self, toolbox=toolbox)
            async with aclosing(joined._asked_for(turn, history, log, halted)) as steps:
                async for event in steps:
                    yield event

    def _asked_for(
        self, turn: Turn, history: list[Item], log: RequestLog | None, halted: Callable[[], bool]
    ) -> AsyncGenerator[Event]:
        compacts = turn.options.get("compact")
        return self._summary(turn, history, log) if compacts else self._steps(turn, history, log, halted)

    async def admit(self, turn: Turn) -> None:
        """Raises Forbidden for an input that a rule denies."""
        verdicts = [await rule.check_input(turn) for rule in self.input_rules]
        if verdicts and (refusal := strictest(verdicts)).action == "deny":
            raise Forbidden(refusal.reason, code="refused")

    async def count(self, turn: Turn, history: Sequence[Item]) -> int:
        """About how many tokens the model is sent first in this turn. Raises what the run would fail with."""
        await self.admit(turn)
        call = forced(await self._call(turn))
        # Without the agent's context, which might ask the model for a summary.
        view, _ = await self.memories[UNBOUNDED].view(turn, compacted(history))
        return tokens_in(call.showing(view))

    async def _view(
        self, turn: Turn, history: list[Item], log: RequestLog | None
    ) -> tuple[Sequence[Item], Sequence[ModelEvent]]:
        """What the model is shown, and what was made for that: it joins the history, and is to be told."""
        view, made = await self.memories[turn.agent.memory].view(turn, compacted(history), log)
        if made:
            history += [event.item for event in made if isinstance(event, ItemDone)]
        return view, made

    async def _sealed(self, turn: Turn, steps: AsyncGenerator[Event]) -> AsyncGenerator[Event]:
        """The events, the model's thoughts with their state for the client to keep."""
        async with aclosing(steps) as events:
            async for event in events:
                if isinstance(event, ItemDone):
                    (item,) = await self.sealer.sealed([event.item], turn.owner)
                    event = ItemDone(item)
                yield event

    async def _call(self, turn: Turn, log: RequestLog | None = None) -> ModelCall:
        """What all requests of this turn to the model share. Raises InvalidRequest for tools that cannot be."""
        agent = turn.agent
        server_tools = await self.toolbox.specs(agent) if agent.tools or turn.servers else ()
        if turn.client_tools:
            refuse_twins({tool.name for tool in server_tools}, turn.client_tools)
        if agent.tools:
            refuse_missing(agent, server_tools)
        options = {**agent.params, **turn.options}
        tools = allowed([*server_tools, *turn.client_tools], options)
        return ModelCall(
            models=(agent.model, *agent.fallbacks),
            items=(),
            tools=tools,
            options={name: value for name, value in options.items() if name not in FOR_THE_RUN},
            live=turn.live,
            log=log,
        )

    async def _summary(self, turn: Turn, history: list[Item], log: RequestLog | None) -> AsyncGenerator[Event]:
        """A run that does nothing but compact the history. A client that is to keep the `window` instead of what was
        said gets the user's messages, too."""
        call, usage, model = await self._call(turn, log), NO_USAGE, turn.agent.model
        for message in questions(history) if turn.options["compact"] == "window" else ():
            yield ItemDone(message)
        async with aclosing(self._compact(turn, call, history, window_of(turn))) as events:
            async for event in events:
                if isinstance(event, StepDone):
                    model, usage = event.model, usage + (event.usage or NO_USAGE)
                yield event
        yield RunCompleted(reason="stop", usage=usage, model=model)

    async def _compact(
        self, turn: Turn, call: ModelCall, history: list[Item], window: Window
    ) -> AsyncGenerator[ModelEvent]:
        """One model call whose summary joins the history, to stand for all before it. Nothing else of it is told."""
        said: list[Item] = []
        view, made = await self._view(turn, history, call.log)
        for event in made:
            yield event
        asking = summarising(call.showing(view))
        async with aclosing(self._fitted(asking, {}, said, window)) as events:
            async for event in events:
                if isinstance(event, StepDone):
                    yield replace(event, finish="stop")
        history.append(item := await self.sealer.compaction(summary_in(said), turn.owner))
        yield ItemDone(item)

    async def _steps(
        self, turn: Turn, history: list[Item], log: RequestLog | None, halted: Callable[[], bool]
    ) -> AsyncGenerator[Event]:
        agent, every = turn.agent, await self._call(turn, log)
        ours, theirs = {tool.name: tool for tool in every.tools if tool.server}, {one.name for one in turn.client_tools}
        asking, window = forced(every), window_of(turn)
        usage, model, steps = NO_USAGE, agent.model, 0

        while True:
            spent = steps == agent.max_steps or (
                agent.max_tokens is not None and usage.output_tokens >= agent.max_tokens
            )
            if pending_calls(history):
                asked: list[ApprovalRequest] = []
                async with aclosing(self._answers(turn, ours, theirs, history, asked, spent=spent)) as answers:
                    async for event in answers:
                        yield event
                about = {request.call_id for request in asked}
                waiting = tuple(call for call in pending_calls(history) if call.call_id not in about)
                for request in asked:
                    yield ItemDone(request)
                if waiting or asked:
                    yield RunPaused(client_calls=waiting, asked=tuple(asked), usage=usage, model=model)
                    return
            if spent or (steps and halted()):
                yield RunCompleted(reason="max_steps" if spent else "steered", usage=usage, model=model)
                return

            view, made = await self._view(turn, history, log)
            for event in made:
                usage += (event.usage if isinstance(event, StepDone) else None) or NO_USAGE
                yield event
            asking = asking.showing(view)
            steps, finish = steps + 1, "stop"
            async with aclosing(self._asked(turn, asking, ours, history, window)) as events:
                async for event in events:
                    if isinstance(event, StepDone):
                        finish, model, usage = event.finish, event.model, usage + (event.usage or NO_USAGE)
                    yield event
            reason = finish if finish in ("length", "content_filter") else "stop"
            left = pending_calls(history)
            if reason != "stop" or not left:
                for result in failures(left, CUT_OFF):
                    yield ItemDone(result)
                yield RunCompleted(reason=reason, usage=usage, model=model)
                return
            asking = unforced(every)

    def _asked(
        self, turn: Turn, call: ModelCall, ours: Mapping[str, ToolSpec], history: list[Item], window: Window
    ) -> AsyncGenerator[ModelEvent]:
        """One step of the model. Who wants nothing else of it gets its events without a detour for each."""
        threshold: int = turn.options.get("compact_threshold") or 0
        if threshold and tokens_in(call) > threshold and is_worth_it(history, threshold):
            return self._shortened(turn, call, ours, history, window)
        return self._step(call, ours, history, window)

    def _step(
        self, call: ModelCall, ours: Mapping[str, ToolSpec], history: list[Item], window: Window
    ) -> AsyncGenerator[ModelEvent]:
        if form := form_of(call.options):
            return checked(lambda asked, said: self._fitted(asked, ours, said, window), call, history, form)
        return self._fitted(call, ours, history, window) if window.slides else self._ask(call, ours, history)

    async def _shortened(
        self, turn: Turn, call: ModelCall, ours: Mapping[str, ToolSpec], history: list[Item], window: Window
    ) -> AsyncGenerator[ModelEvent]:
        """A compaction, and then the step, however long the conversation still is."""
        async with aclosing(self._compact(turn, call, history, window)) as events:
            async for event in events:
                yield event
        view, made = await self._view(turn, history, call.log)
        for event in made:
            yield event
        async with aclosing(self._step(call.showing(view), ours, history, window)) as events:
            async for event in events:
                yield event

    async def _fitted(
        self, call: ModelCall, ours: Mapping[str, ToolSpec], history: list[Item], window: Window
    ) -> AsyncGenerator[ModelEvent]:
        """One model call, without the oldest items if that is what it takes. Raises ContextTooLong."""
        while True:
            view = window.view(call.items)
            try:
                async with aclosing(self._ask(call.showing(view), ours, history)) as events:
                    async for event in events:
                        yield event
                return
            except ContextTooLong:
                # A provider refuses before its first event.
                if not window.narrow(view):
                    raise

    async def _ask(
        self, call: ModelCall, ours: Mapping[str, ToolSpec], history: list[Item]
    ) -> AsyncGenerator[ModelEvent]:
        """One model call. Its items join the history; its tool calls learn which server they are for."""
        offered = {tool.name: tool for tool in call.tools} if call.tools else {}
        async with aclosing(self.provider.stream(call)) as events:
            async for event in events:
                if type(event) is ItemDone or type(event) is ItemStarted:
                    item = event.item
                    if isinstance(item, ToolCall):
                        if spec := ours.get(item.name):
                            item = replace(item, server=spec.server, tool=spec.tool, type=spec.type)
                        elif spec := offered.get(item.name):
                            item = replace(item, type=spec.type)
                        else:
                            item = replace(item, server=NO_SERVER, tool=item.name)
                        event = replace(event, item=item)
                    elif type(event) is ItemDone and isinstance(item, Message):
                        event = ItemDone(item := cited(item, call.items))
                    if type(event) is ItemDone:
                        history.append(item)
                yield event

    async def _answers(
        self,
        turn: Turn,
        ours: Mapping[str, ToolSpec],
        theirs: set[str],
        history: list[Item],
        asked: list[ApprovalRequest],
        *,
        spent: bool,
    ) -> AsyncGenerator[Event]:
        """Answer every call the gateway may answer now, all at once; what a person must be asked goes to `asked`.

        `spent`: nothing may be run any more.
        """
        ready: list[tuple[ToolCall, ToolSpec, Verdict]] = []
        for call in pending_calls(history):
            if call.name in theirs and call.server != NO_SERVER:
                continue
            if spent:
                refused = LIMIT_REACHED
            elif spec := ours.get(call.name):
                verdict = await self._verdict(turn, spec, call, history)
                if verdict.action == "ask":
                    asked.append(request_of(call, history) or question(call, spec, verdict))
                else:
                    ready.append((call, spec, verdict))
                continue
            else:
                refused = without_tool(call, ours, history)
            result = failure(call, refused)
            history.append(result)
            yield ItemDone(result)
        if not ready:
            return
        yield CallsStarted(tuple(call for call, _, verdict in ready if verdict.action == "allow"))
        requests = {item.call_id: item.id for item in history if isinstance(item, ApprovalRequest)}
        tasks = [asyncio.create_task(self._answer(turn, *each)) for each in ready]
        try:
            for task in asyncio.as_completed(tasks):
                result = await task
                if request_id := requests.get(result.call_id):
                    result = replace(result, approval=request_id)
                history.append(result)
                yield ItemDone(result)
        finally:
            for task in tasks:
                task.cancel()

    async def _verdict(self, turn: Turn, spec: ToolSpec, call: ToolCall, history: Sequence[Item]) -> Verdict:
        """What the rules say, and then the person who was asked: their no holds even if the rules have changed."""
        verdict = strictest([await rule.check_call(turn, spec, call, history) for rule in self.rules])
        request = request_of(call, history)
        if verdict.action == "ask" and request is None and (fault := self._fault(spec, call)):
            return Verdict("deny", fault)
        if verdict.action == "deny" or request is None:
            return verdict
        asked = (request.server, request.address, request.tool, request.arguments)
        if asked != (spec.server, spec.address, spec.tool, call.arguments):
            return Verdict("deny", NOT_APPROVED)
        return answer_to(request, history)

    def _fault(self, spec: ToolSpec, call: ToolCall) -> str:
        """What is wrong with the arguments: nobody is asked about a call that cannot run."""
        try:
            self.toolbox.arguments(spec, call)
        except BadArguments as error:
            return str(error)
        return ""

    async def _answer(self, turn: Turn, call: ToolCall, spec: ToolSpec, verdict: Verdict) -> ToolResult:
        if verdict.action == "deny":
            return failure(call, verdict.reason)
        try:
            arguments = self.toolbox.arguments(spec, call)
        except BadArguments as error:
            return failure(call, str(error))
        result = await self.toolbox.call(spec, call, arguments, turn.owner)
        for rule in self.rules:
            result = await rule.filter_result(turn, spec, call, result)
        return result

    async def unknown_outcomes(
        self, turn: Turn, history: Sequence[Item], intents: frozenset[str]
    ) -> Sequence[ToolResult]:
        """After a crash: results for the calls that were begun, never answered, and are not safe to repeat."""
        begun = [call for call in pending_calls(history) if call.call_id in intents]
        if not begun:
            return []
        specs = {spec.name: spec for spec in await self.toolbox.specs(turn.agent)}
        safe = {name for name, spec in specs.items() if spec.read_only or spec.idempotent}
        return [failure(call, OUTCOME_UNKNOWN) for call in begun if call.name not in safe]
