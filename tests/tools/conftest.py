"""Tool servers as real processes, and a short way to use a toolbox."""

import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest

from gateway.agents.spec import AgentSpec, ToolGrant
from gateway.items import ToolCall, ToolResult
from gateway.ports import ToolSpec
from gateway.tools.mcp import MCPToolbox
from gateway.tools.settings import ServerSettings

SERVER = str(Path(__file__).parent / "sample_server.py")
IN_PROCESS = ServerSettings(module="sample_server")
STDIO = ServerSettings(command=(sys.executable, SERVER))


def agent(*tools: str | ToolGrant) -> AgentSpec:
    grants = tuple(ToolGrant(tool=tool) if isinstance(tool, str) else tool for tool in tools)
    return AgentSpec(name="tester", model="none", tools=grants)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that another process or a background task brings about."""
    with anyio.fail_after(30):
        while True:
            if condition():
                return
            await anyio.sleep(0.01)


@dataclass
class Bench:
    """A toolbox with what an agent was offered, by name."""

    toolbox: MCPToolbox
    agent: AgentSpec
    specs: dict[str, ToolSpec] = field(default_factory=dict[str, ToolSpec])

    async def offered(self) -> list[str]:
        specs: Sequence[ToolSpec] = await self.toolbox.specs(self.agent)
        self.specs = {spec.name: spec for spec in specs}
        return [spec.name for spec in specs]

    async def call(self, name: str, **arguments: object) -> ToolResult:
        call = ToolCall(id="fc_1", call_id="call_1", name=name, arguments="{}")
        with anyio.fail_after(30):
            return await self.toolbox.call(self.specs[name], call, dict(arguments))

    def state(self, server: str) -> str:
        return next(status.state for status in self.toolbox.status() if status.name == server)

    def tools(self, server: str) -> int:
        return next(len(status.tools) for status in self.toolbox.status() if status.name == server)

    def error(self, server: str) -> str:
        return next(status.error for status in self.toolbox.status() if status.name == server)


OpenBench = Callable[..., AbstractAsyncContextManager[Bench]]


@pytest.fixture
def bench() -> OpenBench:
    """`async with bench({"name": settings}, "server.tool", …) as b:` with the tools already offered."""

    @asynccontextmanager
    async def opened(servers: dict[str, ServerSettings], *tools: str | ToolGrant) -> AsyncIterator[Bench]:
        async with MCPToolbox(servers, patience=20) as toolbox:
            made = Bench(toolbox, agent(*tools))
            await made.offered()
            yield made

    return opened


class HttpServer:
    """The sample server on a port of its own, to be started and killed."""

    def __init__(self, marks: Path) -> None:
        self._marks = marks
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with socket.socket() as listening:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(("127.0.0.1", self._port))
            self._port = listening.getsockname()[1]
            listening.listen()  # Who connects before the server runs waits for it.
            number = listening.fileno()
            command = [sys.executable, SERVER, "http", str(number), str(self._marks)]
            self._process = subprocess.Popen(command, pass_fds=[number])

    def kill(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    @property
    def settings(self) -> ServerSettings:
        return ServerSettings(url=f"http://127.0.0.1:{self._port}/mcp")


@pytest.fixture
def http_server(tmp_path: Path) -> Iterator[HttpServer]:
    server = HttpServer(tmp_path)
    server.start()
    yield server
    server.kill()
