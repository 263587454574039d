"""A provider that says what it was told to say. For tests, docs and the benchmark; ships with the gateway."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace

from gateway.events import ArgumentsDelta, ItemDone, ItemStarted, ModelEvent, ReasoningDelta, StepDone, TextDelta, Usage
from gateway.items import Item, Message, Reasoning, ToolCall
from gateway.ports import ModelCall

Step = Sequence[Item | asyncio.Event] | Exception | Callable[[ModelCall], "Sequence[Item | asyncio.Event] | Exception"]


class ScriptedProvider:
    """Plays one step a call. A step is items, an exception to raise, or a function of the call that returns either;
    an `asyncio.Event` among the items is waited for. `calls` is what was asked."""

    def __init__(self, *steps: Step) -> None:
        self._steps = list(steps)
        self.calls: list[ModelCall] = []

    async def stream(self, call: ModelCall) -> AsyncIterator[ModelEvent]:
        self.calls.append(call)
        step = self._steps.pop(0)
        if callable(step):
            step = step(call)
        if isinstance(step, Exception):
            raise step
        called = False
        for item in step:
            match item:
                case asyncio.Event():
                    await item.wait()
                    continue
                case Message():
                    yield ItemStarted(replace(item, content=()))
                    for word in item.text.split(" "):
                        yield TextDelta(item.id, word + " ")
                case ToolCall():
                    called = True
                    yield ItemStarted(replace(item, arguments=""))
                    yield ArgumentsDelta(item.id, item.arguments)
                case Reasoning():
                    yield ItemStarted(replace(item, text=""))
                    yield ReasoningDelta(item.id, item.text)
                case _:
                    yield ItemStarted(item)
            yield ItemDone(item)
        usage = Usage(input_tokens=10, output_tokens=5)
        yield StepDone(model=call.models[0], finish="tool_calls" if called else "stop", usage=usage)
