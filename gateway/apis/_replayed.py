"""Approval requests in a conversation that the client keeps itself and sends as a whole with each request."""

from collections.abc import Mapping
from dataclasses import replace

from gateway.items import Approval, ApprovalRequest, Item, Message, Reasoning, Text, ToolCall, ToolResult, new_id
from gateway.verdicts import REFUSED

NOT_TOLD = "What became of this call is not in the conversation."


def settle(items: list[Item]) -> list[Item]:
    """Requests of a client that keeps the conversation itself, each with what became of its call.

    An `mcp_call` with the `approval_request_id` is the call itself. A request after which the model spoke on was
    answered long ago, and its call has its result here, so that it does not wait for an answer again.
    """
    asked = {item.id: place for place, item in enumerate(items) if isinstance(item, ApprovalRequest)}
    if not asked:
        return items
    ran = {item.approval: item.call_id for item in items if isinstance(item, ToolResult) and item.approval in asked}
    calls = {item.call_id: item for item in items if isinstance(item, ToolCall)}
    approved = {item.request_id for item in items if isinstance(item, Approval) and item.approved}
    spoken = max((place for place, item in enumerate(items) if is_said(item, asked)), default=-1)
    settled: list[Item] = []
    for place, item in enumerate(items):
        match item:
            case ApprovalRequest(id=id):
                # One that was asked again stands where it was asked last.
                if place != asked[id]:
                    continue
                settled += [replace(calls[ran.get(id, id)], call_id=id), item]
                if id not in ran and spoken > place:
                    said = NOT_TOLD if id in approved else REFUSED
                    settled.append(
                        ToolResult(id=new_id("fco"), call_id=id, content=(Text(text=said),), is_error=True, approval=id)
                    )
            case ToolCall(call_id=call_id) if call_id in asked or call_id in ran.values():
                continue
            case ToolResult(approval=id, call_id=call_id) if ran.get(id) == call_id:
                settled.append(replace(item, call_id=id))
            case _:
                settled.append(item)
    return settled


def is_said(item: Item, asked: Mapping[str, int]) -> bool:
    """Whether this is the model's own doing, other than the calls that are asked about."""
    match item:
        case Message(role="assistant") | Reasoning():
            return True
        case ToolCall(call_id=call_id):
            return call_id not in asked
        case _:
            return False
