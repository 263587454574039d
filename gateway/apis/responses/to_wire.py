"""The response object and its parts. `stream.py` fills it, whether anybody watches or not."""

from gateway.apis._items import Wire
from gateway.apis._usage import to_usage
from gateway.errors import GatewayError
from gateway.ports import Turn
from gateway.storage import TurnEnd

ECHO: Wire = {
    "instructions": None,
    "tools": [],
    "tool_choice": "auto",
    "parallel_tool_calls": True,
    "text": {"format": {"type": "text"}, "verbosity": "medium"},
    "reasoning": {"effort": None, "summary": None},
    "temperature": 1.0,
    "top_p": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "top_logprobs": 0,
    "truncation": "disabled",
    "metadata": {},
    "safety_identifier": None,
    "prompt_cache_key": None,
}
"""What a response tells of a request that says nothing, or was not made in this dialect. A turn keeps only what differs
from that, so these values are for ever."""
ERROR_CODES = {"rate_limit_error": "rate_limit_exceeded", "insufficient_quota": "rate_limit_exceeded"}
"""`response.error.code` is a closed list in the SDKs; what is not in it is `server_error` or `invalid_prompt`."""


def to_response(turn: Turn) -> Wire:
    """The object as it is when the run begins: every key that OpenAI, its SDKs or Open Responses require."""
    return {
        "id": turn.id,
        "object": "response",
        "created_at": int(turn.created_at),
        "completed_at": None,
        "status": "queued" if turn.background else "in_progress",
        "background": turn.background,
        "conversation": {"id": turn.conversation} if turn.conversation else None,
        "error": None,
        "incomplete_details": None,
        "previous_response_id": None if turn.conversation else turn.parent,
        "output": [],
        "store": turn.stored,
        "service_tier": "default",
        "usage": None,
        **ECHO,
        **{name: value for name, value in turn.wire.items() if name != "include"},
    }


def to_ending(end: TurnEnd) -> Wire:
    """The fields that an ending changes."""
    usage: Wire = {"usage": to_usage(end.usage)}
    if end.usage.service_tier:
        usage["service_tier"] = end.usage.service_tier
    match end.status:
        case "completed" | "paused":
            return {"status": "completed", "completed_at": int(end.ended_at), **usage}
        case "incomplete":
            reason = end.reason if end.reason in ("content_filter", "steered") else "max_output_tokens"
            return {"status": "incomplete", "incomplete_details": {"reason": reason}, **usage}
        case "failed":
            return {"status": "failed", "error": to_error(end.error or GatewayError()), **usage}
        case "cancelled":
            return {"status": "cancelled", **usage}
        case "in_progress":
            return {}


def to_error(error: GatewayError) -> Wire:
    default = "invalid_prompt" if error.type == "invalid_request_error" else "server_error"
    return {"code": ERROR_CODES.get(error.type, default), "message": str(error)}
