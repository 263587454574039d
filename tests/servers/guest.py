"""A tool server that a client brings: `python guest.py FD FOLDER`, over HTTP on a socket that the test has bound.

It wants the token `s3cret-token-of-the-client`, repeats what it was sent where it should not, and writes what it is
asked into FOLDER/asked.
"""

import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

import anyio
import uvicorn
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.types import ToolAnnotations

TOKEN = "s3cret-token-of-the-client"


def create_server(folder: Path) -> MCPServer[Any]:
    server: MCPServer[Any] = MCPServer("guest")

    @server.tool(annotations=ToolAnnotations(read_only_hint=True, title="Weather"))
    def weather(city: str) -> str:
        """The weather in a city."""
        return f"sunny in {city}"

    @server.tool(name="book.a table at the finest restaurant in town, whatever it may cost in the end")
    def book(guests: int = 2) -> str:
        """A name that no provider takes."""
        with (folder / "booked").open("a") as booked:
            booked.write(f"{guests}\n")
        return f"a table for {guests}"

    @server.tool(annotations=ToolAnnotations(read_only_hint=True))
    def whoami(ctx: Context) -> str:
        """Tells the credentials, which it should not."""
        headers = ctx.headers or {}
        return f"you sent {headers.get('authorization')} and {headers.get('x-plain')}"

    @server.tool()
    async def hang() -> str:
        """Never comes back."""
        (folder / "hanging").touch()
        try:
            await anyio.sleep_forever()
        finally:
            (folder / "let go").touch()
        return "never"

    @server.tool()
    def die() -> str:
        """Its process ends in the middle of the call."""
        os._exit(1)

    return server


class Door:
    """Lets in who has the token, and notes what they ask."""

    def __init__(self, app: Any, folder: Path) -> None:
        self._app = app
        self._folder = folder

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(b"authorization", b"").decode()
        if given != f"Bearer {TOKEN}":
            body = json.dumps({"error": f"not {given}"}).encode()
            await send({"type": "http.response.start", "status": 401, "headers": []})
            await send({"type": "http.response.body", "body": body})
            return
        if scope["method"] == "POST":
            message = await receive()
            asked = json.loads(message["body"]).get("method", "")
            with (self._folder / "asked").open("a") as notes:
                notes.write(f"{asked}\n")
            given_back = [message]

            async def again() -> Any:
                return given_back.pop() if given_back else await receive()

            await self._app(scope, again, send)
            return
        await self._app(scope, receive, send)


def main() -> None:
    folder = Path(sys.argv[2])
    listening = socket.socket(fileno=int(sys.argv[1]))
    app = Door(create_server(folder).streamable_http_app(), folder)
    uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="on")).run(sockets=[listening])


if __name__ == "__main__":
    main()
