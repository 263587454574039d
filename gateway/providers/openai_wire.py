"""Lane 1: providers that speak OpenAI's chat completions. Request, transport and decoding are all ours.

A stream is asked for only if somebody watches it: a whole answer is one JSON to read, not a hundred. LiteLLM is not
imported here.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from gateway.errors import ProviderError
from gateway.events import ModelEvent
from gateway.ports import ModelCall
from gateway.providers.chat_body import ToolEncoder, chat_body
from gateway.providers.chat_chunks import ChunkDecoder
from gateway.providers.sse import SseParser
from gateway.providers.targets import Answer, Target
from gateway.providers.transport import Endpoint, Reply, Transport
from gateway.providers.vendor_errors import from_response

LARGEST_BODY = 64 * 1024 * 1024
"""Bytes of an answer that is not a stream."""
LARGEST_ERROR = 256 * 1024

STREAM_OPTIONS: Mapping[str, Any] = {"include_usage": True}


class OpenAIWire:
    """The lane. `begin` encodes the request; nothing is sent before the answer's first `next`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._tools = ToolEncoder()
        self._endpoints: dict[Target, Endpoint] = {}

    def begin(self, call: ModelCall, target: Target) -> Answer:
        tools = self._tools.encode(call.tools) if call.tools else ()
        body = chat_body(call, target.model, target.provider.name, target.vendor, tools)
        body["stream"] = call.live
        if call.live and target.vendor.usage_option:
            body["stream_options"] = STREAM_OPTIONS
        if target.provider.extra:
            body.update(target.provider.extra)
        return WireAnswer(self._endpoint(target), orjson.dumps(body), call, target)

    def _endpoint(self, target: Target) -> Endpoint:
        endpoint = self._endpoints.get(target)
        if endpoint is None:
            endpoint = self._transport.endpoint(f"{target.base_url}/chat/completions", wire_headers(target))
            self._endpoints[target] = endpoint
        return endpoint


def wire_headers(target: Target) -> dict[str, str]:
    headers = {
        "content-type": "application/json",
        "accept": "text/event-stream, application/json",
        "accept-encoding": "identity",
        "user-agent": "homeport",
    }
    if target.api_key:
        headers["authorization"] = f"Bearer {target.api_key}"
    return headers | {name.lower(): value for name, value in target.provider.headers.items()}


class WireAnswer:
    """One streamed chat completion."""

    __slots__ = ("_body", "_decoder", "_ended", "_endpoint", "_error", "_reply", "_sse", "_target")

    def __init__(self, endpoint: Endpoint, body: bytes, call: ModelCall, target: Target) -> None:
        self._endpoint = endpoint
        self._body = body
        self._target = target
        name = target.provider.name
        self._decoder = ChunkDecoder(name, target.id, call.items, stops=bool(call.options.get("stop")))
        self._sse: SseParser | None = None
        self._reply: Reply | None = None
        self._error: ProviderError | None = None
        self._ended = False

    async def next(self) -> list[ModelEvent] | None:
        if self._error is not None:
            raise self._error
        if self._ended:
            return None
        reply = self._reply or await self._open()
        if self._sse is None:
            return self._whole(await whole(reply, LARGEST_BODY))
        piece = await reply.piece()
        out: list[ModelEvent] = []
        try:
            for data in self._sse.feed(piece) if piece else self._sse.close():
                self._event(data, out)
                if self._ended:
                    return out
            if not piece:
                self._end(out)
        except ProviderError as error:
            if not out:
                raise
            # What came before the failure is told first.
            self._error = error
        return out

    async def close(self) -> None:
        reply, self._reply = self._reply, None
        if reply is None:
            return
        if self._ended:
            reply.release()
        else:
            self._ended = True
            reply.close()

    async def _open(self) -> Reply:
        self._reply = reply = await self._endpoint.post(self._body)
        self._body = b""
        if reply.status >= 300:
            body = await whole(reply, LARGEST_ERROR)
            name = self._target.provider.name
            raise from_response(name, reply.status, reply.headers, body, self._target.secrets)
        if "json" not in reply.headers.get("content-type", ""):
            self._sse = SseParser()
        return reply

    def _event(self, data: bytes, out: list[ModelEvent]) -> None:
        if data == b"[DONE]":
            self._end(out)
            return
        try:
            chunk = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            raise self._garbled() from error
        if not isinstance(chunk, dict):
            raise self._garbled()
        self._decoder.feed(chunk, out)  # pyright: ignore[reportUnknownArgumentType]

    def _end(self, out: list[ModelEvent]) -> None:
        self._ended = True
        self._decoder.end(out)

    def _whole(self, body: bytes) -> list[ModelEvent]:
        """A server that does not stream: its answer counts if it is complete. A stream may also be mislabelled."""
        out: list[ModelEvent] = []
        if not body.startswith(b"{") and body.lstrip().startswith((b"data:", b":", b"event:")):
            sse = SseParser()
            for data in [*sse.feed(body), *sse.close()]:
                if not self._ended:
                    self._event(data, out)
            if not self._ended:
                self._end(out)
            return out
        self._event(body, out)
        self._end(out)
        return out

    def _garbled(self) -> ProviderError:
        return ProviderError(f"{self._target.provider.name} sent something that is not JSON.", code="stream_garbled")


async def whole(reply: Reply, most: int) -> bytes:
    """The body up to its end, or as much of it as is wanted."""
    pieces: list[bytes] = []
    size = 0
    while size < most and (piece := await reply.piece()):
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)
