"""The turn loop. If you read one file, read this one.

The loop asks one question of the history: does it end in tool calls nobody answered? If so, answer
them; if not, ask the model. Resuming after an approval, after the client ran its own tool, and after a
crash are therefore the same thing as continuing, and none of them has code of its own.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping, Sequence, Set
from contextlib import aclosing
from dataclasses import dataclass, replace

from gateway.agents.spec import AgentSpec
from gateway.citations import cited
from gateway.errors import BadArguments, ContextTooLong, Forbidden, GatewayError, InvalidRequest
from gateway.events import (
    CallsStarted,
    Event,
    ItemDone,
    ItemStarted,
    ModelEvent,
    RunCompleted,
    RunFailed,
    RunPaused,
    RunStarted,
    StepDone,
    Usage,
)
from gateway.items import (
    NO_SERVER,
    ApprovalRequest,
    Item,
    Message,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    approval_of,
    new_id,
    pending_calls,
    request_of,
)
from gateway.ports import Memory, ModelCall, Provider, Rule, Toolbox, ToolSpec, Turn, Verdict
from gateway.sealing import Sealer
from gateway.structured import ATTEMPTS, Form, form_of, misfit
from gateway.tool_choice import allowed, forced, unforced
from gateway.window import Window

OUTCOME_UNKNOWN = (
    "The run stopped while this call was running, so its outcome is unknown. It was not repeated. "
    "Check whether it took effect before you call the tool again."
)
CUT_OFF = "This call was not run: the model's answer was cut off, so its arguments may be incomplete."

FOR_THE_RUN = frozenset({"allowed_tools", "max_tool_calls", "truncation", "sealed_reasoning"})
"""Options of a turn that say how the run goes; the others are for the model."""

BROKEN_OFF = "This call was not run: the run broke off before it."
LIMIT_REACHED = "This call was not run: the agent's limit for one run was reached."
REFUSED = "This call was not run: the user refused it."
NOT_APPROVED = "This call was not run: the user was asked to approve it and did not."
NOBODY_ANSWERED = "This call was not run: nobody approved it in time."


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """The loop with what it stands on: a provider, a toolbox, rules and the memory strategies by name."""

    provider: Provider
    toolbox: Toolbox
    rules: Sequence[Rule]
    memories: Mapping[str, Memory]
    sealer: Sealer

    async def run(self, turn: Turn, history: Sequence[Item]) -> AsyncGenerator[Event]:
        """`history` includes the turn's own input. Never raises GatewayError: a failure is the last event."""
        yield RunStarted(turn.id)
        try:
            await self.admit(turn)
            steps = self._steps(turn, await self._opened(turn, history))
            if turn.options.get("sealed_reasoning"):
                steps = self._sealed(turn, steps)
            async with aclosing(steps) as events:
                async for event in events:
                    yield event
        except GatewayError as error:
            yield RunFailed(error=error)

    async def admit(self, turn: Turn) -> None:
        """Raises Forbidden for an input that a rule denies."""
        refusal = strictest([await rule.check_input(turn) for rule in self.rules])
        if refusal.action == "deny":
            raise Forbidden(refusal.reason, code="refused")

    async def _opened(self, turn: Turn, history: Sequence[Item]) -> list[Item]:
        """The history with the state of the thoughts that a client kept. Raises InvalidRequest for a changed one."""
        return [
            replace(item, state=await self.sealer.open(item.sealed, turn.owner))
            if isinstance(item, Reasoning) and item.sealed and not item.state
            else item
            for item in history
        ]

    async def _sealed(self, turn: Turn, steps: AsyncGenerator[Event]) -> AsyncGenerator[Event]:
        """The events, the model's thoughts with their state for the client to keep."""
        async with aclosing(steps) as events:
            async for event in events:
                if isinstance(event, ItemDone) and isinstance(thought := event.item, Reasoning) and thought.state:
                    event = ItemDone(replace(thought, sealed=await self.sealer.seal(thought.state, turn.owner)))
                yield event

    async def _steps(self, turn: Turn, history: list[Item]) -> AsyncGenerator[Event]:
        agent = turn.agent
        server_tools = await self.toolbox.specs(agent) if agent.tools else ()
        refuse_twins({tool.name for tool in server_tools}, turn.client_tools)
        refuse_missing(agent, server_tools)
        options = {**agent.params, **turn.options}
        tools = allowed([*server_tools, *turn.client_tools], options)
        ours, theirs = {tool.name: tool for tool in tools if tool.server}, {tool.name for tool in turn.client_tools}
        every = ModelCall(
            models=(agent.model, *agent.fallbacks),
            items=(),
            tools=tools,
            options={name: value for name, value in options.items() if name not in FOR_THE_RUN},
            live=turn.live,
        )
        asking, form, window = forced(every), form_of(options), Window(slides=options.get("truncation") == "auto")
        memory, usage, model, steps = self.memories[agent.memory], Usage(), agent.model, 0

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
            if spent:
                yield RunCompleted(reason="max_steps", usage=usage, model=model)
                return

            view, made = await memory.view(turn, history)
            for event in made:
                usage += noted(event, history)
                yield event
            steps, finish = steps + 1, "stop"
            async with aclosing(self._asked(replace(asking, items=view), ours, history, window, form)) as events:
                async for event in events:
                    if isinstance(event, StepDone):
                        finish, model, usage = event.finish, event.model, usage + (event.usage or Usage())
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
        self, call: ModelCall, ours: Mapping[str, ToolSpec], history: list[Item], window: Window, form: Form | None
    ) -> AsyncGenerator[ModelEvent]:
        """One step of the model. Who wants nothing else of it gets its events without a detour for each."""
        if form is not None:
            return self._checked(call, ours, history, window, form)
        return self._fitted(call, ours, history, window) if window.slides else self._ask(call, ours, history)

    async def _checked(
        self, call: ModelCall, ours: Mapping[str, ToolSpec], history: list[Item], window: Window, form: Form
    ) -> AsyncGenerator[ModelEvent]:
        """A model whose answer does not have the form is asked again, twice; raises ProviderError in the end. Each
        attempt is a StepDone; of the answers only the one that fits is told."""
        fault = ""
        for _ in range(ATTEMPTS):
            said: list[Item] = []
            held: list[ModelEvent] = []
            async with aclosing(self._fitted(call, ours, said, window)) as events:
                async for event in events:
                    if isinstance(event, StepDone):
                        fault = form.fault(said, event.finish)
                        if fault:
                            held = []
                        for each in held:
                            yield each
                        held = []
                    if held or (isinstance(event, ItemStarted | ItemDone) and isinstance(event.item, Message)):
                        held.append(event)
                    else:
                        yield event
            if not fault:
                history += said
                return
            history += [item for item in said if not isinstance(item, Message)]
            call = replace(call, items=[*call.items, *said, form.correction(fault)])
        raise misfit(fault)

    async def _fitted(
        self, call: ModelCall, ours: Mapping[str, ToolSpec], history: list[Item], window: Window
    ) -> AsyncGenerator[ModelEvent]:
        """One model call, without the oldest items if that is what it takes. Raises ContextTooLong."""
        while True:
            view = window.view(call.items)
            try:
                async with aclosing(self._ask(replace(call, items=view), ours, history)) as events:
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
        offered = {tool.name: tool for tool in call.tools}
        async with aclosing(self.provider.stream(call)) as events:
            async for event in events:
                if isinstance(event, ItemDone | ItemStarted):
                    item = event.item
                    if isinstance(item, ToolCall):
                        if spec := ours.get(item.name):
                            item = replace(item, server=spec.server, tool=spec.tool, type=spec.type)
                        elif spec := offered.get(item.name):
                            item = replace(item, type=spec.type)
                        else:
                            item = replace(item, server=NO_SERVER, tool=item.name)
                        event = replace(event, item=item)
                    elif isinstance(item, Message) and isinstance(event, ItemDone):
                        event = replace(event, item=(item := cited(item, call.items)))
                    if isinstance(event, ItemDone):
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
                    asked.append(request_of(call, history) or question(call, verdict))
                else:
                    ready.append((call, spec, verdict))
                continue
            else:
                refused = f"There is no tool named {call.name!r}. Available: {', '.join(ours) or 'none'}."
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
        if (request.server, request.tool, request.arguments) != (spec.server, spec.tool, call.arguments):
            return Verdict("deny", NOT_APPROVED)
        approval = approval_of(request, history)
        if approval is None:
            return Verdict("ask") if request.expires_at > time.time() else Verdict("deny", NOBODY_ANSWERED)
        if approval.approved:
            return Verdict("allow")
        if not approval.id:
            return Verdict("deny", NOT_APPROVED)
        return Verdict("deny", f"{REFUSED} Their reason: {approval.reason}" if approval.reason else REFUSED)

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


def noted(event: ModelEvent, history: list[Item]) -> Usage:
    """Take what was made for a view into the history. What it cost."""
    if isinstance(event, ItemDone):
        history.append(event.item)
    return (event.usage if isinstance(event, StepDone) else None) or Usage()


def refuse_twins(ours: Set[str], theirs: Sequence[ToolSpec]) -> None:
    """Two tools of one name cannot be told apart in the model's call. Raises InvalidRequest."""
    for number, tool in enumerate(theirs):
        if tool.name in ours:
            raise InvalidRequest(
                f"The function {tool.name!r} has the name of a tool of this agent. Give it another name.",
                param=f"tools[{number}].name",
                code="invalid_value",
            )


def refuse_missing(agent: AgentSpec, tools: Sequence[ToolSpec]) -> None:
    """An agent does without a tool that is not up; a client that asked for one is told. Raises InvalidRequest."""
    for grant in agent.tools:
        if grant.type != "function" and all(grant.type != tool.type for tool in tools):
            server = grant.tool.partition(".")[0]
            raise InvalidRequest(
                f"There is no {grant.type}: it needs the tool server {server!r}, which is not up.",
                param="tools",
                code="tool_unavailable",
            )


def question(call: ToolCall, verdict: Verdict) -> ApprovalRequest:
    return ApprovalRequest(
        id=new_id("mcpr"),
        call_id=call.call_id,
        server=call.server,
        tool=call.tool,
        arguments=call.arguments,
        expires_at=time.time() + verdict.timeout,
    )


def failures(calls: Sequence[ToolCall], reason: str) -> list[ToolResult]:
    """An error result for each call, so that a later turn does not find it pending."""
    return [failure(call, reason) for call in calls]


def failure(call: ToolCall, reason: str) -> ToolResult:
    return ToolResult(id=new_id("fco"), call_id=call.call_id, content=(Text(text=reason),), is_error=True)


def strictest(verdicts: Sequence[Verdict]) -> Verdict:
    return max(verdicts, key=lambda verdict: ("allow", "ask", "deny").index(verdict.action), default=Verdict())
