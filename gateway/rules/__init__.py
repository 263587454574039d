"""What is allowed. Adding one: a file here, a line in RULES; every run passes all of them, in this order."""

from gateway.ports import Rule
from gateway.rules.approval import AskFirst
from gateway.rules.max_tool_calls import MaxToolCalls
from gateway.rules.per_run import PerRun

RULES: dict[str, type[Rule]] = {
    "per_run": PerRun,
    "approval": AskFirst,
    "max_tool_calls": MaxToolCalls,
}
