"""What a turn cannot begin with."""

from collections.abc import Sequence

from gateway.errors import InvalidRequest
from gateway.history import kinds_of, pending_calls, told
from gateway.item_sizes import size_of
from gateway.items import ApprovalRequest, Foreign, Item, ToolCall, ToolResult

CALLING = frozenset({ToolCall, ToolResult, Foreign})
"""Items that are, or may hold, a call or its result."""


def refuse_too_long(history: Sequence[Item], most: int, param: str) -> None:
    if (size := sum(map(size_of, history))) > most:
        raise InvalidRequest(
            f"The conversation has {size} characters with this; the limit is {most} (`max_history`).",
            code="context_length_exceeded",
            param=param,
        )


def answerable(before: Sequence[Item], given: Sequence[Item], *, runs: bool = True) -> list[ToolCall]:
    """The calls without a result, all the gateway's. Raises InvalidRequest where OpenAI's rules are broken: every
    client-run call has its output, every output belongs to a call, and none is given twice. Unless the turn `runs`
    calls, none may be without a result."""
    if kinds_of([*before, *given]).isdisjoint(CALLING):
        return []
    before, history = told(before), told([*before, *given])
    given = history[len(before) :]
    calls = {item.call_id for item in history if isinstance(item, ToolCall)}
    answered = {item.call_id for item in before if isinstance(item, ToolResult)}
    for item in given:
        if not isinstance(item, ToolResult):
            continue
        if item.call_id not in calls:
            raise InvalidRequest(
                f"No tool call found for function call output with call_id {item.call_id}.", param="input"
            )
        if item.call_id in answered:
            raise InvalidRequest(f"The function call {item.call_id} has its output already.", param="input")
    open_calls = pending_calls(history)
    # What the gateway runs is asked for by a model, and not by a client, unless that brings it back with its request.
    made_up = {item.call_id for item in given if isinstance(item, ToolCall)}
    made_up -= {item.call_id for item in given if isinstance(item, ApprovalRequest)}
    for call in open_calls:
        if not call.server or not runs or call.call_id in made_up:
            raise InvalidRequest(f"No tool output found for function call {call.call_id}.", param="input")
    return open_calls
