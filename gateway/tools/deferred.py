"""The toolbox as the gateway starts it: MCP and the tool servers are imported on a thread, after the socket is open.

The import of `mcp` alone costs 0.6 s of CPU, which would stand between a start and the first answer.
"""

import asyncio
import gc
import logging
from collections.abc import AsyncGenerator, Callable, Mapping, MutableMapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self

from gateway.agents.spec import AgentSpec
from gateway.errors import NotFound, ToolServerDown
from gateway.items import Item, ToolCall, ToolResult
from gateway.ports import JoinedToolbox, Toolbox, ToolSpec, Turn
from gateway.slow_import import import_slowly
from gateway.tools.settings import ClientServerSettings, ServerSettings

logger = logging.getLogger(__name__)


class DeferredToolbox:
    """A `ports.Toolbox` that becomes ready in the background. Whoever needs a tool before waits for MCP and for the
    servers that they need, not for the others.

    `mounted` is an ASGI app that serves the in-process servers; the rest of the path names the server. `absent` are
    servers that could be there, and what they are waiting for.
    """

    def __init__(
        self,
        servers: Mapping[str, ServerSettings],
        hosts: Sequence[str],
        clients: ClientServerSettings,
        absent: Mapping[str, str],
    ) -> None:
        self._servers = servers
        self._clients = clients
        self._absent = absent
        self._hosts = hosts
        self._loaded: asyncio.Future[Any] | None = None
        self._stop = asyncio.Event()
        self._owner: asyncio.Task[None] | None = None
        self._toolbox: Any = None

    async def __aenter__(self) -> Self:
        self._loaded = asyncio.get_running_loop().create_future()
        self._owner = asyncio.create_task(self._own(self._loaded), name="toolbox")
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._stop.set()
        if self._owner is not None:
            await asyncio.wait([self._owner])

    async def _own(self, loaded: "asyncio.Future[Any]") -> None:
        """Load, enter, wait for the end and leave: all in this one task, as MCP's task groups require."""
        try:
            module = await import_slowly("gateway.tools.mcp")
            mounting = await import_slowly("gateway.tools.mounted")
            async with module.MCPToolbox(self._servers, clients=self._clients, absent=self._absent) as toolbox:
                async with mounting.MountedServers(toolbox.in_process, self._hosts) as mounted:
                    self._toolbox = toolbox
                    loaded.set_result((toolbox, mounted))
                    stopped = asyncio.create_task(self._stop.wait())
                    imported = asyncio.create_task(toolbox.imported())
                    await asyncio.wait({stopped, imported}, return_when=asyncio.FIRST_COMPLETED)
                    imported.cancel()
                    gc.freeze()  # As the start does: what was imported stays.
                    await stopped
        except Exception as error:
            logger.exception("The tools could not be started")
            if not loaded.done():
                loaded.set_exception(error)
                loaded.exception()  # It is logged above; nobody may ever ask for a tool.

    async def _ready(self) -> tuple[Any, Any]:
        assert self._loaded is not None
        return await asyncio.shield(self._loaded)

    async def specs(self, agent: AgentSpec) -> Sequence[ToolSpec]:
        toolbox = self._toolbox or (await self._ready())[0]
        return await toolbox.specs(agent)

    async def status(self) -> Sequence[Any]:
        """Every server's `gateway.tools.mcp.ServerStatus`, once none is connecting any more."""
        toolbox = (await self._ready())[0]
        await toolbox.settled()
        return toolbox.status()

    def arguments(self, spec: ToolSpec, call: ToolCall) -> dict[str, Any]:
        return self._inner().arguments(spec, call)

    async def call(self, spec: ToolSpec, call: ToolCall, arguments: dict[str, Any], caller: str = "") -> ToolResult:
        return await self._inner().call(spec, call, arguments, caller)

    @asynccontextmanager
    async def join(self, turn: Turn, history: Sequence[Item]) -> AsyncGenerator[JoinedToolbox]:
        toolbox = (await self._ready())[0]
        async with toolbox.join(turn, history) as joined:
            yield joined

    def _inner(self) -> Toolbox:
        assert self._toolbox is not None, "a tool is called only after its spec was handed out"
        return self._toolbox

    async def mounted(
        self, scope: MutableMapping[str, Any], receive: Callable[..., Any], send: Callable[..., Any]
    ) -> None:
        toolbox, mounted = await self._ready()
        path: str = scope["path"]
        name = path.removeprefix(scope.get("root_path", "")).strip("/").partition("/")[0]
        if (manager := await mounted.find(name)) is None:
            if why := self._absent.get(name):
                raise NotFound(f"There is no tool server {name!r}: {why}.")
            if fault := next((each.error for each in toolbox.status() if each.name == name), ""):
                raise ToolServerDown(f"The tool server {name!r} is not up: {fault}.")
            raise NotFound(f"There is no tool server at {path}. Here are: {', '.join(mounted.names()) or 'none'}.")
        await manager.handle_request(scope, receive, send)
