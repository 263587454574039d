"""Lane 2: LiteLLM's request and response transformations under our own transport (Anthropic, unless told otherwise).

LiteLLM turns the request into the vendor's and each event back into a chunk; sending, reading, limits and aborting are
ours. Its transformation objects are half-internal: the version is pinned and the contract test runs this lane. Two
things are read from the vendor's own event before LiteLLM sees it, because it loses them: errors and the finish
reason (`pause_turn` and a full context window come out of it as "stop").
"""

import asyncio
from types import SimpleNamespace
from typing import Any

import orjson

from gateway.errors import ProviderError
from gateway.events import ModelEvent
from gateway.ports import ModelCall
from gateway.providers.answers import EventReader, decoder
from gateway.providers.chat_body import Json, chat_body, tool_body
from gateway.providers.litellm_import import LiteLLM
from gateway.providers.litellm_shapes import as_chunk, fitted, from_exception
from gateway.providers.targets import Answer, Target
from gateway.providers.transport import Reply, Transport
from gateway.providers.vendor_errors import from_body

ANTHROPIC = "https://api.anthropic.com"

NOT_PARAMETERS = frozenset({"model", "messages"})


class Transformed:
    """The lane."""

    def __init__(self, transport: Transport, litellm: LiteLLM) -> None:
        self._transport = transport
        self._litellm = litellm
        self._prepared: set[str] = set()

    def begin(self, call: ModelCall, target: Target) -> Answer[ModelEvent]:
        tools = [tool_body(tool) for tool in call.tools]
        body = chat_body(call, target.model, target.provider.name, target.vendor, tools)
        return TransformedAnswer(self._transport, self._litellm, self._prepared, body, call, target)


class Request:
    """One request in the vendor's shape, and the objects of LiteLLM that read its answer."""

    def __init__(self, litellm: Any, body: Json, target: Target, *, live: bool) -> None:
        """Raises what LiteLLM raises, and ProviderRefused."""
        self.model, self.messages, self.target = target.model, body["messages"], target
        provider = litellm.types.utils.LlmProviders(target.litellm_provider)
        self.config: Any = litellm.utils.ProviderConfigManager.get_provider_chat_config(
            model=target.model, provider=provider
        )
        supported = self.config.get_supported_openai_params(model=target.model)
        wanted = fitted(
            {name: value for name, value in body.items() if name not in NOT_PARAMETERS},
            supported,
            target.provider.name,
        )
        self.options: Json = self.config.map_openai_params(wanted, {}, target.model, False)
        self.json_mode = bool(self.options.pop("json_mode", False))
        self._request(target, live=live)
        arguments: Json = {"streaming_response": iter(()), "sync_stream": False, "json_mode": self.json_mode}
        # Anthropic's reader of events and the path of its address are not in its configuration object.
        if target.litellm_provider == "anthropic":
            self.iterator: Any = litellm.llms.anthropic.chat.handler.ModelResponseIterator(**arguments)
        else:
            self.iterator = self.config.get_model_response_iterator(**arguments)
        self.new_response: Any = litellm.types.utils.ModelResponse

    def _request(self, target: Target, *, live: bool) -> None:
        base, key = target.base_url or None, target.api_key or None
        if target.litellm_provider == "anthropic":
            base = (base or ANTHROPIC).removesuffix("/v1/messages").removesuffix("/v1") + "/v1/messages"
        common: Json = {"model": target.model, "litellm_params": {}, "optional_params": self.options}
        headers = self.config.validate_environment(
            headers=dict(target.provider.headers), messages=self.messages, api_key=key, api_base=base, **common
        )
        self.url: str = self.config.get_complete_url(api_base=base, api_key=key, stream=live, **common)
        if live and self.config.supports_stream_param_in_request_body:
            self.options["stream"] = True
        data = self.config.transform_request(messages=self.messages, headers=headers, **common)
        data.update(target.provider.extra)
        signed, body = self.config.sign_request(
            headers=headers, optional_params=self.options, request_data=data, api_base=self.url, api_key=key,
            model=target.model, stream=live,
        )  # fmt: skip
        self.data: Json = data
        self.body: bytes = body if body is not None else orjson.dumps(data)
        self.headers = {str(name).lower(): str(value) for name, value in (signed or headers).items()}
        self.headers |= {"content-type": "application/json", "accept-encoding": "identity"}

    def chunk(self, event: Json) -> Json:
        return as_chunk(self.iterator.chunk_parser(event))

    def whole(self, answer: Any) -> Json:
        """An answer that did not come as a stream (`LiteLLM.received`)."""
        response = self.config.transform_response(
            model=self.model,
            raw_response=answer,
            model_response=self.new_response(),
            logging_obj=SimpleNamespace(post_call=ignore, pre_call=ignore, model_call_details={}, optional_params={}),
            request_data=self.data,
            messages=self.messages,
            optional_params=self.options,
            litellm_params={},
            encoding=None,
            api_key=self.target.api_key,
            json_mode=self.json_mode,
        )
        return as_chunk(response)


def ignore(*args: object, **kwargs: object) -> None:
    """LiteLLM reports to a log that nobody keeps."""


class TransformedAnswer(EventReader):
    """One answer."""

    def __init__(
        self,
        transport: Transport,
        litellm: LiteLLM,
        prepared: set[str],
        body: Json,
        call: ModelCall,
        target: Target,
    ) -> None:
        """`prepared` are the vendors for which LiteLLM has everything in memory; this adds its own."""
        super().__init__(call, target)
        self._decoder = decoder(call, target)
        self._transport = transport
        self._litellm = litellm
        self._prepared = prepared
        self._body = body
        self._live = call.live
        self._request: Request | None = None

    async def _post(self) -> Reply:
        litellm = await self._litellm.module()
        if self._target.litellm_provider in self._prepared:
            request = self._prepare(litellm)
        else:
            # The first request imports more of LiteLLM, which takes long enough to be felt by others.
            request = await asyncio.to_thread(self._prepare, litellm)
            self._prepared.add(self._target.litellm_provider)
        self._request = request
        self._note(request.url, request.body)
        return await self._transport.endpoint(request.url, request.headers).post(request.body)

    def _prepare(self, litellm: Any) -> Request:
        try:
            return Request(litellm, self._body, self._target, live=self._live)
        except ProviderError:
            raise
        except Exception as error:
            raise from_exception(self._target.provider.name, error, self._target.secrets) from error

    def _end(self, out: list[ModelEvent]) -> None:
        self._decoder.end(out)

    def _event(self, data: bytes, out: list[ModelEvent]) -> bool:
        assert self._request is not None
        event: Json = {"type": "message_stop"} if data == b"[DONE]" else self._object(data)
        kind = event.get("type")
        if kind == "error" or "error" in event:
            raise from_body(self._target.provider.name, event, secrets=self._target.secrets)
        if kind == "message_stop":
            self._decoder.end(out)
            return True
        self._decoder.feed(self._guarded(self._request.chunk, event), out)
        if kind == "message_delta":
            self._finish(event.get("delta"), out)
        return False

    def _whole(self, status: int, body: bytes, out: list[ModelEvent]) -> None:
        assert self._request is not None
        answer = self._object(body)
        if answer.get("error"):
            raise from_body(self._target.provider.name, answer, secrets=self._target.secrets)
        self._decoder.feed(self._guarded(self._request.whole, self._litellm.received(status, body)), out)
        if answer.get("type") == "message":
            self._finish(answer, out)
        self._decoder.end(out)

    def _finish(self, said: Any, out: list[ModelEvent]) -> None:
        """Anthropic's own reason; None where it gave none, whatever LiteLLM made of that."""
        match said:
            case {"stop_reason": "refusal", "stop_details": {"explanation": words}}:
                self._decoder.finish = "refusal"
                self._decoder.feed({"choices": [{"delta": {"refusal": words}}]}, out)
            case {"stop_reason": str(reason)}:
                self._decoder.finish = reason
            case _:
                self._decoder.finish = None

    def _guarded(self, read: Any, *args: Any) -> Json:
        try:
            return read(*args)
        except (AttributeError, KeyError, IndexError, TypeError) as error:
            raise self._garbled() from error
        except Exception as error:
            raise from_exception(self._target.provider.name, error, self._target.secrets) from error
