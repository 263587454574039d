"""A proxy in front of a tracker that can misbehave: everything else on the way is real.

It takes one request per connection, asks its rules in order what to do with it, and notes what came by.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import anyio


@dataclass
class Exchange:
    """One request as it came by. `body` is raw."""

    method: str
    path: str
    head: str
    body: bytes


@dataclass
class Rule:
    """What to do with the first `times` requests that start like `request` ("POST /rest/data/issue/@poe/").

    `reply`: raw bytes instead of the tracker's answer, which is not asked. `before`: cut before the tracker sees it.
    `after`: the tracker does it, its answer is lost. `hold`: the tracker does it, then the answer waits for ever;
    the event is set when it got there.
    """

    request: str
    reply: bytes | Callable[[], bytes] | None = None
    before: bool = False
    after: bool = False
    hold: asyncio.Event | None = None
    times: int = 1


@dataclass
class Wire:
    url: str = ""
    target: str = ""
    rules: list[Rule] = field(default_factory=list)
    seen: list[Exchange] = field(default_factory=list)

    def count(self, request: str) -> int:
        return sum(f"{one.method} {one.path}".startswith(request) for one in self.seen)

    def rule_for(self, exchange: Exchange) -> Rule | None:
        for rule in self.rules:
            if rule.times and f"{exchange.method} {exchange.path}".startswith(rule.request):
                rule.times -= 1
                return rule
        return None

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._exchange(reader, writer)
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        method, path, _ = lines[0].split(" ")
        exchange = Exchange(method, path, head.decode(), body)
        self.seen.append(exchange)
        rule = self.rule_for(exchange)
        if rule and rule.before:
            return
        if rule and rule.reply is not None:
            writer.write(rule.reply if isinstance(rule.reply, bytes) else rule.reply())
        else:
            answer = await self._ask(head, body)
            if rule and rule.hold:
                rule.hold.set()
                await reader.read()  # until the other side is gone
            if not (rule and rule.after):
                writer.write(answer)
        await writer.drain()

    async def _ask(self, head: bytes, body: bytes) -> bytes:
        target = urlsplit(self.target)
        reader, writer = await asyncio.open_connection(target.hostname, target.port)
        try:
            # As a reverse proxy does: Roundup refuses requests for another host than its own.
            own = re.sub(rb"(?im)^host: .*?\r$", f"Host: {target.netloc}\r".encode(), head)
            writer.write(own + body)
            await writer.drain()
            return await reader.read()  # Roundup's server closes after each answer
        finally:
            writer.close()


@contextlib.asynccontextmanager
async def wire_to(target: str, *rules: Rule) -> AsyncIterator[Wire]:
    wire = Wire(target=target, rules=list(rules))
    server = await asyncio.start_server(wire.handle, "127.0.0.1", 0)
    wire.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    try:
        yield wire
    finally:
        server.close()
        with anyio.move_on_after(5):
            await server.wait_closed()


def answer(status: str, headers: str = "", body: bytes = b"{}") -> bytes:
    """A raw HTTP answer: `answer("429 Too Many Requests", "Retry-After: 0\\r\\n")`."""
    kind = "" if "content-type" in headers.lower() else "Content-Type: application/json\r\n"
    head = f"HTTP/1.1 {status}\r\n{kind}{headers}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body
