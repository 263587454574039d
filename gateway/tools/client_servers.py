"""The toolbox of one run for which the client brought tool servers of its own.

Each is watched over as the gateway's are, on connections that only this run has. One whose tools are known from the
history is connected to when a tool is called. No agent document has a grant for these tools: as with functions of its
own, the client says which of them the run may use, and who must approve a call.
"""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any, Self

import httpx2
import orjson

from gateway.agents.spec import AgentSpec, ToolGrant
from gateway.client_server import ClientServer, ServerUnusable
from gateway.errors import InvalidRequest
from gateway.events import ItemDone, ItemStarted
from gateway.items import Item, ToolCall, ToolList, ToolListing, ToolResult, new_id
from gateway.ports import Toolbox, ToolSpec, Turn
from gateway.tool_names import provider_names
from gateway.tools.arguments import ArgumentChecker, schema_fault
from gateway.tools.guarded_transport import GuardedTransport, is_listed, refusal, secrets_in
from gateway.tools.link import ListedTool
from gateway.tools.offers import MAX_DESCRIPTION, called, failure, made_spec
from gateway.tools.settings import ClientServerSettings, ServerSettings
from gateway.tools.upstream import Upstream

MOST_TOOLS = 512
"""Tools that one of these servers may offer to a run. OpenAI's models take 128, others more."""
MOST_BYTES = 2**20
"""Bytes of one list of tools, as JSON: it is stored with the turn and shown to the model in every step."""
FORGOTTEN = (
    "The gateway was restarted while this run was going on. The addresses and credentials of the client's MCP servers "
    "are kept in memory only, so it cannot go on. Send the request again."
)


class JoinedToolbox:
    """A `ports.JoinedToolbox` over the gateway's own, `inner`. `close` it when the run is over."""

    def __init__(
        self,
        inner: Toolbox,
        turn: Turn,
        history: Sequence[Item],
        settings: ClientServerSettings,
        tls: ssl.SSLContext,
    ) -> None:
        self._inner = inner
        self._turn = turn
        self._settings = settings
        self._tls = tls
        self._servers = {server.label: server for server in turn.servers}
        self._known = known_lists(history, self._servers)
        self._upstreams: dict[str, Upstream] = {}
        self._checker = ArgumentChecker(MOST_TOOLS)
        self._specs: dict[str, ToolSpec] = {}

    async def lists(self) -> AsyncGenerator[ItemStarted | ItemDone]:
        """See `ports.JoinedToolbox`."""
        refuse(self._turn, self._settings)
        missing = [label for label in self._servers if label not in self._known]
        begun = {label: ToolList(id=new_id("mcpl"), server=label) for label in missing}
        for item in begun.values():
            yield ItemStarted(item)
        tasks = [asyncio.create_task(self._list(item)) for item in begun.values()]
        failed: list[ToolList] = []
        try:
            for task in asyncio.as_completed(tasks):
                item = await task
                self._known[item.server] = item
                failed += [item] if item.error else []
                yield ItemDone(item)
        finally:
            for task in tasks:
                task.cancel()
        for item in failed:
            raise ServerUnusable(
                f"Error retrieving tool list from MCP server: '{item.server}'. {item.error}", param="tools"
            )
        self._specs = await asyncio.to_thread(self._compiled)

    async def _list(self, item: ToolList) -> ToolList:
        """Connect, and say what the server offers of what the client allows, or what is wrong with it."""
        server, upstream = self._servers[item.server], self._upstream(item.server)
        await upstream.settled()
        item = replace(item, address=server.address)
        if upstream.state != "ready":
            return replace(item, error=upstream.error or "it cannot be reached")
        allowed = [tool for tool in upstream.tools if server.allowed.fits(tool.name, read_only=tool.read_only)]
        if len(allowed) > MOST_TOOLS:
            return replace(item, error=f"It has more than {MOST_TOOLS} tools: name those you need in 'allowed_tools'.")
        return await asyncio.to_thread(with_tools, item, allowed)

    async def specs(self, agent: AgentSpec) -> Sequence[ToolSpec]:
        """The agent's tools, then those of the client's servers. Raises InvalidRequest where two have one name."""
        inner = await self._inner.specs(agent) if agent.tools else ()
        for spec in inner:
            if spec.name in self._specs:
                twin = self._specs[spec.name]
                raise InvalidRequest(
                    f"The tool {twin.tool!r} of the MCP server {twin.server!r} has the name of a tool of this agent.",
                    param="tools",
                    code="invalid_value",
                )
        return (*inner, *self._specs.values())

    def arguments(self, spec: ToolSpec, call: ToolCall) -> dict[str, Any]:
        return self._checker.check(spec, call.arguments) if spec.address else self._inner.arguments(spec, call)

    async def call(self, spec: ToolSpec, call: ToolCall, arguments: dict[str, Any], caller: str = "") -> ToolResult:
        if not spec.address:
            return await self._inner.call(spec, call, arguments, caller)
        if self._specs.get(spec.name) is not spec:
            return failure(call, f"There is no tool named {call.name!r} here.")
        upstream = self._upstream(spec.server)
        return await called(upstream, spec, call, arguments, self._settings.connect_timeout)

    def join(self, turn: Turn, history: Sequence[Item]) -> AbstractAsyncContextManager[Self]:
        """It has joined."""
        return nullcontext(self)

    async def close(self) -> None:
        """End the connections. A server that does not answer any more may take seconds."""
        await asyncio.gather(*(upstream.stop() for upstream in self._upstreams.values()))

    def _upstream(self, label: str) -> Upstream:
        """The server, connected to from its first use on."""
        if upstream := self._upstreams.get(label):
            return upstream
        server = self._servers[label]
        settings = ServerSettings(
            url=server.url,
            headers=server.headers,
            timeout=self._settings.timeout,
            connect_timeout=self._settings.connect_timeout,
        )
        public_only = not is_listed(server.url, self._settings)
        secrets = secrets_in(server.headers)

        def transport() -> httpx2.AsyncBaseTransport:
            inner = httpx2.AsyncHTTPTransport(verify=self._tls)
            return GuardedTransport(inner, public_only=public_only, secrets=secrets)

        upstream = Upstream(f"{label} of a client", settings, lambda: None, transport, listens=False)
        self._upstreams[label] = upstream
        upstream.start()
        return upstream

    def _compiled(self) -> dict[str, ToolSpec]:
        """The tools by the names that the model knows. For a thread: to check a schema takes milliseconds."""
        tools = {
            (label, listing.name): (self._servers[label], tool)
            for label, known in self._known.items()
            for listing in known.tools
            if (tool := listed(listing))
            and self._servers[label].allowed.fits(tool.name, read_only=tool.read_only)
            and not schema_fault(tool.schema)
        }
        names = provider_names(tools)
        specs = [offered(names[place], *each) for place, each in sorted(tools.items(), key=lambda each: each[0])]
        return {spec.name: spec for spec in specs}


def refuse(turn: Turn, settings: ClientServerSettings) -> None:
    """Raises InvalidRequest for a server that the client may not bring, ServerUnusable for one that is forgotten."""
    own = {grant.tool.partition(".")[0] for grant in turn.agent.tools}
    if not any(fnmatchcase(turn.agent.name, pattern) for pattern in settings.agents):
        raise InvalidRequest(
            f"'{turn.agent.name}' takes no MCP servers of clients (client_servers.agents in gateway.yaml).",
            param="tools",
            code="invalid_value",
        )
    for server in turn.servers:
        if not server.url:
            raise ServerUnusable(FORGOTTEN, code="credentials_not_kept")
        if server.label in own:
            fault = "is the name of a tool server of this agent. Choose another 'server_label'."
        elif why := refusal(server.url, settings):
            fault = f"cannot be used: {why}."
        else:
            continue
        raise InvalidRequest(f"The MCP server '{server.label}' {fault}", param="tools", code="invalid_value")


def known_lists(history: Iterable[Item], servers: Mapping[str, ClientServer]) -> dict[str, ToolList]:
    """The newest list of each server. A label that stands for another URL now has none, nor has one whose list the
    client brought back longer than a server's may be: the server is asked again."""
    known: dict[str, ToolList] = {}
    for item in history:
        if isinstance(item, ToolList) and not item.error and (server := servers.get(item.server)):
            known.pop(item.server, None)
            if item.address == server.address or (not item.address and size_of(item.tools) <= MOST_BYTES):
                known[item.server] = item
    return known


def with_tools(item: ToolList, tools: Sequence[ListedTool]) -> ToolList:
    """The list with those of its tools that a model can be offered. For a thread."""
    listings = tuple(
        ToolListing(
            name=tool.name,
            schema=tool.schema,
            description=tool.description[:MAX_DESCRIPTION],
            annotations=dict(tool.annotations),
        )
        for tool in tools
        if not schema_fault(tool.schema)
    )
    listings = tuple(each for each in listings if written(each))
    if (size := size_of(listings)) > MOST_BYTES:
        return replace(item, error=f"Its tools take {size} bytes: name those you need in 'allowed_tools'.")
    return replace(item, tools=listings)


def size_of(listings: Iterable[ToolListing]) -> int:
    """Bytes of these tools as JSON."""
    return sum(map(written, listings))


def written(listing: ToolListing) -> int:
    """How many bytes it takes as JSON; 0 if it cannot be written: a number of 65 bits, half of a surrogate pair."""
    try:
        return len(orjson.dumps([listing.name, listing.description, listing.schema, listing.annotations]))
    except TypeError:
        return 0


def listed(listing: ToolListing) -> ListedTool:
    schema: dict[str, Any] = {"properties": {}, **listing.schema, "type": "object"}
    return ListedTool.annotated(listing.name, listing.description, schema, listing.annotations)


def offered(name: str, server: ClientServer, tool: ListedTool) -> ToolSpec:
    """The tool as the model knows it. Who approves its calls is for the client to say."""
    asks = server.asks(tool.name, read_only=tool.read_only)
    described = f"{server.description}\n\n{tool.description}".strip() if server.description else tool.description
    spec = made_spec(name, server.label, ToolGrant(tool=f"{server.label}.{tool.name}", asks=asks), tool)
    return replace(spec, description=described[:MAX_DESCRIPTION], address=server.address)
