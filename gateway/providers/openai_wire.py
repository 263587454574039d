"""Lane 1: providers that speak OpenAI's chat completions. Request, transport and decoding are all ours.

A stream is asked for only if somebody watches it: a whole answer is one JSON to read, not a hundred. LiteLLM is not
imported here.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from gateway.events import ModelEvent
from gateway.ports import ModelCall
from gateway.providers.answers import EventReader, decoder
from gateway.providers.chat_body import ToolEncoder, chat_body, tool_body
from gateway.providers.relayed_chat import RelayedCompletion, needs_openai, relayed_body
from gateway.providers.sse import SseParser
from gateway.providers.targets import Answer, Target
from gateway.providers.transport import Endpoint, Reply, Transport

MOST_ENDPOINTS = 1024
"""Remembered; a client with leave for `*` could name any number of models."""

STREAM_OPTIONS: Mapping[str, Any] = {"include_usage": True}


class Endpoints:
    """Where each target is asked: `path` below its base URL."""

    def __init__(self, transport: Transport, path: str) -> None:
        self._transport = transport
        self._path = path
        self._known: dict[Target, Endpoint] = {}

    def url(self, target: Target) -> str:
        return target.base_url + self._path

    def of(self, target: Target) -> Endpoint:
        endpoint = self._known.get(target)
        if endpoint is None:
            if len(self._known) >= MOST_ENDPOINTS:
                self._known.clear()
            endpoint = self._transport.endpoint(self.url(target), wire_headers(target))
            self._known[target] = endpoint
        return endpoint


class OpenAIWire:
    """The lane. `begin` encodes the request; nothing is sent before the answer's first `next`."""

    def __init__(self, transport: Transport) -> None:
        self._tools = ToolEncoder(tool_body)
        self._endpoints = Endpoints(transport, "/chat/completions")

    def begin(self, call: ModelCall, target: Target) -> Answer[ModelEvent]:
        tools = self._tools.encode(call.tools) if call.tools else ()
        body = chat_body(call, target.model, target.provider.name, target.vendor, tools)
        body["stream"] = call.live
        if call.live and target.vendor.usage_option:
            body["stream_options"] = STREAM_OPTIONS
        if target.provider.extra:
            body.update(target.provider.extra)
        return WireAnswer(self._endpoints, orjson.dumps(body), call, target)

    def relay(self, given: Mapping[str, Any], target: Target) -> Answer[bytes]:
        """See `relay.RelayLane`."""
        return RelayedCompletion(self._endpoints.of(target), relayed_body(given, target), given, target)

    def is_private(self, target: Target) -> bool:
        """See `relay.RelayLane`. A chat completion repeats nothing."""
        return False

    def needs_openai(self, given: Mapping[str, Any]) -> bool:
        """See `relay.RelayLane`."""
        return needs_openai(given)


def wire_headers(target: Target) -> dict[str, str]:
    headers = {
        "content-type": "application/json",
        "accept": "text/event-stream, application/json",
        "accept-encoding": "identity",
        "user-agent": "homeport",
    }
    if target.api_key and target.litellm_provider == "azure":
        headers["api-key"] = target.api_key
    elif target.api_key:
        headers["authorization"] = f"Bearer {target.api_key}"
    return headers | {name.lower(): value for name, value in target.provider.headers.items()}


class PostedAnswer(EventReader):
    """An answer to a request that was written beforehand."""

    def __init__(self, endpoints: Endpoints, body: bytes, call: ModelCall, target: Target) -> None:
        super().__init__(call, target)
        self._endpoints = endpoints
        self._body = body

    async def _post(self) -> Reply:
        body, self._body = self._body, b""
        self._note(self._endpoints.url(self._target), body)
        return await self._endpoints.of(self._target).post(body)

    def _whole(self, status: int, body: bytes, out: list[ModelEvent]) -> None:
        """A server that does not stream: its answer counts if it is complete. A stream may also be mislabelled."""
        if not body.startswith(b"{") and body.lstrip().startswith((b"data:", b":", b"event:")):
            self._sse = SseParser()
            self._events([*self._datas(body), *self._datas(b"")], out, last=True)
        else:
            self._events([body], out, last=True)


class WireAnswer(PostedAnswer):
    """One chat completion."""

    def __init__(self, endpoints: Endpoints, body: bytes, call: ModelCall, target: Target) -> None:
        super().__init__(endpoints, body, call, target)
        self._decoder = decoder(call, target)

    def _end(self, out: list[ModelEvent]) -> None:
        self._decoder.end(out)

    def _event(self, data: bytes, out: list[ModelEvent]) -> bool:
        if data == b"[DONE]":
            self._decoder.end(out)
            return True
        try:
            chunk = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            raise self._garbled() from error
        if not isinstance(chunk, dict):
            raise self._garbled()
        self._decoder.feed(chunk, out)  # pyright: ignore[reportUnknownArgumentType]
        return False
