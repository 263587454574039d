"""The tools that a client's MCP server offers, as Responses and Conversations write them: `mcp_list_tools`."""

from typing import Any, cast

from gateway.apis._body import MOST_TOOLS
from gateway.apis._requests import writable
from gateway.errors import InvalidRequest
from gateway.items import ToolList, ToolListing, new_id

Wire = dict[str, Any]


def tool_list(item: ToolList) -> Wire:
    tools = [
        {
            "name": tool.name,
            "description": tool.description,
            "input_schema": tool.schema,
            "annotations": tool.annotations or None,
        }
        for tool in item.tools
    ]
    return {
        "id": item.id,
        "type": "mcp_list_tools",
        "server_label": item.server,
        "tools": tools,
        "error": item.error or None,
    }


def to_tool_list(raw: Wire, where: str) -> ToolList:
    """One that a client brings back. Raises InvalidRequest for what could not be offered to a model."""
    label, listed, error, id = (raw.get(key) for key in ("server_label", "tools", "error", "id"))
    if not isinstance(label, str):
        raise wrong(f"{where}.server_label", "expected a string.")
    if not isinstance(listed, list) or len(cast("list[object]", listed)) > MOST_TOOLS:
        raise wrong(f"{where}.tools", f"expected a list of at most {MOST_TOOLS} tools.")
    tools = [to_listing(tool, f"{where}.tools[{number}]") for number, tool in enumerate(cast("list[object]", listed))]
    return ToolList(
        id=id if isinstance(id, str) and id else new_id("mcpl"),
        server=label,
        tools=tuple(tools),
        error=str(error)[:1000] if error else "",
    )


def to_listing(raw: object, where: str) -> ToolListing:
    tool = cast("Wire", raw) if isinstance(raw, dict) else {}
    match tool:
        case {"name": str(name), "input_schema": dict()}:
            pass
        case _:
            raise wrong(where, "a tool has a 'name' and an 'input_schema'.")
    try:
        schema = writable(cast("Wire", tool["input_schema"]))
        notes: object = tool.get("annotations")
        annotations = writable(cast("Wire", notes)) if isinstance(notes, dict) else {}
    except ValueError as error:
        raise wrong(where, f"{error}.") from None
    return ToolListing(
        name=name, schema=schema, description=str(tool.get("description") or ""), annotations=annotations
    )


def wrong(where: str, message: str) -> InvalidRequest:
    return InvalidRequest(f"Invalid value for '{where}': {message}", param=where, code="invalid_value")
