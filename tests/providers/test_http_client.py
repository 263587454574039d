"""The HTTP client of lane 1 against servers that are slow, rude or broken."""

import asyncio
import contextlib

import pytest

from gateway.errors import ProviderError, ProviderRefused
from gateway.providers.http_client import LARGEST_HEAD, READ_AHEAD, PooledTransport

pytestmark = pytest.mark.anyio

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


class Server:
    """Says `answers` one after the other, a list of them for each connection; None hangs up, an Event is waited for."""

    def __init__(self, *connections: list[bytes | asyncio.Event | None]) -> None:
        self._connections = list(connections)
        self.requests: list[bytes] = []
        self.accepted = 0
        self.gone = asyncio.Event()

    async def __aenter__(self):
        self._tasks: set[asyncio.Task] = set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"
        return self

    async def __aexit__(self, *exc):
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader, writer):
        task = asyncio.current_task()
        self._tasks.add(task)
        self.accepted += 1
        answers = self._connections.pop(0) if self._connections else [OK]
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            for answer in answers:
                if isinstance(answer, asyncio.Event):
                    await answer.wait()
                    continue
                if answer is None:
                    break
                if answer.startswith(b"HTTP/"):
                    head = await reader.readuntil(b"\r\n\r\n")
                    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                    self.requests.append(head + await reader.readexactly(length))
                writer.write(answer)
                await writer.drain()
            else:
                await reader.read(1)
                self.gone.set()
        writer.close()
        self._tasks.discard(task)


async def turns() -> None:
    """Let both sides do what they can do now."""
    for _ in range(500):
        await asyncio.sleep(0)


async def read(reply) -> bytes:
    pieces = []
    while piece := await reply.piece():
        pieces.append(piece)
    return b"".join(pieces)


async def ask(endpoint, body=b"{}"):
    reply = await endpoint.post(body)
    found = (reply.status, await read(reply))
    reply.close()
    return found


@contextlib.asynccontextmanager
async def asked(*connections, headers=None):
    async with Server(*connections) as server, PooledTransport() as transport:
        yield server, transport.endpoint(server.url, headers or {})


async def test_a_request_is_what_it_should_be_and_the_connection_is_used_again():
    async with asked([OK, OK], headers={"x-a": "b"}) as (server, endpoint):
        assert [await ask(endpoint, b"{}"), await ask(endpoint, b"[1]")] == [(200, b"ok")] * 2
    host = server.url.removeprefix("http://").removesuffix("/v1").encode()
    assert server.requests == [
        b"POST /v1 HTTP/1.1\r\nhost: %b\r\nx-a: b\r\ncontent-length: %d\r\n\r\n%b" % (host, len(body), body)
        for body in (b"{}", b"[1]")
    ]
    assert server.accepted == 1


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        ([CHUNKED + b"2\r\nok\r\n0\r\n\r\n"], b"ok"),
        ([CHUNKED, b"1\r\no\r\n", b"1;x=y\r\nk\r\n0\r\nx-trailer: 1\r\n\r\n"], b"ok"),
        ([b"HTTP/1.1 200 OK\r\n\r\no", b"k", None], b"ok"),
        ([b"HTTP/1.0 200 OK\r\n\r\nok", None], b"ok"),
        ([b"HTTP/1.1 100 Continue\r\n\r\n" + OK], b"ok"),
        ([b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + OK], b"ok"),
        ([b"HTTP/1.1 204 No Content\r\n\r\n"], b""),
        ([OK[:20], OK[20:]], b"ok"),
        ([CHUNKED, b"1\r\no\r\n" * LARGEST_HEAD, b"0\r\n\r\n"], b"o" * LARGEST_HEAD),
        ([OK.replace(b": 2", b": %d" % (2 * LARGEST_HEAD))[:-2], b"o" * LARGEST_HEAD * 2], b"o" * LARGEST_HEAD * 2),
    ],
)
async def test_every_kind_of_body_is_read(answer, body):
    async with asked(answer) as (_, endpoint):
        assert (await ask(endpoint))[1] == body


@pytest.mark.parametrize(
    "answer",
    [
        [b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nok", None],
        [CHUNKED + b"2\r\nok\r\n", None],
        [CHUNKED + b"zz\r\nok\r\n"],
        [b"HTTP/1.1 200 OK\r\n", None],
        [b"HTTP/1.1 hello\r\n\r\n"],
        [b"HTTP/1.1 200 OK\r\nx: " + b"y" * LARGEST_HEAD],
        [CHUNKED + b"2\r\nok\r\n0\r\nx: ", *[b"y" * LARGEST_HEAD] * 8],
        [CHUNKED + b"0\r\n", *[b"x: %b\r\n" % (b"y" * 1000)] * 600],
        [CHUNKED + b"2\r\nok\r\n1;x=", *[b"y" * LARGEST_HEAD] * 8],
        [b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\nok"],
    ],
)
async def test_what_is_no_whole_answer_is_an_error(answer):
    async with asked(answer) as (server, endpoint):
        with pytest.raises(ProviderError) as caught:
            await ask(endpoint)
        assert server.accepted == 1
    assert caught.value.code == "provider_unreachable"


async def test_a_connection_that_was_closed_while_idle_is_replaced():
    async with asked([OK, None], [OK]) as (server, endpoint):
        await ask(endpoint)
        # The server closes as soon as it has read the next request: before a byte of the answer.
        assert await ask(endpoint) == (200, b"ok")
        assert server.accepted == 2


async def test_a_fresh_connection_that_is_closed_is_an_error():
    async with asked([None], [OK]) as (server, endpoint):
        with pytest.raises(ProviderError):
            await ask(endpoint)
        assert server.accepted == 1


@pytest.mark.parametrize(
    "answer",
    [OK + b"HTTP/1.1 200 OK\r\n", OK + OK, b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok"],
)
async def test_a_connection_that_is_not_clean_is_not_used_again(answer):
    async with asked([answer], [OK]) as (server, endpoint):
        assert [await ask(endpoint), await ask(endpoint)] == [(200, b"ok")] * 2
        assert server.accepted == 2


async def test_an_answer_that_nobody_reads_on_is_cut():
    async with asked([CHUNKED + b"2\r\nok\r\n"]) as (server, endpoint):
        reply = await endpoint.post(b"{}")
        assert await reply.piece() == b"ok"
        reply.close()
        async with asyncio.timeout(5):
            await server.gone.wait()


async def test_an_answer_that_is_done_but_not_ended_keeps_its_connection_once_it_ends():
    gate = asyncio.Event()
    async with asked([CHUNKED + b"2\r\nok\r\n", gate, b"0\r\n\r\n", OK]) as (server, endpoint):
        reply = await endpoint.post(b"{}")
        assert await reply.piece() == b"ok"
        reply.release()
        gate.set()
        await turns()
        assert await ask(endpoint) == (200, b"ok")
        assert server.accepted == 1


async def test_a_server_that_is_faster_than_the_reader_is_made_to_wait():
    size = 64 * READ_AHEAD
    async with asked([b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size, b"x" * size]) as (_, endpoint):
        reply = await endpoint.post(b"{}")
        await turns()
        first = await reply.piece()
        assert len(first) <= 4 * READ_AHEAD
        assert len(first) + len(await read(reply)) == size


async def test_several_at_once_have_a_connection_each():
    async with asked(*[[OK]] * 8) as (server, endpoint):
        assert await asyncio.gather(*(ask(endpoint) for _ in range(8))) == [(200, b"ok")] * 8
        assert server.accepted == 8


async def test_a_cancelled_request_is_cut():
    async with asked([b"HTTP/1.1 100 Continue\r\n\r\n"]) as (server, endpoint):
        task = asyncio.create_task(ask(endpoint))
        await turns()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        async with asyncio.timeout(5):
            await server.gone.wait()


async def test_tls_is_spoken_where_the_address_says_so():
    # Said before anything was asked, so that nobody waits for the other.
    async with asked([b"no TLS here"]) as (server, _), PooledTransport() as transport:
        with pytest.raises(ProviderError, match="connection to the provider failed"):
            await ask(transport.endpoint(server.url.replace("http", "https"), {}))


@pytest.mark.parametrize("url", ["ftp://h/", "h:80/v1", "http://", "file:///etc/passwd"])
async def test_an_address_that_is_none_is_refused(url):
    async with PooledTransport() as transport:
        with pytest.raises(ProviderRefused):
            transport.endpoint(url, {})


async def test_a_header_cannot_bring_another():
    async with PooledTransport() as transport:
        with pytest.raises(ProviderRefused):
            transport.endpoint("http://127.0.0.1/", {"x-a": "b\r\nx-c: d"})
