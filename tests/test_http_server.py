"""What a client may do to the server before it has shown a key, and after: a real server, bare sockets."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator

import anyio
import httpx
import pytest
from starlette.types import Receive, Scope, Send

from gateway.http_server import DISCONNECT, Limits, server

pytestmark = pytest.mark.anyio

GET = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n"


class App:
    """Reads the body and answers with its size and the names of the headers. `/hold` waits for `release` first,
    `/flood` writes for ever, `/hasty` answers without reading."""

    def __init__(self) -> None:
        self.release = asyncio.Event()
        self.asked = asyncio.Event()
        self.gone = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await send({"type": f"{(await receive())['type']}.complete"})
            await send({"type": f"{(await receive())['type']}.complete"})
            return
        size, more = 0, scope["path"] != "/hasty"
        self.asked.set()
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.gone.set()
                return
            size, more = size + len(message["body"]), message["more_body"]
        if scope["path"] == "/hold":
            await self.release.wait()
        flood = scope["path"] == "/flood"
        body = b"%d %b" % (size, b" ".join(name for name, _ in scope["headers"]))
        scope["extensions"][DISCONNECT]["told"].callback = self.gone.set
        length = [] if flood else [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": length})
        while flood and not self.gone.is_set():
            await send({"type": "http.response.body", "body": b"x" * 2**20, "more_body": True})
        await send({"type": "http.response.body", "body": b"" if flood else body})


@contextlib.asynccontextmanager
async def serving(**limits) -> AsyncIterator[tuple[App, int]]:
    app = App()
    uvicorn = server(app, host="127.0.0.1", port=0, log_level="warning", limits=Limits(**limits))
    task = asyncio.create_task(uvicorn.serve())
    await uvicorn.ready.wait()
    try:
        with anyio.fail_after(20):
            yield app, uvicorn.port
    finally:
        uvicorn.should_exit = uvicorn.force_exit = True
        await task


@contextlib.asynccontextmanager
async def connected(port: int):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the next answer."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.strip().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    status = int(first.split()[1])
    # `App` refuses nothing: it is the server's answer, which is as traceable as any.
    assert status < 400 or headers["x-request-id"].startswith("req_")
    return status, headers, await reader.readexactly(int(headers["content-length"]))


async def test_trailers_are_no_headers():
    async with serving() as (_, port), connected(port) as (reader, writer):
        writer.write(CHUNKED + b"2\r\nhi\r\n0\r\nauthorization: Bearer x\r\nx-more: y\r\n\r\n")
        _, _, body = await answer(reader)
        # The connection goes on.
        writer.write(GET)
        again, _, _ = await answer(reader)
    assert (body, again) == (b"2 host transfer-encoding", 200)


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (b"2\r\nhi\r\n0\r\n", b"x: a\r\n" * 1000),
        (b"2\r\nhi\r\n0\r\nx: ", b"a" * 6000),
        (b"2;", b"a" * 6000),
    ],
    ids=["trailers", "one trailer", "chunk extension"],
)
async def test_what_is_not_body_has_an_end(head, piece):
    async with serving(linger_seconds=0.5) as (app, port), connected(port) as (reader, writer):
        writer.write(CHUNKED + head)
        refused = asyncio.create_task(answer(reader))
        while not refused.done():
            writer.write(piece)
            await writer.drain()
            await asyncio.wait([refused], timeout=0.001)
        status, _, _ = await refused
        await app.gone.wait()
    assert status == 431


async def test_a_body_in_very_small_pieces_is_a_body():
    async with serving() as (_, port), connected(port) as (reader, writer):
        writer.write(CHUNKED + b"1\r\nx\r\n" * 50_000 + b"0\r\n\r\n")
        status, _, body = await answer(reader)
    assert (status, body.split()[0]) == (200, b"50000")


async def test_a_large_head_in_one_piece_is_refused_and_a_large_body_behind_a_head_is_not():
    async with serving(linger_seconds=0.05) as (_, port):
        async with connected(port) as (reader, writer):
            writer.write(b"GET / HTTP/1.1\r\nhost: localhost\r\nx-large: " + b"a" * 100_000 + b"\r\n\r\n")
            refused, _, _ = await answer(reader)
        async with connected(port) as (reader, writer):
            writer.write(b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 200000\r\n\r\n" + b"a" * 200_000 + GET)
            _, _, body = await answer(reader)
            next_one, _, _ = await answer(reader)
    assert (refused, body.split()[0], next_one) == (431, b"200000", 200)


async def test_a_request_that_is_answered_before_its_end_is_the_last_of_its_connection():
    async with serving(linger_seconds=0.05) as (_, port), connected(port) as (reader, writer):
        writer.write(b"POST /hasty HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100000000\r\n\r\n")
        status, _, _ = await answer(reader)
        writer.write(b"x")
        assert (status, await reader.read()) == (200, b"")


@pytest.mark.parametrize("teased", [b"\r\n", b"GET / HT", b"GET / HTTP/1.1\r\nhost: localhost\r\n"])
@pytest.mark.parametrize("before", [b"", GET])
async def test_a_request_that_does_not_come_is_not_waited_for(teased, before):
    async with (
        serving(head_seconds=0.1, linger_seconds=0.05, keep_alive_seconds=1000) as (_, port),
        connected(port) as (reader, writer),
    ):
        if before:
            writer.write(before)
            await answer(reader)
        writer.write(teased)
        status, headers, _ = await answer(reader)
        assert await reader.read() == b""
    assert (status, headers["connection"]) == (408, "close")


async def test_a_body_that_comes_too_slowly_is_not_waited_for():
    async with serving(body_seconds=0.2, body_rate=100, linger_seconds=0.05) as (app, port):
        async with connected(port) as (reader, writer):
            writer.write(b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n")
            late = asyncio.create_task(answer(reader))
            while not late.done():
                writer.write(b"x")
                # Fifty bytes a second: always something, never enough.
                await asyncio.wait([late], timeout=0.02)
            status, _, body = await late
            assert await reader.read() == b""
            await app.gone.wait()
    assert status == 408
    assert b'"code":"request_timeout"' in body


async def test_a_large_body_may_take_its_time():
    head = b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10001\r\n\r\n"
    async with serving(body_seconds=0.1, body_rate=1) as (_, port):
        async with connected(port) as (reader, writer), connected(port) as (idle, idle_writer):
            writer.write(head + b"x" * 5000)
            # Who sends no byte of a body is refused when its time is over, and the time of the other goes on.
            idle_writer.write(head)
            assert (await answer(idle))[0] == 408
            writer.write(b"x" * 5001)
            status, _, body = await answer(reader)
    assert (status, body.split()[0]) == (200, b"10001")


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="only Linux tells how far a client has read")
async def test_a_client_that_does_not_read_is_left():
    async with serving(write_seconds=0.5) as (app, port):
        with socket.create_connection(("127.0.0.1", port)) as deaf:
            deaf.sendall(b"GET /flood HTTP/1.1\r\nhost: localhost\r\n\r\n")
            await app.gone.wait()


async def test_more_connections_than_allowed_are_told_so():
    async with serving(connections=2, linger_seconds=0.05) as (_, port):
        async with connected(port) as (reader, writer), connected(port):
            writer.write(GET)
            await answer(reader)
            async with httpx.AsyncClient() as client:
                refused = await client.get(f"http://127.0.0.1:{port}/")
        async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(retries=9)) as client:
            after = refused
            while after.status_code == 503:
                after = await client.get(f"http://127.0.0.1:{port}/")
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "too_many_connections")
    assert refused.headers["x-request-id"].startswith("req_")
    assert after.status_code == 200


async def test_the_next_request_does_not_disturb_the_answer_to_the_one_before():
    async with serving(head_seconds=0.1) as (app, port), connected(port) as (reader, writer):
        writer.write(b"GET /hold HTTP/1.1\r\nhost: localhost\r\n\r\n" + b"GET / HTTP/1.1\r\nhost")
        await app.asked.wait()
        first = asyncio.create_task(answer(reader))
        await asyncio.wait([first], timeout=0.3)
        app.release.set()
        status, _, _ = await first
        writer.write(b": localhost\r\n\r\n")
        second, _, _ = await answer(reader)
    assert (status, second) == (200, 200)


async def test_requests_in_one_piece_are_answered_in_their_order():
    async with serving() as (_, port), connected(port) as (reader, writer):
        posts = b"".join(
            b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n" % size + b"x" * size
            for size in range(1, 6)
        )
        writer.write(posts)
        sizes = [(await answer(reader))[2].split()[0] for _ in range(5)]
    assert sizes == [b"1", b"2", b"3", b"4", b"5"]


@pytest.mark.parametrize(
    "nonsense",
    [b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/9.9\r\n\r\n", b"GET / HTTP/1.1\r\ncontent-length: x\r\n\r\n"],
)
async def test_nonsense_is_a_400_and_nothing_that_fills_a_log(nonsense, caplog):
    with caplog.at_level(logging.INFO):
        async with serving(linger_seconds=0.05) as (_, port), connected(port) as (reader, writer):
            writer.write(nonsense)
            status, _, body = await answer(reader)
            caplog.clear()
            writer.write(nonsense)
            assert await reader.read() == b""
    assert (status, b'"type":"invalid_request_error"' in body) == (400, True)
    assert [record for record in caplog.records if "uvicorn" in record.name] == []


async def test_a_request_for_another_protocol_is_answered_in_this_one(caplog):
    async with serving() as (_, port), connected(port) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n")
        status, _, _ = await answer(reader)
        writer.write(GET)
        again, _, _ = await answer(reader)
    assert (status, again) == (200, 200)
    assert [record for record in caplog.records if "uvicorn" in record.name] == []
