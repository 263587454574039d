"""A provider that says what it was told to say. For tests, docs and the benchmark; ships with the gateway.

In a YAML script a step is one line of a list, tried in order:

    - {when: "refund", call: {name: rag__search, arguments: {query: refund}}}
    - {when: "rag__search", say: "Refunds take five days."}
    - {say: "Hello."}
    - {error: {status: 429, code: rate_limit_exceeded, message: "Slow down."}}

A step with `when` is said as often as that text is in the last user message, or is the name of the tool that was
called last; of the others each is said once. A step may hold `say`, `think`, `call` (one or a list of them) together.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, cast

import orjson
import yaml

from gateway.errors import ProviderError, ProviderRefused
from gateway.events import (
    ArgumentsDelta,
    Finish,
    ItemDone,
    ItemStarted,
    ModelEvent,
    ReasoningDelta,
    RefusalDelta,
    StepDone,
    SummaryDelta,
    TextDelta,
    Usage,
)
from gateway.items import Item, Message, Reasoning, Refusal, Text, ToolCall, ToolResult, new_id
from gateway.ports import ModelCall, ToolSpec
from gateway.providers.item_ids import call_item_id
from gateway.providers.targets import Answer, Target
from gateway.providers.vendor_errors import from_body

USAGE = Usage(input_tokens=10, output_tokens=5)
"""What every step is said to have cost."""

Said = Sequence[Item | asyncio.Event] | Exception
Step = Said | Callable[[ModelCall], Said]


class ScriptedProvider:
    """Plays one step a call. A step is items, an exception to raise, or a function of the call that returns either;
    an `asyncio.Event` among the items is waited for. `calls` is what was asked. Text streams word by word."""

    def __init__(self, *steps: Step) -> None:
        self._steps = list(steps)
        self.calls: list[ModelCall] = []

    @classmethod
    def from_yaml(cls, path: Path | str) -> Self:
        """A script from a file, for `model: scripted/FILE`. Raises ProviderRefused where it cannot be read as one."""
        if Path(path).suffix not in (".yaml", ".yml"):
            raise ProviderRefused(
                f"A script is a YAML file, and {str(path)!r} is not named so.", code="model_not_found"
            )
        try:
            document: object = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ProviderRefused(f"The script {str(path)!r} cannot be read.", code="model_not_found") from error
        if not isinstance(document, list) or not all(isinstance(step, dict) for step in cast(list[object], document)):
            raise ProviderRefused(f"The script {str(path)!r} is not a list of steps.", code="model_not_found")
        provider = cls()
        provider._steps = [WrittenSteps(cast(list[dict[str, Any]], document))]
        return provider

    async def stream(self, call: ModelCall) -> AsyncGenerator[ModelEvent]:
        self.calls.append(call)
        step = self._next()
        said = step(call) if callable(step) else step
        if isinstance(said, Exception):
            raise said
        finish: Finish = "stop"
        for item in said:
            if isinstance(item, asyncio.Event):
                await item.wait()
                continue
            finish = "tool_calls" if isinstance(item, ToolCall) else finish
            for event in spoken(item):
                yield event
        yield StepDone(model=call.models[0], finish=finish, usage=USAGE)

    def _next(self) -> Step:
        if not self._steps:
            raise ProviderError("The script has no step left.", code="script_ended")
        if isinstance(self._steps[0], WrittenSteps):
            return self._steps[0]
        return self._steps.pop(0)


class WrittenSteps:
    """The steps of a YAML script: chooses one for each call."""

    def __init__(self, steps: Sequence[dict[str, Any]]) -> None:
        self._steps = list(steps)

    def __call__(self, call: ModelCall) -> Said:
        asked, tool = last_user_text(call.items), last_tool(call.items)
        for step in self._steps:
            when = step.get("when")
            if when is None:
                self._steps.remove(step)
                return written(step, call.tools)
            if when == tool or (not tool and str(when).lower() in asked.lower()):
                return written(step, call.tools)
        return ProviderError("The script has no step for this.", code="script_ended")


def written(step: Mapping[str, Any], tools: Sequence[ToolSpec]) -> Said:
    """What a step of a YAML script says."""
    if error := step.get("error"):
        return from_body("scripted", {"error": error}, error.get("status"))
    items: list[Item] = []
    if thought := step.get("think"):
        items.append(Reasoning(id=new_id("rs"), text=str(thought)))
    if (text := step.get("say")) is not None:
        items.append(Message(id=new_id("msg"), role="assistant", content=(Text(text=str(text)),)))
    calls: Any = step.get("call") or []
    for one in cast(list[dict[str, Any]], calls if isinstance(calls, list) else [calls]):
        given: Any = one.get("arguments", {})
        arguments = given if isinstance(given, str) else orjson.dumps(given).decode()
        name = str(one["name"])
        items.append(ToolCall(id=call_item_id(name, tools), call_id=new_id("call"), name=name, arguments=arguments))
    return items


def last_user_text(items: Sequence[Item]) -> str:
    return next((item.text for item in reversed(items) if isinstance(item, Message) and item.role == "user"), "")


def last_tool(items: Sequence[Item]) -> str:
    """The tool whose result is the last thing in the history; empty if something else is."""
    if not items or not isinstance(items[-1], ToolResult):
        return ""
    answered = items[-1].call_id
    return next((item.name for item in items if isinstance(item, ToolCall) and item.call_id == answered), "")


def spoken(item: Item) -> Sequence[ModelEvent]:
    """The events of one item. Its deltas joined are the item."""
    match item:
        case Message():
            events: list[ModelEvent] = [ItemStarted(replace(item, content=()))]
            for part in item.content:
                if isinstance(part, Text):
                    events.extend(TextDelta(item.id, word) for word in words(part.text))
                elif isinstance(part, Refusal):
                    events.extend(RefusalDelta(item.id, word) for word in words(part.text))
        case ToolCall():
            events = [ItemStarted(replace(item, arguments="")), ArgumentsDelta(item.id, item.arguments)]
        case Reasoning():
            events = [ItemStarted(Reasoning(id=item.id))]
            events += [SummaryDelta(item.id, word) for word in words(item.summary)]
            events += [ReasoningDelta(item.id, word) for word in words(item.text)]
        case _:
            events = [ItemStarted(item)]
    return [*events, ItemDone(item)]


def words(text: str) -> list[str]:
    """The words with the space before them, so that they join to the text."""
    first, *rest = text.split(" ")
    return [word for word in (first, *(f" {word}" for word in rest)) if word]


class ScriptedLane:
    """`model: scripted/FILE.yaml` as a lane. Every file is read once and goes on where it was."""

    def __init__(self) -> None:
        self._scripts: dict[str, ScriptedProvider] = {}

    def begin(self, call: ModelCall, target: Target) -> Answer[ModelEvent]:
        script = self._scripts.get(target.model)
        if script is None:
            script = self._scripts[target.model] = ScriptedProvider.from_yaml(target.model)
        return ScriptedAnswer(script.stream(replace(call, models=[target.id])))


class ScriptedAnswer:
    def __init__(self, events: AsyncGenerator[ModelEvent]) -> None:
        self._events = events

    async def next(self) -> list[ModelEvent] | None:
        event = await anext(self._events, None)
        return None if event is None else [event]

    async def close(self) -> None:
        await self._events.aclose()
