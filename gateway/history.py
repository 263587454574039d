"""What a history, which is a sequence of items, says of the run it stands for."""

from collections.abc import Sequence

from gateway.items import Approval, ApprovalRequest, Foreign, Item, Message, ToolCall, ToolResult


def kinds_of(items: Sequence[Item]) -> set[type[Item]]:
    """The classes of these items. Most histories are messages and nothing else, which is seen far sooner than each of
    them is looked at for something that is not there."""
    return set(map(type, items))


def told(items: Sequence[Item]) -> Sequence[Item]:
    """The items with what a model is told of foreign ones in their place."""
    if Foreign not in kinds_of(items):
        return items
    return [each for item in items for each in (item.told if isinstance(item, Foreign) else (item,))]


def pending_calls(history: Sequence[Item]) -> list[ToolCall]:
    """Tool calls that have no result yet.

    This is the only record of a paused, interrupted or crashed run: a history that ends in unanswered
    calls is a run waiting to go on.
    """
    if ToolCall not in kinds_of(history):
        return []
    answered = {item.call_id for item in history if isinstance(item, ToolResult)}
    return [item for item in history if isinstance(item, ToolCall) and item.call_id not in answered]


def request_of(call: ToolCall, history: Sequence[Item]) -> ApprovalRequest | None:
    """The question about this call, if a person was asked."""
    requests = (item for item in reversed(history) if isinstance(item, ApprovalRequest))
    return next((request for request in requests if request.call_id == call.call_id), None)


def approval_of(request: ApprovalRequest, history: Sequence[Item]) -> Approval | None:
    """What the user said to this request; None if nothing yet. Talking on without an answer is a no."""
    later = history[history.index(request) + 1 :]
    for item in later:
        if isinstance(item, Approval) and (item.call_id, item.request_id) == (request.call_id, request.id):
            return item
    if any(isinstance(item, Message) and item.role == "user" for item in later):
        return Approval(id="", call_id=request.call_id, approved=False, request_id=request.id)
    return None
