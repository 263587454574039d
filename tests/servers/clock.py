"""Tools that tests need: one that answers, one that fails, one that waits for a file, one that counts its calls."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations


def create_server(settings: Mapping[str, Any]) -> MCPServer:
    """`folder` is where `wait` looks for its file and `count` keeps its tally."""
    server = MCPServer("clock")
    folder = Path(str(settings.get("folder", ".")))

    @server.tool(annotations=ToolAnnotations(read_only_hint=True))
    def now(zone: str = "UTC") -> str:
        """The time."""
        return f"12:00 {zone}"

    @server.tool()
    def fail() -> str:
        """Always fails."""
        raise ToolError("the clock is broken")

    @server.tool()
    async def meet(name: str) -> str:
        """Answers only when another call of it is running at the same time."""
        (folder / name).touch()
        while len(list(folder.glob("meet-*"))) < 2:
            await asyncio.sleep(0.01)
        return f"{name} met"

    @server.tool()
    async def count(until: str = "") -> str:
        """Adds a line to the tally, then waits until a file of the name `until` is there."""
        with (folder / "tally").open("a") as tally:
            tally.write("called\n")
        while until and not await anyio.Path(folder / until).exists():
            await asyncio.sleep(0.01)
        return "counted"

    @server.tool(annotations=ToolAnnotations(read_only_hint=True))
    def die() -> str:
        """Kills its own process, which must not be the gateway's."""
        os.kill(os.getpid(), signal.SIGKILL)
        return "never"

    return server


if __name__ == "__main__":
    create_server({"folder": sys.argv[1] if len(sys.argv) > 1 else "."}).run()
