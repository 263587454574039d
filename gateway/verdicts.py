"""What becomes of a call that is not simply run, in the words that the model is told."""

import time
from collections.abc import Mapping, Sequence

from gateway.history import approval_of, request_of
from gateway.items import ApprovalRequest, Item, Text, ToolCall, ToolResult, new_id, random_id
from gateway.ports import ALLOWED, ToolSpec, Verdict

OUTCOME_UNKNOWN = (
    "The run stopped while this call was running, so its outcome is unknown. It was not repeated. "
    "Check whether it took effect before you call the tool again."
)
CUT_OFF = "This call was not run: the model's answer was cut off, so its arguments may be incomplete."
BROKEN_OFF = "This call was not run: the run broke off before it."
LIMIT_REACHED = "This call was not run: the agent's limit for one run was reached."
REFUSED = "This call was not run: the user refused it."
NOT_APPROVED = "This call was not run: the user was asked to approve it and did not."
NOBODY_ANSWERED = "This call was not run: nobody approved it in time."


def without_tool(call: ToolCall, ours: Mapping[str, ToolSpec], history: Sequence[Item]) -> str:
    """Why a call is not run whose tool is not there. A person's no is one all the same."""
    request = request_of(call, history)
    said = answer_to(request, history) if request else ALLOWED
    if said.action == "deny":
        return said.reason
    return f"There is no tool named {call.name!r}. Available: {', '.join(ours) or 'none'}."


def answer_to(request: ApprovalRequest, history: Sequence[Item]) -> Verdict:
    """What the person said, `ask` while there is time to say it."""
    approval = approval_of(request, history)
    if approval is None:
        return Verdict("ask") if request.expires_at > time.time() else Verdict("deny", NOBODY_ANSWERED)
    if approval.approved:
        return ALLOWED
    if not approval.id:
        return Verdict("deny", NOT_APPROVED)
    return Verdict("deny", f"{REFUSED} Their reason: {approval.reason}" if approval.reason else REFUSED)


def question(call: ToolCall, spec: ToolSpec, verdict: Verdict) -> ApprovalRequest:
    return ApprovalRequest(
        # A person writes its first digits as the code that approves it.
        id=random_id("mcpr"),
        call_id=call.call_id,
        server=call.server,
        tool=call.tool,
        arguments=call.arguments,
        expires_at=time.time() + verdict.timeout,
        address=spec.address,
    )


def failures(calls: Sequence[ToolCall], reason: str) -> list[ToolResult]:
    """An error result for each call, so that a later turn does not find it pending."""
    return [failure(call, reason) for call in calls]


def failure(call: ToolCall, reason: str) -> ToolResult:
    return ToolResult(id=new_id("fco"), call_id=call.call_id, content=(Text(text=reason),), is_error=True)


def strictest(verdicts: Sequence[Verdict]) -> Verdict:
    return max(verdicts, key=lambda verdict: ("allow", "ask", "deny").index(verdict.action), default=ALLOWED)
