"""The outermost layer: who may come in, a request id on every answer, and an error body for whatever goes wrong.

Pure ASGI, because a middleware that wraps the response costs more than everything else a request does here.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, Router, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from gateway.apis._unserved import unserved
from gateway.apis._wire import disconnect_of, error_response
from gateway.errors import Forbidden, GatewayError, InvalidRequest, NotFound, Unauthenticated
from gateway.items import new_id

logger = logging.getLogger(__name__)

OPEN_PATHS = frozenset({"/healthz", "/readyz", "/openapi.json", "/"})
"""What needs no key: it shows nothing that belongs to anybody."""
PREFIXED = ("/v1/", "/mcp/", "/healthz", "/readyz", "/openapi.json")


Endpoint = Callable[[Request], Awaitable[Response]]


class Edge:
    """`verify` turns a key into its owner's name, or None. `hosts` are the `Host` names that are answered.

    An unknown `Host` is refused so that a web page cannot reach a gateway on loopback by rebinding its own name
    (CVE-2025-66416 and its kind); `*` answers all.
    """

    def __init__(
        self, routes: Sequence[BaseRoute], lifespan: Any, *, verify: Callable[[str], str | None], hosts: Sequence[str]
    ) -> None:
        # A bare router: Starlette's own error pages would answer before `explain` can.
        self._app: ASGIApp = Router(routes, redirect_slashes=False, lifespan=lifespan)
        # A path without parameters is looked up, not searched for: the search and its wrappers cost 30 µs a request.
        self._exact = {
            (method, route.path): cast("Endpoint", route.endpoint)
            for route in routes
            if isinstance(route, Route) and not route.param_convertors
            for method in route.methods or ()
        }
        self._sockets = {route.path for route in routes if isinstance(route, WebSocketRoute)}
        self._verify = verify
        self._hosts = frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, plainly(send))
            return
        if scope["type"] == "websocket":
            await self._connect(scope, receive, send)
            return
        began = time.perf_counter()
        request_id = new_id("req").encode()
        started = False
        disconnect = disconnect_of(scope)

        async def answer(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                took = b"%d" % ((time.perf_counter() - began) * 1000)
                message["headers"] = [
                    *message.get("headers", ()),
                    (b"x-request-id", request_id),
                    (b"openai-processing-ms", took),
                    (b"openai-version", b"2020-10-01"),
                ]
                if disconnect is not None and disconnect.unread():
                    # The rest of the request is not waited for.
                    message["headers"].append((b"connection", b"close"))
                    await send(message)
                    disconnect.last()
                    return
            await send(message)

        try:
            self._admit(scope)
            if endpoint := self._exact.get((scope["method"], scope["path"])):
                response = await endpoint(Request(scope, receive, answer))
                await response(scope, receive, answer)
            else:
                await self._app(scope, receive, answer)
        except ClientDisconnect:
            return
        except Exception as error:
            known = explain(error, scope)
            if known.status >= 500 and not isinstance(error, GatewayError):
                logger.exception("%s %s failed (%s)", scope["method"], scope["path"], request_id.decode())
            if started:
                raise
            await error_response(known)(scope, receive, answer)

    async def _connect(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A WebSocket: who may not have one gets an answer in HTTP, with its error body."""
        websocket = WebSocket(scope, receive, send)
        try:
            self._admit(scope)
            if scope["path"] not in self._sockets:
                raise HTTPException(404)
            await self._app(scope, receive, send)
        except (GatewayError, HTTPException) as error:
            response = error_response(explain(error, {**scope, "method": "GET"}))
            response.raw_headers.append((b"x-request-id", new_id("req").encode()))
            await websocket.send_denial_response(response)

    def _admit(self, scope: Scope) -> None:
        """Check the host and the key; note the key's owner; let paths come with and without `/v1`."""
        host = key = b""
        for name, value in scope["headers"]:
            if name == b"authorization":
                key = value
            elif name == b"host":
                host = value
        if "*" not in self._hosts and hostname(host) not in self._hosts:
            shown = host.decode("latin-1")[:100]
            raise Forbidden(f"This gateway does not answer for the host {shown!r}. Add it to `allowed_hosts`.")
        path: str = scope["path"]
        if not path.startswith(PREFIXED) and path != "/":
            scope["path"] = path = "/v1" + path
        scope["app"] = self  # Tells Starlette's routes to raise what is not found or not allowed, for `explain`.
        state = scope.setdefault("state", {})
        state["owner"] = ""
        if path in OPEN_PATHS:
            return
        token = token_in(key)
        if not token:
            raise Unauthenticated
        owner = self._verify(token)
        if owner is None:
            shown = f"{token[:3]}***{token[-4:]}" if len(token) > 12 else "***"
            raise Unauthenticated(f"Incorrect API key provided: {shown}. `homeport keys list` shows the keys.")
        state["owner"] = owner


def plainly(send: Send) -> Send:
    """Why a start failed, in one line: a person reads it, and a traceback would hide it."""

    async def shortened(message: Message) -> None:
        if message["type"] == "lifespan.startup.failed":
            message["message"] = message["message"].strip().splitlines()[-1].partition(": ")[2]
        await send(message)

    return shortened


def token_in(authorization: bytes) -> str:
    """The API key that such a header holds; empty if it holds none."""
    scheme, _, token = authorization.decode("latin-1").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def hostname(host: bytes) -> str:
    """The name in a `Host` header, without port and in lower case; IPv6 keeps its brackets."""
    text = host.decode("latin-1").lower()
    if text.startswith("["):
        return text.partition("]")[0] + "]"
    return text.partition(":")[0]


def explain(error: Exception, scope: Scope) -> GatewayError:
    """Whatever was raised, as an error that a client can read. What was not meant for it stays in the log."""
    match error:
        case GatewayError():
            return error
        case HTTPException(status_code=404):
            reason = f": {why}" if (why := unserved(scope["path"])) else ""
            return NotFound(f"Invalid URL ({scope['method']} {scope['path']}){reason}", code="unknown_url")
        case HTTPException(status_code=405):
            known = InvalidRequest(f"Not allowed to {scope['method']} on {scope['path']}.", code="method_not_supported")
            known.status = 405
            return known
        case HTTPException(status_code=status, detail=detail) if status < 500:
            return InvalidRequest(detail)
        case _:
            return GatewayError()
