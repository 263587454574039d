"""The model that the clients under test talk to. It answers by what it is asked, whatever the order."""

import asyncio
from collections.abc import Sequence

from gateway.errors import ProviderRateLimited
from gateway.items import Item, Message, Reasoning, Text, ToolCall, ToolResult, new_id
from gateway.ports import ModelCall

HELLO = "hello there"
CITY = '{"city": "Oslo", "degrees": 4}'


def reply(call: ModelCall) -> Sequence[Item | asyncio.Event] | Exception:
    """A call of the first tool for "weather", the results of calls, the earlier questions for "before", an object for
    a JSON format, an error for "fail", a thought first for "think", else HELLO."""
    asked = [item.text for item in call.items if isinstance(item, Message) and item.role == "user"]
    last = call.items[-1]
    if isinstance(last, ToolResult):
        return [said(f"It is {' and '.join(answers(call.items))}.")]
    question = asked[-1] if asked else ""
    if "fail" in question:
        return ProviderRateLimited("Slow down.", retry_after=1)
    if "weather" in question and call.tools and call.options.get("tool_choice") != "none":
        cities = ("Oslo", "Bergen") if "both" in question else ("Oslo",)
        return [called(call.tools[0].name, f'{{"city": "{city}"}}') for city in cities]
    if call.options.get("response_format", {}).get("type") in ("json_schema", "json_object"):
        return [said(CITY)]
    if "before" in question:
        return [said("You said: " + ", ".join(asked[:-1]))]
    if "think" in question:
        return [Reasoning(id=new_id("rs"), text="Let me see."), said(HELLO)]
    return [said(HELLO)]


def answers(items: Sequence[Item]) -> list[str]:
    """The results that stand at the end of the history."""
    texts: list[str] = []
    for item in reversed(items):
        if not isinstance(item, ToolResult):
            break
        texts.insert(0, item.text)
    return texts


def said(text: str) -> Message:
    return Message(id=new_id("msg"), role="assistant", content=(Text(text=text),))


def called(name: str, arguments: str) -> ToolCall:
    return ToolCall(id=new_id("fc"), call_id=new_id("call"), name=name, arguments=arguments)
