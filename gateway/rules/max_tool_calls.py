"""How many calls of the gateway's one run may make: `max_tool_calls` of the request, whichever tools they are of."""

from collections.abc import Sequence

from gateway.items import NO_SERVER, Item, ToolCall
from gateway.ports import ALLOWED, Rule, ToolSpec, Turn, Verdict


class MaxToolCalls(Rule):
    async def check_call(self, turn: Turn, spec: ToolSpec, call: ToolCall, history: Sequence[Item]) -> Verdict:
        most: int | None = turn.options.get("max_tool_calls")
        if most is None:
            return ALLOWED
        asked = {item.id for item in turn.input}
        begin = max((place for place, item in enumerate(history) if item.id in asked), default=-1) + 1
        made = [item.call_id for item in history[begin:] if isinstance(item, ToolCall) and is_ours(item)]
        if call.call_id not in made or made.index(call.call_id) < most:
            return ALLOWED
        return Verdict("deny", f"This call was not run: the request allows {most} tool calls, and they are used up.")


def is_ours(call: ToolCall) -> bool:
    return call.server not in ("", NO_SERVER)
