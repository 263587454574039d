"""uvicorn with the limits it does not have: a time for the headers and a size for them.

What a body may weigh and how long it may take is checked where it is read (apis/_wire.py).
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEADER_SECONDS = 10.0
"""How long a client may take from connecting, or from its last request, to the end of the next request's headers."""
HEADER_BYTES = 64 * 1024
KEEP_ALIVE_SECONDS = 75
"""Longer than the 60 s of common load balancers, so that they and not we close an idle connection first."""


DISCONNECT = "homeport.disconnect"
"""The ASGI extension under which a request finds its `Disconnect`."""


class Disconnect:
    """Set `callback` to be told, once, that the client has hung up. Cheaper than a task that waits for the message."""

    __slots__ = ("callback",)

    def __init__(self) -> None:
        self.callback: Callable[[], None] | None = None


class LimitedProtocol(HttpToolsProtocol):
    """Closes a connection that dawdles over its headers or sends too many of them."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        super().connection_made(transport)
        self._header_bytes = 0
        self._in_headers = True
        self._disconnect: Disconnect | None = None
        self._header_timer: asyncio.TimerHandle | None = self.loop.call_later(HEADER_SECONDS, self._too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)
        if self._disconnect is not None and self._disconnect.callback is not None:
            self._disconnect.callback()

    def data_received(self, data: bytes) -> None:
        if self._in_headers:
            self._header_bytes += len(data)
        super().data_received(data)
        if self._in_headers and self._header_bytes > HEADER_BYTES:
            self._refuse(b"431 Request Header Fields Too Large")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_headers = True
        self._header_bytes = 0
        if self._header_timer is None:
            self._header_timer = self.loop.call_later(HEADER_SECONDS, self._too_slow)

    def on_headers_complete(self) -> None:
        self._in_headers = False
        self._stop_timer()
        self._disconnect = Disconnect()
        self.scope["extensions"] = {DISCONNECT: {"told": self._disconnect}}
        super().on_headers_complete()

    def _stop_timer(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _too_slow(self) -> None:
        self._header_timer = None
        self._refuse(b"408 Request Timeout")

    def _refuse(self, status: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 %b\r\nconnection: close\r\ncontent-length: 0\r\n\r\n" % status)
            self.transport.close()


class Server(uvicorn.Server):
    """A server that says when it listens. `ready` is also set when it could not start: look at `started`."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        except SystemExit:
            self.should_exit = True  # The reason was logged; the caller decides about its process.
        finally:
            self.ready.set()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self.servers[0].sockets[0].getsockname()[1]


def server(app: Any, *, host: str, port: int, log_level: str) -> Server:
    """A server for this ASGI app. `port` 0 takes a free one."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=LimitedProtocol,
        loop="auto",
        lifespan="on",
        log_level=log_level,
        access_log=False,
        server_header=False,
        date_header=True,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=10,
        ws="none",
    )
    return Server(config)
