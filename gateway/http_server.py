"""uvicorn with the limits it does not have: how long a client may take, what it may send beside a body, how many come.

What a body may weigh is checked where it is read (apis/_wire.py).
"""

import asyncio
import logging
import os
import resource
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from gateway.items import new_id

logger = logging.getLogger(__name__)

DISCONNECT = "homeport.disconnect"
"""The ASGI extension under which a request finds its `Disconnect`."""
FRAMING = 16
"""Bytes that each piece of a chunked body may cost beside itself."""
RESERVED_FILES = 64
"""Open files that are not for connections: the store, the tool servers, the standard streams."""
MESSAGE_BYTES = 20 * 1024 * 1024
"""The most bytes of a WebSocket message: what the body of a request may have."""
REFUSAL_HEAD = (
    b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\nx-request-id: %b\r\n"
    b"connection: close\r\n\r\n"
)
REFUSAL = b'{"error":{"message":"%b","type":"%b","param":null,"code":"%b"}}'


def most_connections() -> int:
    """How many clients fit into this process's limit of open files, when each may need a provider's connection too."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 10_000 if files == resource.RLIM_INFINITY else max(16, min(10_000, (files - RESERVED_FILES) // 2))


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a client may take, and how long, in seconds and bytes."""

    head_seconds: float = 10.0
    """From connecting, or from the first byte after an answer, to the end of a request's headers."""
    head_bytes: int = 64 * 1024
    """The headers of a request; and, of a chunked body, what is not body."""
    body_seconds: float = 30.0
    """How far a body may be behind `body_rate`."""
    body_rate: float = 16 * 1024
    """Bytes of a body in a second."""
    linger_seconds: float = 2.0
    """How long what still comes is thrown away after the last answer. Closing at once would be a reset, which can
    take the answer with it."""
    write_seconds: float = 60.0
    """How long a client may take nothing of what there is for it. Kept by the system, where it is Linux."""
    keep_alive_seconds: int = 75
    """Longer than the 60 s of common load balancers, so that they and not we close an idle connection first."""
    connections: int = field(default_factory=most_connections)


class Disconnect:
    """What a request may know of its connection. `gone`: the client has hung up.

    Set `callback` to be told of it, once. Cheaper than a task that waits for the message.
    """

    __slots__ = ("_protocol", "callback", "gone")

    def __init__(self, protocol: "LimitedProtocol") -> None:
        self.callback: Callable[[], None] | None = None
        self.gone = False
        self._protocol = protocol

    def here(self) -> bool:
        """Whether the client is still there."""
        return not self.gone

    def unread(self) -> bool:
        """Whether a part of the request has not come yet."""
        return not self._protocol.pipeline and self._protocol.cycle.more_body

    def last(self) -> None:
        """The answer that has begun is the last of this connection."""
        self._protocol.last()


class LimitedProtocol(HttpToolsProtocol):
    """Closes a connection that dawdles, sends too much beside its bodies, or was answered before it had asked."""

    def __init__(self, limits: Limits, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._limits = limits
        # One timer at a time: for the head of a request, for its body, or for the end of the connection.
        self._timer: asyncio.TimerHandle | None = None
        self._in_head = True
        self._beside = 0
        self._body = 0
        self._body_began = 0.0
        self._too_large = False
        self._last = False
        self._closing = False
        self._upgrading = False
        # Trailers come as headers do, when those have been looked at already.
        self._trailers: deque[Any] = deque(maxlen=0)
        self._disconnect = Disconnect(self)
        self._extensions: dict[str, dict[object, object]] = {DISCONNECT: {"told": self._disconnect}}

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        super().connection_made(transport)
        if len(self.connections) > self._limits.connections * 9 // 8 + 8:
            # Too many to be told.
            transport.abort()
        elif len(self.connections) > self._limits.connections:
            self._refuse(b"503 Service Unavailable", b"Too many open connections. Try again.", b"too_many_connections")
        else:
            self._timer = self.loop.call_later(self._limits.head_seconds, self._head_is_late)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)
        self._disconnect.gone = True
        if self._disconnect.callback is not None:
            self._disconnect.callback()

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        self._unset_keepalive_if_required()
        self._beside += len(data)
        try:
            self.parser.feed_data(data)  # pyright: ignore[reportOptionalMemberAccess]
        except httptools.HttpParserUpgrade:
            if self._upgrading:
                self._stop_timer()
                self.handle_websocket_upgrade()
                return
            logger.debug("A request for another protocol was answered in HTTP/1.1.")
        except httptools.HttpParserError as error:
            if self._too_large:
                self._refuse_large_head()
            else:
                # Anybody can send nonsense, so it is nothing to warn of.
                logger.debug("Not HTTP: %s", error)
                self._refuse(b"400 Bad Request", b"This is not a valid HTTP request.", b"invalid_http")
            return
        if self._beside > self._limits.head_bytes:
            self._refuse_large_head()
        elif self._timer is None:
            self._await_more()

    def on_headers_complete(self) -> None:
        if self._beside > self._limits.head_bytes:
            # It came in one piece, perhaps with a part of the body.
            self._too_large = sum(len(name) + len(value) + 4 for name, value in self.headers) > self._limits.head_bytes
            if self._too_large:
                raise ValueError("too large")
        self._in_head = False
        self._stop_timer()
        self._beside = self._body = 0
        self.scope["extensions"] = self._extensions
        self._upgrading = self.parser.should_upgrade() and self._should_upgrade()  # pyright: ignore[reportOptionalMemberAccess]
        super().on_headers_complete()
        if not self._upgrading:
            self.headers = self._trailers  # pyright: ignore[reportAttributeAccessIssue]

    def on_body(self, body: bytes) -> None:
        self._body += len(body)
        self._beside = max(0, self._beside - len(body) - FRAMING)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_head = True
        self._beside = 0
        if self._timer is not None:
            self._stop_timer()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        last = self._last or self._disconnect.unread()
        if last:
            self.pipeline.clear()
        super().on_response_complete()
        if last and not self.transport.is_closing():
            self._close()

    def last(self) -> None:
        """See `Disconnect.last`."""
        self._last = True
        # uvicorn would close at once.
        self.cycle.keep_alive = True

    def _answering(self) -> bool:
        # uvicorn declares it as always there.
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return cycle is not None and not cycle.response_complete

    def _await_more(self) -> None:
        """Something came, and more has to."""
        if not self._in_head:
            self._body_began = self.loop.time()
            self._timer = self.loop.call_later(self._limits.body_seconds, self._check_body)
        elif not self._answering():
            self._timer = self.loop.call_later(self._limits.head_seconds, self._head_is_late)

    def _head_is_late(self) -> None:
        self._refuse(b"408 Request Timeout", b"The request's headers did not arrive in time.", b"request_timeout")

    def _check_body(self) -> None:
        if self.flow.read_paused:
            # Not the client's fault.
            self._body, self._body_began = 0, self.loop.time()
        allowed = self._limits.body_seconds + self._body / self._limits.body_rate
        left = self._body_began + allowed - self.loop.time()
        if left > 0:
            self._timer = self.loop.call_later(max(left, self._limits.body_seconds / 10), self._check_body)
        else:
            self._refuse(b"408 Request Timeout", b"The request body did not arrive in time.", b"request_timeout")

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse_large_head(self) -> None:
        self._refuse(
            b"431 Request Header Fields Too Large", b"The request's headers are too large.", b"headers_too_large"
        )

    def _refuse(self, status: bytes, message: bytes, code: bytes) -> None:
        """Answer this, unless another answer has begun, and close."""
        if self.transport.is_closing():
            return
        if self._answering():
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            if self._in_head or self.pipeline or self.cycle.response_started:
                # What is written here would be taken for a part of another answer.
                self.transport.close()
                return
        kind = b"server_error" if status.startswith(b"5") else b"invalid_request_error"
        body = REFUSAL % (message, kind, code)
        self.transport.write(REFUSAL_HEAD % (status, len(body), new_id("req").encode()) + body)
        self._close()

    def _close(self) -> None:
        self._closing = True
        self._stop_timer()
        self._unset_keepalive_if_required()
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._timer = self.loop.call_later(self._limits.linger_seconds, self.transport.close)


class Server(uvicorn.Server):
    """A server that says when it listens. `ready` is also set when it could not start: look at `started`.

    `refused` is why it may not listen at its address, if that was the reason.
    """

    def __init__(self, config: uvicorn.Config, limits: Limits) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()
        self.refused: OSError | None = None
        self._limits = limits

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
            if self.started:
                self._limit_writing()
        except SystemExit as exit:
            self.should_exit = True  # The reason was logged; the caller decides about its process.
            self.refused = exit.__context__ if isinstance(exit.__context__, OSError) else None
        finally:
            self.ready.set()

    def _limit_writing(self) -> None:
        """Connections have this from the socket that they come in at. Only the system sees the client's progress."""
        if not hasattr(socket, "TCP_USER_TIMEOUT"):
            return
        milliseconds = int(self._limits.write_seconds * 1000)
        for listening in (listening for server in self.servers for listening in server.sockets):
            with socket.socket(fileno=os.dup(listening.fileno())) as same:
                same.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self.servers[0].sockets[0].getsockname()[1]


def is_fault(record: logging.LogRecord) -> bool:
    """uvicorn takes a WebSocket that is refused with an answer in HTTP for one that was left without any."""
    return record.getMessage() != "ASGI callable returned without completing handshake."


def server(app: Any, *, host: str, port: int, log_level: str, limits: Limits | None = None) -> Server:
    """A server for this ASGI app. `port` 0 takes a free one."""
    chosen = limits or Limits()
    logging.getLogger("uvicorn.error").addFilter(is_fault)
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=cast("type[asyncio.Protocol]", partial(LimitedProtocol, chosen)),
        loop="auto",
        lifespan="on",
        log_level=log_level,
        access_log=False,
        server_header=False,
        date_header=True,
        proxy_headers=False,
        timeout_keep_alive=chosen.keep_alive_seconds,
        timeout_graceful_shutdown=10,
        ws="websockets-sansio",
        ws_max_size=MESSAGE_BYTES,
        # It would keep a window of memory for every connection.
        ws_per_message_deflate=False,
    )
    return Server(config, chosen)
