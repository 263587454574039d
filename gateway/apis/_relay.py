"""A raw model's answer handed to the client as the vendor gave it: no Turn, no run, no tokens read.

Here is what the client sees of it: status, errors, keep-alive, and what a hung-up client means. Which requests are
meant for it is for the dialect to say (`read_request`); what is changed in one, and when an answer counts as whole, is
for the provider (`ports.Relay`).
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager
from typing import Any, cast

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.agents.catalog import Catalog
from gateway.apis._body import refuse_too_many_values
from gateway.apis._gone import aborted_when_gone
from gateway.apis._wire import LARGE_BODY, PING, JsonResponse
from gateway.errors import GatewayError, NotFound
from gateway.ports import Relay, Relayed, RelayedWire

EVENT_STREAM = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]

Json = dict[str, Any]


class RawModels(ABC):
    """Answers what is meant for a raw model, and can be answered without being read."""

    wire: RelayedWire

    def __init__(self, relay: Relay, catalog: Catalog, most: int) -> None:
        """`most` is `max_history`, in characters. What may be longer is left to the engine, which counts them."""
        self._relay = relay
        self._catalog = catalog
        self._most = most

    @abstractmethod
    def read_request(self, body: bytes | bytearray) -> Json | None:
        """The body, with its `model`, of a request that needs nothing of the gateway's own. None for any other, which
        the engine has to answer or to refuse. Raises InvalidRequest."""

    @abstractmethod
    def check(self, asked: Json, *, to_openai: bool) -> None:
        """Refuse what is known to be wrong: of OpenAI's own hosts, or of any server. Raises InvalidRequest."""

    @abstractmethod
    def stream(self, relayed: Relayed) -> "RelayedStream":
        """The answer to a request with `"stream": true`."""

    async def answer(self, request: Request, body: bytes | bytearray) -> Response | None:
        """None for a request that the engine has to answer, or to refuse. Raises InvalidRequest and ProviderError."""
        if len(body) > self._most:
            return None
        large = len(body) > LARGE_BODY
        asked = await asyncio.to_thread(self.read_request, body) if large else self.read_request(body)
        if asked is None or not self._is_raw(asked["model"]):
            return None
        async with aborted_when_gone(request.scope, request.receive):
            model = await self._relay.relayed_model(asked["model"], self.wire)
            if model is None:
                return None
            if large:
                await asyncio.to_thread(self.check, asked, to_openai=model.openai)
            else:
                self.check(asked, to_openai=model.openai)
            relayed = await model.ask(asked)
            if relayed is None:
                return None
            if asked.get("stream") is True:
                return self.stream(relayed)
            try:
                pieces: list[bytes] = []
                while (said := await relayed.next()) is not None:
                    pieces += said
            finally:
                await relayed.close()
        return JsonResponse(b"".join(pieces), 200)

    def _is_raw(self, model: str) -> bool:
        try:
            return not self._catalog.find(model).digest
        except NotFound:
            return False


def read_object(body: bytes | bytearray) -> Json | None:
    """The body, if it is an object that names a model.

    Raises InvalidRequest when it holds more than can be read in a bounded time.
    """
    if len(body) > LARGE_BODY:
        refuse_too_many_values(body)
    try:
        asked: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(asked, dict):
        return None
    asked = cast(Json, asked)
    return asked if isinstance(asked.get("model"), str) else None


def is_disguised(asked: Json, known: Collection[str]) -> bool:
    """Whether it has one of these names in other letters, which some servers take for the name itself."""
    return any(name not in known and name.casefold() in known for name in asked)


class RelayedStream(Response, ABC):
    """Server-sent events as they come. `first` and `last` are what was sent first and last of them: some whole events
    each, with comments among them."""

    def __init__(self, relayed: Relayed) -> None:  # pyright: ignore[reportMissingSuperCall]
        self._relayed = relayed
        self._wrote = 0.0
        self.first = self.last = b""
        self.status_code = 200
        self.background = None
        self.raw_headers = EVENT_STREAM

    @abstractmethod
    def failure(self, error: GatewayError) -> bytes:
        """The end of a stream that broke off."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with aborted_when_gone(scope, receive):
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                async with self._kept_alive(send):
                    await self._send(send)
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            await self._relayed.close()

    async def _send(self, send: Send) -> None:
        loop = asyncio.get_running_loop()
        try:
            while (said := await self._relayed.next()) is not None:
                if said:
                    self._wrote = loop.time()
                    body = b"".join(said)
                    if b"data:" in body:
                        self.last = body
                        self.first = self.first or body
                    await send({"type": "http.response.body", "body": body, "more_body": True})
        except GatewayError as error:
            await send({"type": "http.response.body", "body": self.failure(error), "more_body": True})

    @asynccontextmanager
    async def _kept_alive(self, send: Send) -> AsyncGenerator[None]:
        """Send a comment after every silence of `PING` seconds. Only whole events are relayed, so it fits between."""
        loop = asyncio.get_running_loop()
        pings: set[asyncio.Task[None]] = set()

        def ping() -> None:
            nonlocal timer
            if loop.time() - self._wrote >= PING:
                # Kept in a set: the loop holds tasks only weakly.
                message = {"type": "http.response.body", "body": b": ping\n\n", "more_body": True}
                sending = asyncio.ensure_future(send(message))
                pings.add(sending)
                sending.add_done_callback(pings.discard)
            timer = loop.call_later(PING, ping)

        timer = loop.call_later(PING, ping)
        try:
            yield
        finally:
            timer.cancel()
