"""The load generator: N keep-alive connections, each sending its next request when it has the answer to the last.

`python -m bench.load` reads one `Load` as JSON from stdin and writes one result as JSON. It is a process of its own
so that it can have a core of its own. Raw asyncio and no JSON on the way: it must be much cheaper than any server.
"""

import asyncio
import contextlib
import json
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any, cast

import uvloop

from bench.processes import cpu_seconds
from bench.upstream import TEXT, TOKEN

_TOKEN = re.compile(rb'"(?:content|delta)":\s*" ' + TOKEN.encode() + rb"(\d+)")
_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
_ENDINGS = (b"data: [DONE]", b"response.completed")
_GRACE = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """One cell. `body` is sent as JSON; where `conversations` is not 0, that many are made first and taken in turn.

    `stall_ms` is the longest gap between two tokens of a stream that is not called a stall; 0 does not look.
    `seconds` are measured after `warm_up` seconds; `server` is the process whose CPU time is counted.
    """

    port: int
    path: str
    key: str
    body: dict[str, Any]
    connections: int
    seconds: float
    warm_up: float
    server: int
    conversations: int = 0
    stall_ms: float = 0.0


@dataclass(slots=True)
class _Tally:
    measuring: bool = False
    stopping: bool = False
    open: int = 0
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    latencies: list[float] = field(default_factory=list)
    first_tokens: list[float] = field(default_factory=list)
    transits: list[int] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)
    tokens: int = 0
    errors: int = 0
    sample: str = ""

    def error(self, what: str) -> None:
        if self.measuring:
            self.errors += 1
        self.sample = self.sample or what


class _Connection(asyncio.Protocol):
    def __init__(self, requests: Iterator[bytes], streamed: bool, tally: _Tally) -> None:
        self.requests, self.streamed, self.tally = requests, streamed, tally

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not subclasses of asyncio's.
        self.transport = cast(asyncio.Transport, transport)
        self.tally.open += 1
        self._send()

    def _send(self) -> None:
        self.waiting = not self.tally.stopping
        if not self.waiting:
            self.transport.close()
            return
        self.head = self.rest = self.tail = b""
        self.body: list[bytes] = []
        self.length = -1
        self.received = 0
        self.complete = False
        self.last_token = 0.0
        self.started = time.perf_counter()
        self.transport.write(next(self.requests))

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        if self.length < 0:
            self.head += data
            end = self.head.find(b"\r\n\r\n")
            if end < 0:
                return
            length = _LENGTH.search(self.head, 0, end)
            # Without a length the answer is chunked, and ends with an empty chunk.
            self.length = int(length[1]) if length else 0
            self.status = self.head[9:12]
            data = self.head[end + 4 :]
        self.received += len(data)
        if self.streamed and self.status == b"200":
            self._read_stream(data, now)
        else:
            self.body.append(data)
        self.tail = (self.tail + data)[-5:]
        if self.received >= self.length if self.length else self.tail == b"0\r\n\r\n":
            self._finish(now)

    def _read_stream(self, data: bytes, now: float) -> None:
        data = self.rest + data
        cut = data.rfind(b"\n") + 1
        lines, self.rest = data[:cut], data[cut:]
        stamps = _TOKEN.findall(lines)
        self.complete = self.complete or any(ending in lines for ending in _ENDINGS)
        if not stamps:
            return
        if self.tally.measuring:
            self.tally.tokens += len(stamps)
            if not self.last_token:
                self.tally.first_tokens.append(now - self.started)
            else:
                self.tally.gaps.append(now - self.last_token)
            if len(stamps[-1]) > 4:
                self.tally.transits.append(time.monotonic_ns() - int(stamps[-1]))
        self.last_token = now

    def _finish(self, now: float) -> None:
        complete = self.complete if self.streamed else TEXT[:40].encode() in b"".join(self.body)
        if self.status != b"200" or not complete:
            self.tally.error(f"{self.status.decode()} {b''.join(self.body)[:300].decode('utf-8', 'replace')}")
        elif self.tally.measuring:
            self.tally.latencies.append(now - self.started)
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        self.tally.open -= 1
        if self.tally.open == 0:
            self.tally.idle.set()
        if self.waiting:
            self.tally.error(f"connection lost: {exc}")


def _request(load: Load, path: str, body: dict[str, Any]) -> bytes:
    data = json.dumps(body).encode()
    return (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{load.port}\r\nauthorization: Bearer {load.key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
    ).encode() + data


async def _conversations(load: Load) -> list[str]:
    reader, writer = await asyncio.open_connection("127.0.0.1", load.port)
    ids: list[str] = []
    for _ in range(load.conversations):
        writer.write(_request(load, "/v1/conversations", {}))
        head = await reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        body = await reader.readexactly(int(length[1]) if length else 0)
        ids.append(json.loads(body)["id"])
    writer.close()
    return ids


async def run(load: Load) -> dict[str, Any]:
    """The result: `requests` and `errors` counted in the window, times in ms, CPU in seconds."""
    bodies = [load.body]
    if load.conversations:
        bodies = [load.body | {"conversation": one} for one in await _conversations(load)]
    requests = cycle([_request(load, load.path, body) for body in bodies])
    tally, streamed = _Tally(), bool(load.body.get("stream"))
    loop = asyncio.get_running_loop()

    async def connect() -> None:
        await loop.create_connection(lambda: _Connection(requests, streamed, tally), "127.0.0.1", load.port)

    await asyncio.gather(*(connect() for _ in range(load.connections)))
    await asyncio.sleep(load.warm_up)
    cpu, own, began = cpu_seconds(load.server), time.process_time(), time.perf_counter()
    tally.measuring = True
    await asyncio.sleep(load.seconds)
    tally.measuring, tally.stopping = False, True
    seconds, cpu, own = time.perf_counter() - began, cpu_seconds(load.server) - cpu, time.process_time() - own
    result = _result(load, tally, seconds, cpu, own)
    # Streams that are on their way may end, so that no server logs a lost client in the next cell's time.
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(tally.idle.wait(), _GRACE)
    return result


def _result(load: Load, tally: _Tally, seconds: float, cpu: float, own: float) -> dict[str, Any]:
    return {
        "seconds": seconds,
        "requests": len(tally.latencies),
        "errors": tally.errors,
        "error": tally.sample,
        "lost_connections": load.connections - tally.open,
        "cpu_s": cpu,
        "load_cores": own / seconds,
        "tokens": tally.tokens,
        "stalls": sum(gap * 1000 > load.stall_ms for gap in tally.gaps) if load.stall_ms else 0,
        "p50_ms": quantile(tally.latencies, 0.5, 1000),
        "p99_ms": quantile(tally.latencies, 0.99, 1000),
        "ttft_p50_ms": quantile(tally.first_tokens, 0.5, 1000),
        "ttft_p99_ms": quantile(tally.first_tokens, 0.99, 1000),
        "gap_max_ms": quantile(tally.gaps, 1, 1000),
        "transit_p50_ms": quantile(tally.transits, 0.5, 1e-6),
        "transit_p99_ms": quantile(tally.transits, 0.99, 1e-6),
    }


def quantile(values: list[float] | list[int], part: float, factor: float) -> float | None:
    """The value below which `part` of `values` lie, times `factor`; None where there are no values."""
    if not values:
        return None
    return sorted(values)[min(len(values) - 1, int(len(values) * part))] * factor


if __name__ == "__main__":
    sys.stdout.write(json.dumps(uvloop.run(run(Load(**json.load(sys.stdin))))))
