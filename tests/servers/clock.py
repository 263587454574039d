"""Tools that tests need: one that answers, one that fails, one that waits for its like, one that counts its calls."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations


def create_server(settings: Mapping[str, Any]) -> MCPServer:
    """`folder` is where `count` keeps its tally."""
    server = MCPServer("clock")
    folder = Path(str(settings.get("folder", ".")))
    both = asyncio.Barrier(2)

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
        await both.wait()
        return f"{name} met"

    @server.tool()
    async def count(forever: bool = False) -> str:
        """Adds a line to the tally, says so in the pipe `begun` if there is one, and may never answer."""
        await anyio.to_thread.run_sync(note)
        if forever:
            await anyio.sleep_forever()
        return "counted"

    def note() -> None:
        with (folder / "tally").open("a") as tally:
            tally.write("called\n")
        if (folder / "begun").exists():
            (folder / "begun").write_text("yes")

    @server.tool(annotations=ToolAnnotations(read_only_hint=True))
    def die() -> str:
        """Kills its own process, which must not be the gateway's."""
        os.kill(os.getpid(), signal.SIGKILL)
        return "never"

    return server


if __name__ == "__main__":
    create_server({"folder": sys.argv[1] if len(sys.argv) > 1 else "."}).run()
