"""A tool server that is up but lists nonsense: schemas that cannot be used, a name twice, pages without an end."""

from collections.abc import Mapping
from typing import Any

from mcp.server import Server
from mcp.types import CallToolResult, ListToolsResult, TextContent, Tool

SCHEMAS: dict[str, dict[str, Any]] = {
    "good": {"type": "object", "properties": {"x": {"type": "integer"}}},
    "bare": {"type": "object"},
    "wrong": {"type": "object", "properties": {"x": {"type": "no such type"}}},
    "remote": {"type": "object", "allOf": [{"$ref": "http://127.0.0.1:9/schema.json"}]},
    "endless": {"type": "object", "$ref": "#"},
    "enormous": {"type": "object", "description": "x" * 200_000},
}


def create_server(settings: Mapping[str, Any]) -> Server[Any]:
    async def list_tools(context: object, params: object) -> ListToolsResult:
        tools = [Tool(name=name, description="x" * 20_000, input_schema=schema) for name, schema in SCHEMAS.items()]
        again = Tool(name="good", description="another", input_schema={"type": "object"})
        return ListToolsResult(tools=[*tools, again], next_cursor="again")

    async def call_tool(context: object, params: object) -> CallToolResult:
        return CallToolResult(content=[TextContent(type="text", text="done")])

    return Server("odd", on_list_tools=list_tools, on_call_tool=call_tool)
