"""Opens one connection to a tool server: in this process, to a child over stdio, or over streamable HTTP.

A connection is used until it breaks and is never repaired; `upstream.py` watches over it and opens the next one.
"""

import asyncio
import importlib
import logging
import os
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from inspect import cleandoc
from typing import Any, TextIO, cast

import anyio
import httpx2
from mcp import Client, MCPError, types
from mcp.client.streamable_http import streamable_http_client
from mcp.client.subscriptions import ListenNotSupportedError, SubscriptionLost
from mcp.server import MCPServer, Server
from pydantic import TypeAdapter, ValidationError

from gateway.items import Text
from gateway.tools.child import child
from gateway.tools.fault_transport import HTTP_FAILED, MAX_BODY, FaultTransport
from gateway.tools.link import Answer, CallFailed, ListedTool
from gateway.tools.results import parts_of
from gateway.tools.settings import ServerSettings

logger = logging.getLogger(__name__)

InProcessServer = MCPServer[Any] | Server[Any]

CALLER = "homeport/caller"
"""The key of `_meta` under which a server reads whose call it is."""
MAX_PAGES = 100
MAX_TOOLS = 2000
"""A listing that does not end, or that no model could take, is cut here."""
LISTEN_AGAIN = (1.0, 60.0)
"""Seconds before a lost subscription is opened again: at first, and at most."""

_RESULT: TypeAdapter[types.CallToolResult | types.InputRequiredResult] = TypeAdapter(
    types.CallToolResult | types.InputRequiredResult
)


def create_server(settings: ServerSettings) -> InProcessServer:
    """Imports the module and makes its server. Blocks: run it on a thread. Raises what the module raises."""
    try:
        made = importlib.import_module(settings.module).create_server(dict(settings.settings))
    except SystemExit as error:
        raise RuntimeError(f"{settings.module} ended the interpreter while it was loaded: {error}") from error
    if not isinstance(made, MCPServer | Server):
        raise TypeError(f"{settings.module}.create_server returned {type(made).__name__}, not an MCP server")
    return cast("InProcessServer", made)


@asynccontextmanager
async def connect(
    name: str,
    settings: ServerSettings,
    server: InProcessServer | None,
    changed: Callable[[], None],
    last_words: deque[str],
    transport: Callable[[], httpx2.AsyncBaseTransport] = httpx2.AsyncHTTPTransport,
    *,
    listens: bool = True,
) -> "AsyncGenerator[Connection]":
    """Enter and leave it in one task, inside a deadline: a silent server holds it up for ever.

    `server` is the object of a `module`. `changed` is called when the tool list may have changed and when the
    connection may have ended. A child's last lines on stderr are put into `last_words`. `transport` makes what a `url`
    is reached through. Only a connection that `listens` hears of changed tools.
    """
    async with AsyncExitStack() as stack:
        ended = anyio.Event()
        announces = False

        def gone(fault: str) -> None:
            # The client itself would say so only to the next call.
            if fault:
                last_words.append(fault)
            ended.set()
            changed()

        def listening() -> None:
            # What changed before the stream of notifications was open has been told to nobody.
            if announces:
                changed()

        target: Any = server
        if settings.kind == "command":
            errlog = await stack.enter_async_context(_stderr(name, last_words))
            target = child(settings, errlog, gone)
        elif settings.kind == "url":
            http = httpx2.AsyncClient(
                transport=FaultTransport(transport(), listening),
                headers=dict(settings.headers),
                timeout=httpx2.Timeout(10.0, read=max(300.0, settings.timeout + 30.0)),
            )
            await stack.enter_async_context(http)
            target = streamable_http_client(settings.url, http_client=http, max_sse_event_size=MAX_BODY)

        async def notice(message: object) -> None:
            if isinstance(message, types.ToolListChangedNotification):
                changed()

        client = await stack.enter_async_context(Client(target, cache=None, message_handler=notice))
        group = await stack.enter_async_context(anyio.create_task_group())
        stack.callback(group.cancel_scope.cancel)
        capability = client.server_capabilities.tools
        if listens and capability and capability.list_changed:
            announces = True
            group.start_soon(_listen, client, changed)
        yield Connection(client, ended)


def reason(error: BaseException) -> str:
    """Why a connection failed, in one line: the innermost cause of what MCP's task groups wrap up."""
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    text = " ".join(str(error).split())[:300]
    if isinstance(error, MCPError):
        data = _data(error)
        return f"{text} ({data['fault']})" if "fault" in data else text
    return text if isinstance(error, TimeoutError) and text else f"{type(error).__name__}: {text}".rstrip(": ")


class Connection:
    """An open connection: a `link.Link`. `ended` is set when a child's stdout has closed."""

    def __init__(self, client: Client, ended: anyio.Event) -> None:
        self._client = client
        self._ended = ended

    async def tools(self) -> tuple[ListedTool, ...]:
        """The whole list. Raises whatever the connection raises."""
        found: dict[str, ListedTool] = {}
        cursor: str | None = None
        for _ in range(MAX_PAGES):
            page = await self._client.list_tools(cursor=cursor)
            for tool in page.tools:
                found.setdefault(tool.name, listed(tool))
            cursor = page.next_cursor
            if cursor is None or len(found) >= MAX_TOOLS:
                break
        return tuple(found.values())[:MAX_TOOLS]

    async def call(self, tool: str, arguments: Mapping[str, Any], caller: str = "") -> Answer:
        """Cancelling the awaiting task cancels the call at the server too. Raises `CallFailed`."""
        if self._ended.is_set():
            raise CallFailed("the server has ended", ran=False, lost=True)
        params = types.CallToolRequestParams(name=tool, arguments=dict(arguments))
        if caller:
            params.meta = {CALLER: caller}
        request = types.CallToolRequest(params=params)
        try:
            result = await self._send(request)
        except MCPError as error:
            return _refusal(error)
        except ValidationError as error:
            raise CallFailed("its answer is not a valid MCP tool result", ran=True) from error
        if isinstance(result, types.InputRequiredResult):
            raise CallFailed("it wants to ask the user something first, which is not possible here", ran=False)
        structured: object = result.structured_content
        return Answer(
            parts_of(result.content, structured),
            is_error=result.is_error,
            structured=cast("dict[str, Any]", structured) if isinstance(structured, dict) else {},
        )

    async def _send(self, request: types.CallToolRequest) -> types.CallToolResult | types.InputRequiredResult:
        # Not Client.call_tool: that checks results against the server's own output schema, whose patterns could keep
        # the event loop busy, and it throws away the result of a tool that has already done its work.
        try:
            return await self._client.session.send_request(request, _RESULT)
        except MCPError as error:
            if error.code != types.HEADER_MISMATCH:
                raise
        # The recovery that the 2026-07-28 specification asks for: the tool's schema changed, so list again and resend.
        await self.tools()
        return await self._client.session.send_request(request, _RESULT)


def _data(error: MCPError) -> dict[str, Any]:
    data: object = error.error.data
    return cast("dict[str, Any]", data) if isinstance(data, dict) else {}


def _refusal(error: MCPError) -> Answer:
    """The server's JSON-RPC error is an answer; a fault on the way is a `CallFailed`."""
    data = _data(error)
    if "fault" in data:
        raise CallFailed(f"{error.message} ({data['fault']})", ran=bool(data.get("sent")), lost=True) from error
    if error.code == HTTP_FAILED and "http_status" in data:
        # A client error says that the request was not accepted; a server error may come after the deed.
        raise CallFailed(error.message, ran=int(data["http_status"]) >= 500) from error
    if error.code == types.CONNECTION_CLOSED:
        raise CallFailed("the connection was lost", ran=True, lost=True) from error
    if error.code == types.PARSE_ERROR:
        raise CallFailed("its answer could not be read", ran=True) from error
    return Answer((Text(text=error.message),), is_error=True)


def listed(tool: types.Tool) -> ListedTool:
    notes = tool.annotations.model_dump(by_alias=True, exclude_none=True) if tool.annotations else {}
    return ListedTool.annotated(tool.name, cleandoc(tool.description or tool.title or ""), tool.input_schema, notes)


async def _listen(client: Client, changed: Callable[[], None]) -> None:
    """Hears of changed tool lists (protocol 2026-07-28; older servers notify by themselves) and of lost connections."""
    delay, longest = LISTEN_AGAIN
    while True:
        try:
            async with client.listen(tools_list_changed=True) as subscription:
                if not subscription.honored.tools_list_changed:
                    return
                changed()  # As above: the list may have changed before anybody listened.
                async for _ in subscription:
                    changed()
        except ListenNotSupportedError:
            return
        except (MCPError, SubscriptionLost, TimeoutError) as error:
            logger.debug("subscription lost: %s", error)
        changed()
        await anyio.sleep(delay)
        delay = min(delay * 2, longest)


@asynccontextmanager
async def _stderr(name: str, last_words: deque[str]) -> AsyncGenerator[TextIO]:
    """A file for a child's stderr whose lines go to the log, so that nothing of it is lost or mixed up."""
    source, sink = os.pipe()
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(source, "rb", 0)
    )
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(_log_lines, name, reader, last_words)
            with os.fdopen(sink, "w") as file:
                yield file
            group.cancel_scope.cancel()
    finally:
        transport.close()


async def _log_lines(name: str, reader: asyncio.StreamReader, last_words: deque[str]) -> None:
    while chunk := await reader.read(16_384):
        for line in chunk.decode("utf-8", "replace").splitlines():
            if line.strip():
                last_words.append(line.strip()[:500])
                logger.info("%s: %s", name, line.rstrip())
