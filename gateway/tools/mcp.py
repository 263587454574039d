"""The toolbox: what agents may use of the tool servers that the settings name, and the calls to them.

Every server is reached over MCP, the gateway's own ones too. This module decides what an agent is offered and what a
result looks like; `upstream.py` keeps the connections. A tool that fails is a result, never an exception.
"""

import asyncio
import logging
import re
import ssl
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Self

import httpx2
from cachetools import LRUCache

from gateway.agents.spec import AgentSpec, ToolGrant
from gateway.items import Item, ToolCall, ToolResult
from gateway.ports import ToolSpec, Turn
from gateway.tool_names import SERVER_NAME, provider_names
from gateway.tools.arguments import ArgumentChecker, schema_fault
from gateway.tools.client_servers import JoinedToolbox
from gateway.tools.link import ListedTool
from gateway.tools.offers import called, failure, made_spec
from gateway.tools.settings import ClientServerSettings, ServerSettings
from gateway.tools.upstream import State, Upstream

logger = logging.getLogger(__name__)

PATIENCE = 3.0
"""Seconds that a request waits for a server elsewhere which is still connecting. Then the agent does without it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerStatus:
    """How a tool server is doing. `tools` are the names of its tools, none unless it is ready. `error` says why it is
    not ready, or was not the last time it was not."""

    name: str
    kind: str
    state: State
    tools: tuple[str, ...]
    error: str = ""


class MCPToolbox:
    """A `ports.Toolbox`. Entering it starts to connect to every server and does not wait for any of them."""

    def __init__(
        self,
        servers: Mapping[str, ServerSettings],
        patience: float = PATIENCE,
        clients: ClientServerSettings | None = None,
        absent: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        for name in servers:
            if not re.fullmatch(SERVER_NAME, name):
                raise ValueError(f"{name!r} cannot be the name of a tool server")
        self._upstreams = {name: Upstream(name, settings, self._bump) for name, settings in servers.items()}
        self._patience = patience
        self._clients = clients or ClientServerSettings()
        self._absent = absent
        self._tls: ssl.SSLContext | None = None
        self._parting: set[asyncio.Task[None]] = set()
        self._checker = ArgumentChecker()
        self._generation = 0
        self._offers: LRUCache[int, tuple[tuple[ToolGrant, ...], int, tuple[ToolSpec, ...]]] = LRUCache(512)
        self._specs: LRUCache[tuple[str, int, int], tuple[ToolGrant, ListedTool, ToolSpec | None]] = LRUCache(4096)
        self._offered: set[tuple[str, str]] = set()
        self._reported: set[str] = set()

    async def __aenter__(self) -> Self:
        for upstream in self._upstreams.values():
            upstream.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await asyncio.gather(*(upstream.stop() for upstream in self._upstreams.values()), *self._parting)

    @property
    def in_process(self) -> Mapping[str, Upstream]:
        """The `module` servers, whose objects are served at /mcp/<name> too once they are made."""
        ours = {name: upstream for name, upstream in self._upstreams.items() if upstream.settings.kind == "module"}
        return MappingProxyType(ours)

    async def imported(self) -> None:
        """Wait until every module was imported, failed to be, or took longer than its `connect_timeout`."""
        await asyncio.gather(*(upstream.tried() for upstream in self._upstreams.values()))

    def status(self) -> list[ServerStatus]:
        """Every server, by name."""
        return [
            ServerStatus(
                name=name,
                kind=each.settings.kind,
                state=each.state,
                tools=tuple(tool.name for tool in each.tools),
                error=each.error,
            )
            for name, each in sorted(self._upstreams.items())
        ]

    async def settled(self) -> None:
        """Wait until no server is connecting any more; `homeport doctor` asks for the status then."""
        await asyncio.gather(*(upstream.settled() for upstream in self._upstreams.values()))

    async def specs(self, agent: AgentSpec) -> Sequence[ToolSpec]:
        """The agent's tools of the servers that are up, sorted by server and tool. A look-up while nothing changes.

        A server that is still connecting is waited for, but not for long unless its module is being loaded; one that is
        down is left out. No other server is waited for.
        """
        grants = agent.tools
        if not grants:
            return ()
        await self._wait_for({grant.tool.partition(".")[0] for grant in grants})
        known = self._offers.get(id(grants))
        if known and known[0] is grants and known[1] == self._generation:
            return known[2]
        specs = tuple(self._compiled(grants))
        self._offers[id(grants)] = (grants, self._generation, specs)
        self._offered.update((spec.server, spec.tool) for spec in specs)
        return specs

    def arguments(self, spec: ToolSpec, call: ToolCall) -> dict[str, Any]:
        """Raises `BadArguments`."""
        return self._checker.check(spec, call.arguments)

    async def call(self, spec: ToolSpec, call: ToolCall, arguments: dict[str, Any], caller: str = "") -> ToolResult:
        """Run a tool that `specs` has handed out. A failure says what happened and whether the tool may have run."""
        upstream = self._upstreams.get(spec.server)
        if upstream is None or (spec.server, spec.tool) not in self._offered:
            return failure(call, f"There is no tool named {call.name!r} here.")
        return await called(upstream, spec, call, arguments, self._patience, caller)

    @asynccontextmanager
    async def join(self, turn: Turn, history: Sequence[Item]) -> AsyncGenerator[JoinedToolbox]:
        """See `ports.Toolbox`."""
        if self._tls is None:
            # It takes 40 ms to read the certificates, so it is done once, and not on the loop.
            self._tls = await asyncio.to_thread(httpx2.create_ssl_context)
        joined = JoinedToolbox(self, turn, history, self._clients, self._tls)
        try:
            yield joined
        finally:
            # Nobody waits for the farewell to a server that may not answer.
            parting = asyncio.create_task(joined.close())
            self._parting.add(parting)
            parting.add_done_callback(self._parting.discard)

    def _bump(self) -> None:
        self._generation += 1

    async def _wait_for(self, names: set[str]) -> None:
        needed = [each for name in names if (each := self._upstreams.get(name)) and each.state == "connecting"]
        if needed:
            await asyncio.gather(*(upstream.usable(self._patience) for upstream in needed))

    def _compiled(self, grants: Sequence[ToolGrant]) -> list[ToolSpec]:
        granted: dict[tuple[str, str], tuple[ToolGrant, ListedTool]] = {}
        # A grant for one tool comes after the grant for its whole server and takes its place.
        for grant in sorted(grants, key=lambda grant: not grant.tool.endswith(".*")):
            server, _, wanted = grant.tool.partition(".")
            upstream = self._upstreams.get(server)
            if upstream is None or upstream.state != "ready":
                why = upstream.error if upstream else self._absent.get(server, "no such server")
                self._report(f"{grant.tool} is not offered: {why}")
                continue
            found = [tool for tool in upstream.tools if wanted in ("*", tool.name)]
            if not found:
                self._report(f"{grant.tool} is not offered: the server has no such tool")
            granted.update({(server, tool.name): (grant, tool) for tool in found})
        names = provider_names(granted)
        specs = [
            self._spec(names[place], place[0], grant, tool)
            for place, (grant, tool) in sorted(granted.items(), key=lambda each: each[0])
        ]
        return [spec for spec in specs if spec is not None]

    def _spec(self, name: str, server: str, grant: ToolGrant, tool: ListedTool) -> ToolSpec | None:
        """None for a tool whose schema cannot be used. Checking one takes milliseconds, so it is done once."""
        key = (name, id(grant), id(tool))
        known = self._specs.get(key)
        if known and known[0] is grant and known[1] is tool:
            return known[2]
        spec = made_spec(name, server, grant, tool)
        if fault := schema_fault(spec.schema):
            self._report(f"{server}.{tool.name} is not offered: {fault}")
        self._specs[key] = (grant, tool, None if fault else spec)
        return None if fault else spec

    def _report(self, message: str) -> None:
        """Once, however many agents and requests come upon it."""
        if message not in self._reported and len(self._reported) < 10_000:
            self._reported.add(message)
            logger.warning("%s", message)
