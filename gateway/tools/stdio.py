"""Serves one MCP server object over this process's stdin and stdout."""

import anyio
from mcp.server import MCPServer
from mcp.server.stdio import stdio_server

from gateway.tools.connection import InProcessServer


def serve(server: InProcessServer) -> None:
    """Until stdin closes. Nothing else may be written to stdout."""
    anyio.run(_serve, server)


async def _serve(server: InProcessServer) -> None:
    if isinstance(server, MCPServer):
        await server.run_stdio_async()
        return
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())
