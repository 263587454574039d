"""A tool server that a client brings, as a process of its own, and one that says whatever a test wants."""

import asyncio
import contextlib
import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.servers import guest as server
from tests.servers.guest import TOKEN

LOCAL = {"client_servers": {"hosts": ["127.0.0.1"]}}
"""Settings under which a client may bring a server of this machine."""


@dataclass
class Guest:
    """Its URL, and what it was asked."""

    url: str
    folder: Path
    process: subprocess.Popen[bytes]

    def tool(self, **more: Any) -> dict[str, Any]:
        """The entry of `tools`, with the credentials."""
        tool = {"type": "mcp", "server_label": "travel", "server_url": self.url, "authorization": TOKEN}
        return {**tool, "require_approval": "never", **more}

    def asked(self, method: str) -> int:
        """How often it was asked this."""
        notes = self.folder / "asked"
        return notes.read_text().splitlines().count(method) if notes.exists() else 0

    @property
    def booked(self) -> list[str]:
        notes = self.folder / "booked"
        return notes.read_text().splitlines() if notes.exists() else []


@pytest.fixture
def guest(tmp_path: Path) -> Iterator[Guest]:
    folder = tmp_path / "guest"
    folder.mkdir()
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()  # Who connects before the server runs waits for it.
        port, number = listening.getsockname()[1], listening.fileno()
        process = subprocess.Popen([sys.executable, str(server.__file__), str(number), str(folder)], pass_fds=[number])
    yield Guest(f"http://127.0.0.1:{port}/mcp", folder, process)
    process.kill()
    process.wait()


Answer = tuple[int, dict[str, str], bytes]
Answering = Callable[[dict[str, Any], dict[str, str]], Answer | Awaitable[Answer]]
StrangeServer = Callable[[Answering], AbstractAsyncContextManager[str]]


@pytest.fixture
def strange_server() -> StrangeServer:
    """`async with strange_server(answer) as url`: `answer(message, headers)` is status, headers and body, or a wait."""

    @contextlib.asynccontextmanager
    async def serve(answer: Answering) -> AsyncIterator[str]:
        async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                while head := await reader.readuntil(b"\r\n\r\n"):
                    lines = head.decode().split("\r\n")[1:-2]
                    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
                    body = await reader.readexactly(int(headers.get("content-length", 0)))
                    said = answer(json.loads(body) if body else {}, headers)
                    status, more, content = said if isinstance(said, tuple) else await said
                    shown = {"content-type": "application/json", "content-length": str(len(content)), **more}
                    told = "".join(f"{name}: {value}\r\n" for name, value in shown.items())
                    writer.write(f"HTTP/1.1 {status} OK\r\n{told}\r\n".encode() + content)
                    await writer.drain()
            writer.close()

        listening = await asyncio.start_server(respond, "127.0.0.1", 0)
        async with listening:
            yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/mcp"

    return serve


def rpc(message: dict[str, Any], result: Any) -> Answer:
    return 200, {}, json.dumps({"jsonrpc": "2.0", "id": message.get("id"), "result": result}).encode()


def legacy(message: dict[str, Any], tools: list[dict[str, Any]]) -> Answer:
    """What a server of the older protocol says that lists these tools."""
    match message.get("method"):
        case "initialize":
            about = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}}
            return rpc(message, {**about, "serverInfo": {"name": "old", "version": "1"}})
        case "tools/list":
            return rpc(message, {"tools": tools})
        case "tools/call":
            return rpc(message, {"content": [{"type": "text", "text": "done"}]})
        case None:
            return 405, {}, b""
        case method if "id" in message:
            error = {"code": -32601, "message": f"no {method}"}
            return 200, {}, json.dumps({"jsonrpc": "2.0", "id": message["id"], "error": error}).encode()
        case _:
            return 202, {}, b""


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that another process brings about."""
    with anyio.fail_after(20):
        while True:
            if condition():
                return
            await anyio.sleep(0.01)
