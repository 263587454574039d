"""OpenAI's Responses as the way to a model: for models that are nowhere else, and for thoughts that are told and kept.

Request, transport and decoding are our own, as in `openai_wire`; LiteLLM is not imported here.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from gateway.events import ModelEvent
from gateway.ports import ModelCall
from gateway.providers.chat_body import ToolEncoder
from gateway.providers.openai_wire import Endpoints, PostedAnswer
from gateway.providers.relayed_response import RelayedResponse, is_private, needs_openai, relayed_body
from gateway.providers.responses_body import function_tool, responses_body
from gateway.providers.responses_events import ResponsesDecoder
from gateway.providers.targets import Answer, Target
from gateway.providers.transport import Transport


class ResponsesLane:
    """The lane. `begin` encodes the request; nothing is sent before the answer's first `next`."""

    def __init__(self, transport: Transport) -> None:
        self._tools = ToolEncoder(function_tool)
        self._endpoints = Endpoints(transport, "/responses")

    def begin(self, call: ModelCall, target: Target) -> Answer[ModelEvent]:
        tools = self._tools.encode(call.tools) if call.tools else ()
        body = responses_body(call, target.model, target.provider.name, tools)
        body["stream"] = call.live
        body.update(target.provider.extra)
        return ResponsesAnswer(self._endpoints, orjson.dumps(body), call, target)

    def relay(self, given: Mapping[str, Any], target: Target) -> Answer[bytes]:
        """See `relay.RelayLane`."""
        return RelayedResponse(self._endpoints.of(target), relayed_body(given, target), given, target)

    def is_private(self, target: Target) -> bool:
        """See `relay.RelayLane`."""
        return is_private(target)

    def needs_openai(self, given: Mapping[str, Any]) -> bool:
        """See `relay.RelayLane`."""
        return needs_openai(given)


class ResponsesAnswer(PostedAnswer):
    """One response."""

    def __init__(self, endpoints: Endpoints, body: bytes, call: ModelCall, target: Target) -> None:
        super().__init__(endpoints, body, call, target)
        self._decoder = ResponsesDecoder(target.provider.name, target.id, call, target.secrets)

    def _end(self, out: list[ModelEvent]) -> None:
        self._decoder.end()

    def _event(self, data: bytes, out: list[ModelEvent]) -> bool:
        if data == b"[DONE]":
            self._decoder.end()
        event = self._object(data)
        if event.get("object") == "response":
            # The whole answer, of a server that does not stream.
            event = {"type": f"response.{event.get('status')}", "response": event}
        return self._decoder.feed(event, out)
