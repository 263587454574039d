"""Keeps a fault of one HTTP request from ending the whole MCP client.

In mcp 2.3.0 a POST that raises (a refused connection, for example) cancels the client and everything that waits on
it. Here such a fault becomes the JSON-RPC error of that one request, with what went wrong and whether the request
was sent. The same for HTTP errors without a JSON-RPC body, and for answers that break off or are far too large.
"""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import httpx2
from mcp.types import CONNECTION_CLOSED

MAX_BODY = 32 * 2**20
"""The most bytes of one answer. An answer is held in memory several times while it is decoded."""
HTTP_FAILED = -32000
"""A code of the range that JSON-RPC 2.0 leaves to implementations."""


class BrokenAnswer(httpx2.StreamError):
    """The body of an answer broke off or was too large. The MCP client takes a StreamError for that request only."""


class FaultTransport(httpx2.AsyncBaseTransport):
    """`listening` is called when a stream of the server's own messages is open."""

    def __init__(self, inner: httpx2.AsyncBaseTransport, listening: Callable[[], None] = lambda: None) -> None:
        self._inner = inner
        self._listening = listening

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        try:
            response = await self._inner.handle_async_request(request)
        except httpx2.TransportError as error:
            if request.method != "POST":
                raise  # The client retries its listening stream by itself.
            sent = not isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout)
            data = {"fault": _reason(error), "sent": sent}
            return _error(request, 502, CONNECTION_CLOSED, "the server cannot be reached", data)
        if request.method == "GET" and response.status_code == 200:
            self._listening()
        stream = response.stream
        if isinstance(stream, httpx2.AsyncByteStream) and request.method == "POST":
            is_events = response.headers.get("content-type", "").startswith("text/event-stream")
            response.stream = _Guarded(stream, None if is_events else MAX_BODY)
        if response.status_code == 404 and "mcp-session-id" in request.headers:
            # The specification's way to say that the session is gone; the request was not looked at.
            await response.aclose()
            return _error(
                request, 404, CONNECTION_CLOSED, "the session has ended", {"fault": "HTTP 404", "sent": False}
            )
        # 400, 404 and 405 have a meaning in the protocol, which the client knows.
        if response.status_code < 400 or request.method != "POST" or response.status_code in (400, 404, 405):
            return response
        return await _failed(request, response)

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Guarded(httpx2.AsyncByteStream):
    """A body of at most `limit` bytes (None: endless) whose faults stay faults of this one request."""

    def __init__(self, inner: httpx2.AsyncByteStream, limit: int | None) -> None:
        self._inner = inner
        self._limit = limit

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        try:
            async for chunk in self._inner:
                size += len(chunk)
                if self._limit is not None and size > self._limit:
                    raise BrokenAnswer(f"the answer is larger than {self._limit} bytes")
                yield chunk
        except httpx2.TransportError as error:
            raise BrokenAnswer(f"the answer broke off: {_reason(error)}") from error

    async def aclose(self) -> None:
        await self._inner.aclose()


async def _failed(request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
    """A JSON-RPC error for an HTTP error, unless the server sent one itself."""
    status = response.status_code
    try:
        body = await response.aread()
    except BrokenAnswer:
        body = b""
    finally:
        await response.aclose()
    try:
        given = json.loads(body)
    except ValueError:
        given = None
    if (
        isinstance(given, dict)
        and isinstance(cast("dict[str, object]", given).get("error"), dict)
        and "jsonrpc" in given
    ):
        return httpx2.Response(status, request=request, json=given)
    data = {"http_status": status, "retry_after": response.headers.get("retry-after")}
    return _error(request, status, HTTP_FAILED, f"the server answered HTTP {status} {response.reason_phrase}", data)


def _error(request: httpx2.Request, status: int, code: int, message: str, data: dict[str, Any]) -> httpx2.Response:
    try:
        sent = json.loads(request.content)
    except ValueError:
        sent = None
    identity = cast("dict[str, object]", sent).get("id") if isinstance(sent, dict) else None
    error = {"code": code, "message": message, "data": data}
    return httpx2.Response(status, request=request, json={"jsonrpc": "2.0", "id": identity, "error": error})


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
