"""What tools a server of this process has, without keeping it: for commands that look at agent documents."""

from collections import deque

import anyio
from mcp.server import MCPServer

from gateway.tools.connection import connect, create_server, listed
from gateway.tools.link import ListedTool
from gateway.tools.settings import ServerSettings


async def tools_of(name: str, settings: ServerSettings) -> tuple[ListedTool, ...]:
    """The tools of a `module` server. Raises whatever the server raises, and TimeoutError."""
    server = create_server(settings)
    if isinstance(server, MCPServer):
        # It need not be started for that: `rag` would begin to read its folders.
        return tuple(listed(tool) for tool in await server.list_tools())
    with anyio.fail_after(settings.connect_timeout):
        async with connect(name, settings, server, lambda: None, deque(), listens=False) as connection:
            return await connection.tools()
