"""A raw model's answer handed to the client as the vendor gave it: no Turn, no run, no tokens read.

Here is what the client sees of it: status, errors, keep-alive, and what a hung-up client means. What is changed in the
request, and when an answer counts as whole, is the provider's (`ports.Relay`).
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, cast

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.agents.catalog import Catalog
from gateway.apis._body import refuse_too_many_values
from gateway.apis._gone import aborted_when_gone
from gateway.apis._wire import LARGE_BODY, PING, JsonResponse, error_body, frame
from gateway.apis.chat.checks import check_relayed
from gateway.errors import GatewayError, NotFound
from gateway.ports import Relay, Relayed

EVENT_STREAM = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]


class RawModels:
    """Answers what is meant for a raw model, and can be answered without being read."""

    def __init__(self, relay: Relay, catalog: Catalog) -> None:
        self._relay = relay
        self._catalog = catalog

    async def answer(self, request: Request, body: bytes | bytearray) -> Response | None:
        """None for a request that the engine has to answer, or to refuse. Raises InvalidRequest and ProviderError."""
        large = len(body) > LARGE_BODY
        asked = await asyncio.to_thread(request_for_a_model, body) if large else request_for_a_model(body)
        # What is to be stored is stored here, where its owner can find it.
        if asked is None or asked.get("store") is True or not self._is_raw(asked["model"]):
            return None
        async with aborted_when_gone(request.scope, request.receive):
            model = await self._relay.relayed_model(asked["model"])
            if model is None:
                return None
            if large:
                await asyncio.to_thread(check_relayed, asked, to_openai=model.openai)
            else:
                check_relayed(asked, to_openai=model.openai)
            relayed = await model.ask(asked)
            if relayed is None:
                return None
            if asked.get("stream") is True:
                return RelayedStream(relayed)
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


def request_for_a_model(body: bytes | bytearray) -> dict[str, Any] | None:
    """The body, if it has what every chat completion has.

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
    asked = cast(dict[str, Any], asked)
    messages = asked.get("messages")
    return asked if isinstance(asked.get("model"), str) and isinstance(messages, list) and messages else None


class RelayedStream(Response):
    """Server-sent events as they come. A failure in the middle is an error frame, and no [DONE]."""

    def __init__(self, relayed: Relayed) -> None:  # pyright: ignore[reportMissingSuperCall]
        self._relayed = relayed
        self._wrote = 0.0
        self.status_code = 200
        self.background = None
        self.raw_headers = EVENT_STREAM

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
                    await send({"type": "http.response.body", "body": b"".join(said), "more_body": True})
        except GatewayError as error:
            # No [DONE]: the SDKs raise on the error, and nothing may look like a proper end.
            body = frame({"error": error_body(error)})
            await send({"type": "http.response.body", "body": body, "more_body": True})

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
