"""A tool server for the tests: in process (`create_server`), over stdio (`python sample_server.py`) and over HTTP
(`python sample_server.py http FD`, on a socket that the test has bound)."""

import asyncio
import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import uvicorn
from mcp import MCPError
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult, EmbeddedResource, ImageContent, TextContent, TextResourceContents, ToolAnnotations

LONG_NAME = "поиск по базе знаний " * 5


def create_server(settings: Mapping[str, Any]) -> MCPServer[Any]:
    server: MCPServer[Any] = MCPServer("sample")
    add_plain_tools(server)
    add_failing_tools(server)
    add_content_tools(server)
    add_endless_tools(server, Path(settings["marks"]) if "marks" in settings else None)
    return server


def add_plain_tools(server: MCPServer[Any]) -> None:
    @server.tool(annotations=ToolAnnotations(read_only_hint=True, open_world_hint=False))
    def echo(text: str, severity: Literal["low", "high"] = "low") -> str:
        """Say it again."""
        return f"{severity}: {text}"

    @server.tool(name=LONG_NAME)
    def long_name() -> str:
        """A tool whose name no provider accepts."""
        return "found"

    @server.tool(structured_output=False)
    def pid() -> str:
        return str(os.getpid())

    @server.tool(structured_output=False)
    async def grow(ctx: Context) -> str:
        """Another tool appears."""
        server.add_tool(lambda: "new", name="grown", description="new")
        await ctx.notify_tools_changed()
        await ctx.session.send_tool_list_changed()
        return "grown"


def add_failing_tools(server: MCPServer[Any]) -> None:
    @server.tool()
    def crash() -> str:
        """Fails in a way that its author did not foresee."""
        raise RuntimeError("a secret detail")

    @server.tool()
    def refuse() -> str:
        raise ToolError("there is no such ticket")

    @server.tool()
    def protocol() -> str:
        raise MCPError(code=-32602, message="not today")


def add_content_tools(server: MCPServer[Any]) -> None:
    @server.tool(structured_output=False)
    def rich() -> CallToolResult:
        resource = TextResourceContents(uri="file:///a", text="from a file")
        content = [
            TextContent(type="text", text="a picture"),
            ImageContent(type="image", data="QUJD", mime_type="image/png"),
            EmbeddedResource(type="resource", resource=resource),
        ]
        return CallToolResult(content=content)

    @server.tool(structured_output=False)
    def structured() -> CallToolResult:
        return CallToolResult(content=[], structured_content={"total": 3})

    @server.tool(structured_output=False)
    def huge(size: int) -> str:
        return "x" * size


def add_endless_tools(server: MCPServer[Any], marks: Path | None) -> None:
    """They say by files in `marks` that they have begun and that they were cancelled."""

    def mark(name: str) -> None:
        if marks:
            (marks / name).touch()

    @server.tool(annotations=ToolAnnotations(destructive_hint=False, idempotent_hint=True))
    async def wait() -> str:
        """Never comes back by itself."""
        mark("waiting")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            mark("cancelled")
            raise
        return "never"

    @server.tool(structured_output=False)
    async def fire() -> str:
        """Never comes back either, and is not safe to repeat."""
        mark("waiting")
        await asyncio.Event().wait()
        return "never"


def main() -> None:
    settings = {"marks": sys.argv[-1]} if len(sys.argv) > 1 and Path(sys.argv[-1]).is_dir() else {}
    server = create_server(settings)
    if sys.argv[1:2] != ["http"]:
        server.run()
        return
    listening = socket.socket(fileno=int(sys.argv[2]))
    config = uvicorn.Config(server.streamable_http_app(), log_level="warning", lifespan="on")
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
