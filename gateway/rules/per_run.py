"""How often one run may call a tool: `limits: {per_run: N}` of the agent document."""

from collections.abc import Sequence

from gateway.items import Item, ToolCall, ToolResult
from gateway.ports import ALLOWED, Rule, ToolSpec, Turn, Verdict


class PerRun(Rule):
    async def check_call(self, turn: Turn, spec: ToolSpec, call: ToolCall, history: Sequence[Item]) -> Verdict:
        if spec.per_run is None:
            return ALLOWED
        run = history[-next((n for n, item in enumerate(reversed(history)) if is_question(item)), len(history)) :]
        earlier = [item for item in run if isinstance(item, ToolCall) and item.name == call.name]
        place = next(n for n, item in enumerate(earlier) if item.call_id == call.call_id)
        if place < spec.per_run:
            return ALLOWED
        return Verdict("deny", f"{spec.server}.{spec.tool} may be called {spec.per_run} times in one run, not more.")


def is_question(item: Item) -> bool:
    """Where a run begins: anything that is not the model's own doing."""
    return not isinstance(item, ToolCall | ToolResult) and (item.kind == "message" and item.role != "assistant")
