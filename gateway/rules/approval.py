"""Which calls a person must approve: `approval: always | never | destructive` of the agent document."""

from collections.abc import Sequence

from gateway.items import Item, ToolCall
from gateway.ports import ALLOWED, Rule, ToolSpec, Turn, Verdict


class AskFirst(Rule):
    async def check_call(self, turn: Turn, spec: ToolSpec, call: ToolCall, history: Sequence[Item]) -> Verdict:
        destroys = spec.destructive and not spec.read_only
        if spec.asks == "always" or (spec.asks == "destructive" and destroys):
            return Verdict("ask", timeout=spec.approval_timeout)
        return ALLOWED
