"""The floor: a bare pass-through on the same stack as the gateway, uvicorn (uvloop, httptools) and aiohttp.

`python -m bench.floor PORT UPSTREAM_URL`. It moves bytes and reads nothing of them: no JSON, no keys, no routes, no
log. What a gateway costs is measured as a multiple of this, in the same run on the same machine.
"""

import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import aiohttp
import uvicorn

Message = MutableMapping[str, Any]

_JSON = (b"content-type", b"application/json")
_SSE = (b"content-type", b"text/event-stream")


class Floor:
    """An ASGI application."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._session: aiohttp.ClientSession | None = None

    async def __call__(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["method"] == "GET":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
            await send({"type": "http.response.body", "body": b"ok"})
        else:
            await self._pass(scope, await _body(receive), send)

    async def _live(
        self, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        await receive()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=60),
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._session.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _pass(self, scope: Message, body: bytes, send: Callable[[Message], Awaitable[None]]) -> None:
        assert self._session is not None
        key = next((value.decode() for name, value in scope["headers"] if name == b"authorization"), "")
        headers = {"content-type": "application/json", "authorization": key}
        async with self._session.post(self._upstream + scope["path"], data=body, headers=headers) as response:
            start: Message = {"type": "http.response.start", "status": response.status}
            if response.content_type == "text/event-stream":
                await send(start | {"headers": [_SSE]})
                async for part in response.content.iter_any():
                    await send({"type": "http.response.body", "body": part, "more_body": True})
                await send({"type": "http.response.body", "body": b""})
            else:
                answer = await response.read()
                await send(start | {"headers": [_JSON, (b"content-length", b"%d" % len(answer))]})
                await send({"type": "http.response.body", "body": answer})


async def _body(receive: Callable[[], Awaitable[Message]]) -> bytes:
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body"):
        message = await receive()
        body += message.get("body", b"")
    return body


if __name__ == "__main__":
    uvicorn.run(
        Floor(sys.argv[2]),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        log_level="warning",
        access_log=False,
        backlog=4096,
    )
