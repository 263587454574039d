"""A small HTTP/1.1 client for lane 1, on asyncio's protocols and llhttp: POST, an answer in pieces, nothing else.

It exists because aiohttp's client is half the cost of a short model call. What it does not do, it refuses or leaves to
aiohttp: proxies (the router then takes `aiohttp_transport`), redirects, compression, HTTP/2. A connection is
used again only after an answer that was read to its end and allowed it; one that the server closed meanwhile, before
a byte of the answer, is replaced once.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Mapping
from typing import Any, Self, cast

import httptools
import yarl

from gateway.errors import ProviderError, ProviderRefused
from gateway.providers.transport import KEEP_ALIVE, Endpoint, Reply, broken

LARGEST_HEAD = 64 * 1024
"""Bytes of an answer before its body, and of what stands between two pieces of it or after the last."""
READ_AHEAD = 1024 * 1024
"""Bytes that are kept for a reader who is slower than the server, before the server is made to wait."""
LINGER = 1.0
"""Seconds given to a server to end an answer that has said it is done, so that the connection can be used again."""

Key = tuple[str, int, bool]
"""Host, port, and whether it is TLS."""


class Connection(asyncio.Protocol):
    """One connection, and the answer that is being read from it, if any. It is its own `Reply`."""

    def __init__(self, pool: "Pool", key: Key) -> None:
        self._pool, self._key = pool, key
        self._transport: asyncio.Transport | None = None
        self._parser: Any = None
        self._waiter: asyncio.Future[None] | None = None
        self._linger: asyncio.TimerHandle | None = None
        self.alive = True
        self.idle_since = 0.0
        self._reset()

    def _reset(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.answered = False
        self._head_size = 0
        self._pieces: list[bytes] = []
        self._kept = 0
        self._paused = self._headed = self._ended = self._reusable = self._surplus = False
        self._error: Exception | None = None

    # What the reader calls

    async def send(self, request: bytes) -> None:
        """Write a request and wait for the head of its answer."""
        self._reset()
        self._parser = httptools.HttpResponseParser(self)
        assert self._transport is not None
        self._transport.write(request)
        while not self._headed and self._error is None:
            await self._wait()
        if self._error is not None:
            raise self._error

    async def piece(self) -> bytes:
        while not self._pieces:
            if self._error is not None:
                raise broken(self._error) from self._error
            if self._ended:
                return b""
            await self._wait()
        pieces = self._pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._pieces, self._kept = [], 0
        if self._paused and self._transport is not None and self.alive:
            self._paused = False
            self._transport.resume_reading()
        return data

    def release(self) -> None:
        """The reader has what it wanted. The rest, if any, is let in for a moment and dropped."""
        if self._ended or not self.alive or self._paused or self._error is not None:
            self.close()
        elif self._linger is None:
            self._linger = asyncio.get_running_loop().call_later(LINGER, self.abandon)

    def close(self) -> None:
        """Keep the connection if the answer was read to its end, else cut it."""
        if self._parser is None:
            return
        if self._ended and self._reusable and self.alive:
            self._parser = None
            self._pool.keep(self._key, self)
        else:
            self.abandon()

    def abandon(self) -> None:
        """Cut the connection, whatever it was doing."""
        self.alive = False
        self._parser = None
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None
        if self._transport is not None:
            self._transport.abort()

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, error: Exception) -> None:
        if not self._ended and self._error is None:
            self._error = error
        self._wake()

    # What the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._parser is None or self._ended:
            # Nothing was asked: whatever this is, it is not an answer.
            self._reusable = False
            self.abandon()
            return
        self.answered = True
        self._head_size += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(error)
            self.abandon()
            return
        if self._head_size > LARGEST_HEAD and not self._ended:
            # Headers, or what llhttp keeps of the same kind: the sizes of chunks and the trailers.
            self._fail(ValueError("the head or a trailer of the answer is too large"))
            self.abandon()
            return
        if self._linger is not None:
            self._pieces.clear()
            if self._ended:
                self._linger.cancel()
                self._linger = None
                self.close()
        elif self._headed:
            self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self.alive = False
        self._pool.forget(self)
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None
        unbounded = "content-length" not in self.headers and "transfer-encoding" not in self.headers
        if exc is None and self._headed and unbounded:
            # Such a body is as long as the connection.
            self._ended = True
            self._wake()
        else:
            self._fail(exc or ConnectionResetError("the connection was closed in the middle of an answer"))

    # What llhttp calls

    def on_message_begin(self) -> None:
        # A second answer to one request is nobody's.
        self._surplus = self._ended

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._headed:
            self.headers[name.decode("latin1").lower()] = value.decode("latin1")

    def on_headers_complete(self) -> None:
        if self._surplus:
            return
        self.status = self._parser.get_status_code()
        self._headed = self.status >= 200
        if self.headers.get("content-encoding", "identity") != "identity":
            self._error = ValueError("the answer is compressed although that was not asked for")

    def on_body(self, body: bytes) -> None:
        if self._surplus:
            return
        self._head_size = 0
        self._pieces.append(body)
        self._kept += len(body)
        if self._kept > READ_AHEAD and not self._paused and self._linger is None and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        if not self._headed:
            # 100 Continue and its like: the answer is still to come.
            self.headers.clear()
            return
        self._ended = True
        self._reusable = not self._surplus and self._parser.should_keep_alive()


class Pool:
    """Connections that can be used again, by where they go. The newest is taken first."""

    def __init__(self) -> None:
        self._idle: dict[Key, deque[Connection]] = {}
        self._open: set[Connection] = set()
        self._tls: ssl.SSLContext | None = None
        self._sweep: asyncio.TimerHandle | None = None
        self._closed = False

    def take(self, key: Key) -> Connection | None:
        idle = self._idle.get(key)
        while idle:
            connection = idle.pop()
            if connection.alive:
                return connection
        return None

    def keep(self, key: Key, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        if self._closed:
            connection.abandon()
            return
        connection.idle_since = loop.time()
        self._idle.setdefault(key, deque()).append(connection)
        if self._sweep is None:
            self._sweep = loop.call_later(KEEP_ALIVE, self._expire)

    async def connect(self, key: Key) -> Connection:
        host, port, secure = key
        if secure and self._tls is None:
            # Reads the machine's certificates: milliseconds, once.
            self._tls = ssl.create_default_context()
            self._tls.set_alpn_protocols(["http/1.1"])
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(
            lambda: Connection(self, key), host, port, ssl=self._tls if secure else None
        )
        self._open.add(connection)
        return connection

    def forget(self, connection: Connection) -> None:
        self._open.discard(connection)

    def close(self) -> None:
        """Cut every connection, those in use too."""
        self._closed = True
        if self._sweep is not None:
            self._sweep.cancel()
        for connection in self._open:
            connection.abandon()
        self._idle.clear()

    def _expire(self) -> None:
        loop = asyncio.get_running_loop()
        oldest = loop.time() - KEEP_ALIVE
        self._sweep = None
        for idle in self._idle.values():
            while idle and (idle[0].idle_since <= oldest or not idle[0].alive):
                idle.popleft().abandon()
        self._idle = {key: idle for key, idle in self._idle.items() if idle}
        if self._idle:
            self._sweep = loop.call_later(KEEP_ALIVE, self._expire)


class PooledEndpoint:
    """One URL. The head of its requests is put together once."""

    def __init__(self, pool: Pool, url: str, headers: Mapping[str, str]) -> None:
        try:
            where = yarl.URL(url)
        except ValueError:
            where = yarl.URL()
        if where.scheme not in ("http", "https") or not where.raw_host or where.port is None:
            raise ProviderRefused("The base URL of this provider is not an http(s) address.", code="no_base_url")
        self._pool = pool
        self._key = (where.raw_host, where.port, where.scheme == "https")
        host = where.host_port_subcomponent
        lines = {"host": host or where.raw_host, **headers}
        head = f"POST {where.raw_path_qs} HTTP/1.1\r\n" + "".join(f"{name}: {text}\r\n" for name, text in lines.items())
        if any(character in text for text in lines.values() for character in "\r\n\0"):
            raise ProviderRefused("A header of this provider has a line break in it.", code="bad_header")
        self._head = head.encode("latin1", "replace") + b"content-length: "

    async def post(self, body: bytes) -> Reply:
        request = b"%b%d\r\n\r\n%b" % (self._head, len(body), body)
        connection = self._pool.take(self._key)
        if connection is not None:
            try:
                return await self._ask(connection, request)
            except ProviderError:
                # Closed while it was idle. Had the server begun to answer, the error would be final.
                if connection.answered:
                    raise
        try:
            connection = await self._pool.connect(self._key)
        except OSError as error:
            raise broken(error) from error
        return await self._ask(connection, request)

    async def _ask(self, connection: Connection, request: bytes) -> Reply:
        try:
            await connection.send(request)
        except BaseException as error:
            connection.abandon()
            if isinstance(error, OSError | ValueError | httptools.HttpParserError):
                raise broken(error) from error
            raise
        return connection


class PooledTransport:
    """The transport: its pool lives as long as it is entered."""

    def __init__(self) -> None:
        self._pool = Pool()

    def endpoint(self, url: str, headers: Mapping[str, str]) -> Endpoint:
        return PooledEndpoint(self._pool, url, headers)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._pool.close()
