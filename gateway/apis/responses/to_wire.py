"""The response object, and a finished turn as one. Streaming is in `stream.py`; both show the same object."""

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet

from gateway.apis._items import Wire, to_wire
from gateway.errors import GatewayError
from gateway.events import Event, ItemDone, RunCancelled, RunCompleted, RunFailed, RunPaused, Usage
from gateway.items import Item
from gateway.ports import StoredTurn, Turn, TurnEnd
from gateway.recorder import to_end

ERROR_CODES = {"rate_limit_error": "rate_limit_exceeded", "insufficient_quota": "rate_limit_exceeded"}
"""`response.error.code` is a closed list in the SDKs; what is not in it is `server_error` or `invalid_prompt`."""


def to_response(turn: Turn) -> Wire:
    """The object as it is when the run begins: every key that OpenAI, its SDKs or Open Responses require."""
    echo = dict(turn.wire)
    return {
        "id": turn.id,
        "object": "response",
        "created_at": int(turn.created_at),
        "completed_at": None,
        "status": "in_progress",
        "background": False,
        "conversation": {"id": turn.conversation} if turn.conversation else None,
        "error": None,
        "incomplete_details": None,
        "previous_response_id": None if turn.conversation else turn.parent,
        "output": [],
        "store": turn.stored,
        "service_tier": "default",
        "top_logprobs": 0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "max_tool_calls": None,
        "usage": None,
        **echo,
    }


def finished(turn: Turn, output: Iterable[Item], end: TurnEnd | None) -> Wire:
    """The object as it is when the run has ended, or as far as it got."""
    response = to_response(turn)
    wires = to_wire(output, client_tools(turn))
    if end is None:
        return {**response, "output": wires}
    return {**response, "output": wires, **to_ending(end, wires)}


def to_ending(end: TurnEnd, output: Sequence[Wire]) -> Wire:
    """The fields that an ending changes. In an incomplete response the message that was cut off is incomplete too."""
    usage = to_usage(end.usage)
    match end.status:
        case "completed" | "paused":
            return {"status": "completed", "completed_at": int(end.ended_at), "usage": usage}
        case "incomplete":
            reason = "content_filter" if end.reason == "content_filter" else "max_output_tokens"
            if output and end.reason != "max_steps" and "status" in output[-1]:
                output[-1]["status"] = "incomplete"
            return {"status": "incomplete", "incomplete_details": {"reason": reason}, "usage": usage}
        case "failed":
            return {"status": "failed", "error": to_error(end.error or GatewayError()), "usage": usage}
        case "cancelled":
            return {"status": "cancelled", "usage": usage}
        case "in_progress":
            return {}


def to_error(error: GatewayError) -> Wire:
    default = "invalid_prompt" if error.type == "invalid_request_error" else "server_error"
    return {"code": ERROR_CODES.get(error.type, default), "message": str(error)}


def to_usage(usage: Usage) -> Wire:
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cached_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }


def client_tools(turn: Turn) -> AbstractSet[str]:
    return {tool.name for tool in turn.client_tools}


def fold(turn: Turn, events: Iterable[Event]) -> Wire:
    """A finished run as one object. Raises the error of a run that failed before it produced anything."""
    output: list[Item] = []
    end: TurnEnd | None = None
    for event in events:
        match event:
            case ItemDone(item=item):
                output.append(item)
            case RunFailed(error=error) if not output:
                raise error
            case RunPaused() | RunCompleted() | RunFailed() | RunCancelled():
                end = to_end(event)
            case _:
                pass
    return finished(turn, output, end)


def stored_response(stored: StoredTurn) -> Wire:
    return finished(stored.turn, stored.output, stored.end)
