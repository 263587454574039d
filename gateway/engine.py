"""The turn loop. If you read one file, read this one.

The loop asks one question of the history: does it end in tool calls nobody answered? If so, answer
them; if not, ask the model. Resuming after an approval, after the client ran its own tool, and after a
crash are therefore the same thing as continuing, and none of them has code of its own.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from gateway.errors import BadArguments, Forbidden, GatewayError, InvalidRequest
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
from gateway.items import NO_SERVER, Item, Text, ToolCall, ToolResult, approval_of, new_id, pending_calls
from gateway.ports import Memory, ModelCall, Provider, Rule, Toolbox, ToolSpec, Turn, Verdict

OUTCOME_UNKNOWN = (
    "The run stopped while this call was running, so its outcome is unknown. It was not repeated. "
    "Check whether it took effect before you call the tool again."
)
CUT_OFF = "This call was not run: the model's answer was cut off, so its arguments may be incomplete."

BROKEN_OFF = "This call was not run: the run broke off before it."
LIMIT_REACHED = "This call was not run: the agent's limit for one run was reached."


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """The loop with what it stands on: a provider, a toolbox, rules and the memory strategies by name."""

    provider: Provider
    toolbox: Toolbox
    rules: Sequence[Rule]
    memories: Mapping[str, Memory]

    async def run(self, turn: Turn, history: Sequence[Item]) -> AsyncGenerator[Event]:
        """`history` includes the turn's own input. Never raises GatewayError: a failure is the last event."""
        yield RunStarted(turn.id)
        try:
            await self.admit(turn)
            async with aclosing(self._steps(turn, list(history))) as events:
                async for event in events:
                    yield event
        except GatewayError as error:
            yield RunFailed(error=error)

    async def admit(self, turn: Turn) -> None:
        """Raises Forbidden for an input that a rule denies."""
        refusal = strictest([await rule.check_input(turn) for rule in self.rules])
        if refusal.action == "deny":
            raise Forbidden(refusal.reason, code="refused")

    async def _steps(self, turn: Turn, history: list[Item]) -> AsyncGenerator[Event]:
        agent = turn.agent
        server_tools = await self.toolbox.specs(agent) if agent.tools else ()
        ours, theirs = {tool.name: tool for tool in server_tools}, {tool.name for tool in turn.client_tools}
        refuse_twins(ours, turn.client_tools)
        options = {**agent.params, **turn.options}
        asking = ModelCall(
            models=(agent.model, *agent.fallbacks),
            items=(),
            tools=[*server_tools, *turn.client_tools],
            options=options,
            live=turn.live,
        )
        memory, usage, model, steps = self.memories[agent.memory], Usage(), agent.model, 0

        while True:
            spent = steps == agent.max_steps or (
                agent.max_tokens is not None and usage.output_tokens >= agent.max_tokens
            )
            if pending_calls(history):
                asked: list[ToolCall] = []
                async with aclosing(self._answers(turn, ours, theirs, history, asked, spent=spent)) as answers:
                    async for event in answers:
                        yield event
                waiting = tuple(call for call in pending_calls(history) if call not in asked)
                if waiting or asked:
                    yield RunPaused(client_calls=waiting, asked_calls=tuple(asked), usage=usage, model=model)
                    return
            if spent:
                yield RunCompleted(reason="max_steps", usage=usage, model=model)
                return

            view = await memory.view(turn, history)
            steps, finish = steps + 1, "stop"
            async with aclosing(self._ask(replace(asking, items=view), ours, history)) as events:
                async for event in events:
                    if isinstance(event, StepDone):
                        finish, model, usage = event.finish, event.model, usage + (event.usage or Usage())
                    yield event
            if finish in ("length", "content_filter"):
                for result in failures(pending_calls(history), CUT_OFF):
                    yield ItemDone(result)
                yield RunCompleted(reason=finish, usage=usage, model=model)
                return
            if not pending_calls(history):
                yield RunCompleted(reason="stop", usage=usage, model=model)
                return
            asking = replace(asking, options=unforced(options))

    async def _ask(
        self, call: ModelCall, ours: Mapping[str, ToolSpec], history: list[Item]
    ) -> AsyncGenerator[ModelEvent]:
        """One model call. Its items join the history; its tool calls learn which server they are for."""
        offered = {tool.name for tool in call.tools}
        async with aclosing(self.provider.stream(call)) as events:
            async for event in events:
                if isinstance(event, ItemDone | ItemStarted):
                    item = event.item
                    if isinstance(item, ToolCall):
                        if spec := ours.get(item.name):
                            item = replace(item, server=spec.server, tool=spec.tool)
                        elif item.name not in offered:
                            item = replace(item, server=NO_SERVER, tool=item.name)
                        event = replace(event, item=item)
                    if isinstance(event, ItemDone):
                        history.append(item)
                yield event

    async def _answers(
        self,
        turn: Turn,
        ours: Mapping[str, ToolSpec],
        theirs: set[str],
        history: list[Item],
        asked: list[ToolCall],
        *,
        spent: bool,
    ) -> AsyncGenerator[Event]:
        """Answer every call the gateway may answer now, all at once; those a person must approve go to `asked`.

        `spent`: nothing may be run any more.
        """
        ready: list[tuple[ToolCall, ToolSpec, Verdict]] = []
        for call in pending_calls(history):
            if call.name in theirs:
                continue
            if spent:
                refused = LIMIT_REACHED
            elif spec := ours.get(call.name):
                verdict = await self._verdict(turn, spec, call, history)
                if verdict.action == "ask":
                    asked.append(call)
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
        tasks = [asyncio.create_task(self._answer(turn, *each)) for each in ready]
        try:
            for task in asyncio.as_completed(tasks):
                result = await task
                history.append(result)
                yield ItemDone(result)
        finally:
            for task in tasks:
                task.cancel()

    async def _verdict(self, turn: Turn, spec: ToolSpec, call: ToolCall, history: Sequence[Item]) -> Verdict:
        verdict = strictest([await rule.check_call(turn, spec, call, history) for rule in self.rules])
        if verdict.action == "ask" and (approved := approval_of(call, history)) is not None:
            return Verdict("allow") if approved else Verdict("deny", "The user refused this call.")
        return verdict

    async def _answer(self, turn: Turn, call: ToolCall, spec: ToolSpec, verdict: Verdict) -> ToolResult:
        if verdict.action == "deny":
            return failure(call, verdict.reason)
        try:
            arguments = self.toolbox.arguments(spec, call)
        except BadArguments as error:
            return failure(call, str(error))
        result = await self.toolbox.call(spec, call, arguments)
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


def refuse_twins(ours: Mapping[str, ToolSpec], theirs: Sequence[ToolSpec]) -> None:
    """Two tools of one name cannot be told apart in the model's call. Raises InvalidRequest."""
    for number, tool in enumerate(theirs):
        if tool.name in ours:
            raise InvalidRequest(
                f"The function {tool.name!r} has the name of a tool of this agent. Give it another name.",
                param=f"tools[{number}].name",
                code="invalid_value",
            )


def unforced(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """The options once a call was made: a tool that must be called is called once, not for ever."""
    return options if options.get("tool_choice") in (None, "auto", "none") else {**options, "tool_choice": "auto"}


def failures(calls: Sequence[ToolCall], reason: str) -> list[ToolResult]:
    """An error result for each call, so that a later turn does not find it pending."""
    return [failure(call, reason) for call in calls]


def failure(call: ToolCall, reason: str) -> ToolResult:
    return ToolResult(id=new_id("fco"), call_id=call.call_id, content=(Text(text=reason),), is_error=True)


def strictest(verdicts: Sequence[Verdict]) -> Verdict:
    return max(verdicts, key=lambda verdict: ("allow", "ask", "deny").index(verdict.action), default=Verdict())
