"""Calls of tools as Responses and Conversations write them."""

from typing import Any

import orjson

from gateway.apis._file_search import file_search_call
from gateway.items import NO_SERVER, ApprovalRequest, ToolCall, ToolResult

Wire = dict[str, Any]


def function_call(call: ToolCall, status: str) -> Wire:
    """A call for the client: `custom_tool_call` for a tool that takes free text."""
    if call.type == "custom":
        shown = {"call_id": call.call_id, "name": call.name, "input": free_text(call), "status": status}
        return {"id": call.id, "type": "custom_tool_call", **shown}
    return {
        "id": call.id,
        "type": "function_call",
        "call_id": call.call_id,
        "name": call.name,
        "arguments": call.arguments,
        "status": status,
    }


def free_text(call: ToolCall) -> str:
    """The input of a custom tool's call. A model that ignored the form of the arguments may mean them as they are."""
    try:
        given: object = orjson.loads(call.arguments)
    except orjson.JSONDecodeError:
        return call.arguments
    match given:
        case {"input": str(said)}:
            return said
        case _:
            return call.arguments


def gateway_call(
    call: ToolCall, result: ToolResult | None = None, status: str = "in_progress", *, results: bool = False
) -> Wire:
    """A call that the gateway runs. `results`: with what a search found."""
    if call.type == "file_search":
        return file_search_call(call, result, status, results=results)
    return mcp_call(call, result, status)


def mcp_call(call: ToolCall, result: ToolResult | None = None, status: str = "in_progress") -> Wire:
    """A failed call tells why in `output`: `error` is a string in openai 2.x and an object in 3.x, so it stays null.

    `status` is that of a call without a result.
    """
    if result is not None:
        status = "failed" if result.is_error else "completed"
    return {
        "id": call.id,
        "type": "mcp_call",
        "server_label": call.server or NO_SERVER,
        "name": call.tool or call.name,
        "arguments": call.arguments,
        "output": None if result is None else result.text,
        "error": None,
        "status": status,
        "approval_request_id": (result.approval or None) if result else None,
    }


def approval_request(request: ApprovalRequest) -> Wire:
    """A call that a person must allow."""
    return {
        "id": request.id,
        "type": "mcp_approval_request",
        "server_label": request.server,
        "name": request.tool,
        "arguments": request.arguments,
    }
