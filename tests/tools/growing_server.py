"""A tool server that gets another tool right after it has been asked for its tools, and tells nobody."""

from collections.abc import Mapping
from typing import Any

from mcp.server import MCPServer
from mcp.types import Tool


class Growing(MCPServer[Any]):
    async def list_tools(self) -> list[Tool]:
        tools = await super().list_tools()
        if len(tools) == 1:
            self.add_tool(lambda: "new", name="second", description="new")
        return tools


def create_server(settings: Mapping[str, Any]) -> MCPServer[Any]:
    server = Growing("growing")
    server.add_tool(lambda: "old", name="first", description="old")
    return server
