"""A server that takes as long to load as the test wants: until nobody else holds a lock on the file `gate`."""

import fcntl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mcp.server import MCPServer


def create_server(settings: Mapping[str, Any]) -> MCPServer:
    with Path(str(settings["gate"])).open() as gate:
        fcntl.flock(gate, fcntl.LOCK_EX)
    server = MCPServer("gated")

    @server.tool()
    def passed() -> str:
        """Says that it is there."""
        return "through the gate"

    return server
