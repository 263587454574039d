"""Lane 3: `litellm.acompletion`, for vendors that the other lanes cannot reach (Gemini, Bedrock, Vertex, Azure …).

LiteLLM is given nothing it could misread: an allow-list of options, no retries of its own, no way into its MCP
gateway. What it says is not believed where it was found to be wrong: a stream that was cut off comes out of it as
"stop", so the vendor's own finish reason must have been seen; closing it does not abort the request, so every
iterator below it is closed too; its exceptions are chosen by words, so the vendor's status and code decide.
"""

import inspect
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

import orjson

from gateway.errors import ProviderError
from gateway.events import ModelEvent
from gateway.ports import ModelCall
from gateway.providers.answers import Reader, decoder
from gateway.providers.chat_body import Json, chat_body, tool_body
from gateway.providers.litellm_callers import Caller
from gateway.providers.litellm_import import LiteLLM, variables
from gateway.providers.litellm_shapes import as_chunk, fitted, from_exception
from gateway.providers.sent import as_sent
from gateway.providers.targets import Answer, Target

NO_STREAM = frozenset({"cohere", "cohere_chat"})
"""LiteLLM fails on every stream of these: they are asked for the whole answer."""

GOOGLE = frozenset({"gemini", "vertex_ai", "vertex_ai_beta"})

OWN_LIMIT = 3600.0
"""Seconds given to LiteLLM as its time limit: never the one that counts (Gemini's streams ignore it)."""

VARIABLES: Mapping[str, tuple[str, ...]] = {
    "bedrock": (
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_REGION_NAME",
        "AWS_PROFILE_NAME",
        "AWS_BEDROCK_RUNTIME_ENDPOINT",
    ),
    "vertex_ai": ("VERTEXAI_PROJECT", "VERTEXAI_LOCATION", "VERTEXAI_CREDENTIALS"),
    "azure": ("AZURE_API_VERSION", "AZURE_AD_TOKEN"),
}
"""What these vendors need beside a key and an address. The lower-cased name is LiteLLM's parameter."""

RENAMED = {"azure_api_version": "api_version"} | {
    f"vertexai_{name}": f"vertex_{name}" for name in ("project", "location", "credentials")
}


class LiteLLMLane:
    """The lane. `keys` holds the vendors' environment variables."""

    def __init__(self, litellm: LiteLLM, keys: Mapping[str, str]) -> None:
        self._litellm = litellm
        self._keys = keys

    def begin(self, call: ModelCall, target: Target) -> Answer[ModelEvent]:
        tools = [tool_body(tool) for tool in call.tools]
        body = chat_body(call, target.model, target.provider.name, target.vendor, tools)
        found = credentials(self._keys, target)
        return LiteLLMAnswer(self._litellm, {**body, **found, **target.provider.extra}, found, call, target)


class LiteLLMAnswer(Reader[ModelEvent]):
    """One answer."""

    def __init__(
        self, litellm: LiteLLM, body: Json, credentials: Mapping[str, str], call: ModelCall, target: Target
    ) -> None:
        super().__init__(target)
        self._litellm = litellm
        self._body = body
        self._live = call.live and target.litellm_provider not in NO_STREAM
        self._secrets = (*target.secrets, *credentials.values())
        self._credentials = credentials
        self._caller = Caller(target.provider.name, self._note, live=self._live)
        self._log = call.log
        self._request: Json = {}
        self._heard = False
        self._given = frozenset(credentials) | frozenset(target.provider.extra)
        self._decoder = decoder(call, target, trusted=False)
        self._stream: Any = None
        self._chunks: Any = None
        self._google: GoogleFinish | None = None
        self._vouched: bool | None = None

    async def close(self) -> None:
        self._ended = True
        stream, self._stream = self._stream, None
        if stream is not None:
            # Found first: LiteLLM forgets what is below when it closes itself.
            for layer in (stream, *layers(stream)):
                await close_layer(layer)

    async def _advance(self, out: list[ModelEvent]) -> bool:
        try:
            return await self._read(out)
        except ProviderError:
            raise
        except Exception as error:
            name = self._target.provider.name
            raise from_exception(name, error, self._secrets, answered=self._caller.answered) from error

    async def _read(self, out: list[ModelEvent]) -> bool:
        if self._stream is None:
            litellm = await self._litellm.module()
            with self._listening():
                answer = await self._ask(litellm)
                if hasattr(answer, "__aiter__"):
                    # As an argument (`stream_options`) LiteLLM refuses it for vendors that need no asking.
                    answer.stream_options, answer.send_stream_usage = {"include_usage": True}, True
                    self._stream, self._chunks = answer, answer.__aiter__()
                    if self._target.litellm_provider in GOOGLE:
                        await answer.fetch_stream()
                        self._google = GoogleFinish(layers(answer))
            if self._stream is None:
                self._whole(answer, out)
                return True
        stream = self._stream
        before = stream.received_finish_reason or stream.intermittent_finish_reason
        try:
            chunk = as_chunk(await self._chunks.__anext__())
        except StopAsyncIteration:
            if self._google is not None:
                self._decoder.finish = self._google.reason
            elif not self._vouched:
                self._decoder.finish = None
            self._decoder.end(out)
            return True
        if self._vouched is None and any(choice.get("finish_reason") for choice in chunk["choices"]):
            # LiteLLM says how it ended only at the end, and then invents what is missing. This is what was there.
            self._vouched = bool(stream.received_finish_reason or before)
        self._decoder.feed(chunk, out)
        return False

    @contextmanager
    def _listening(self) -> Generator[None]:
        """Bound what LiteLLM reads, and note what it sends; what it was given, where that is not heard."""
        try:
            with self._litellm.heard(self._caller):
                yield
        finally:
            if self._log is not None and self._request and not self._heard:
                self._note(self._target.base_url, orjson.dumps(self._request), exact=False)

    def _note(self, url: str, body: bytes, *, exact: bool = True) -> None:
        if self._log is not None:
            self._heard = True
            self._log.sent(as_sent(self._target, url, body, self._credentials, exact=exact))

    def _whole(self, answer: Any, out: list[ModelEvent]) -> None:
        self._decoder.feed(as_chunk(answer), out)
        if self._target.litellm_provider in GOOGLE:
            self._decoder.finish = native_finish(answer)
        self._decoder.end(out)

    async def _ask(self, litellm: Any) -> Any:
        target = self._target
        model = f"{target.litellm_provider}/{target.model}"
        supported: Any = litellm.get_supported_openai_params(
            model=target.model, custom_llm_provider=target.litellm_provider
        )
        allowed = {*(supported or ()), "model", "messages", *self._given}
        request = fitted(self._body, allowed, target.provider.name)
        self._request = {name: value for name, value in request.items() if name not in self._given}
        return await litellm.acompletion(
            **{
                **request,
                **addressed(target),
                "model": model,
                "stream": self._live,
                "_skip_mcp_handler": True,
            }
        )


def credentials(keys: Mapping[str, str], target: Target) -> dict[str, str]:
    """What the vendor needs beside a key and an address, as LiteLLM's parameters."""
    names = VARIABLES.get(target.litellm_provider, ())
    return {RENAMED.get(name, name): value for name, value in variables(keys, *names).items()}


def addressed(target: Target) -> Json:
    """Where LiteLLM shall ask, and that it asks once and waits: limits and second attempts are the router's."""
    where: Json = {"timeout": OWN_LIMIT, "max_retries": 0, "num_retries": 0}
    if target.api_key:
        where["api_key"] = target.api_key
    if target.base_url:
        where["api_base"] = target.base_url
    if target.provider.headers:
        where["extra_headers"] = dict(target.provider.headers)
    return where


def native_finish(answer: Any) -> str | None:
    """Google's own reason, which LiteLLM keeps beside what it made of it, in a whole answer."""
    kept: Any = [getattr(choice, "provider_specific_fields", None) for choice in answer.choices[:1]]
    return kept[0].get("native_finish_reason") if kept and kept[0] else None


class GoogleFinish:
    """The finish reason in Google's own words. LiteLLM takes every piece of text for a "stop", and an answer that
    failed (`MALFORMED_FUNCTION_CALL`) too. `reason` is None until Google gave one."""

    def __init__(self, below: list[Any]) -> None:
        self.reason: str | None = None
        reader = next((layer for layer in below if hasattr(layer, "chunk_parser")), None)
        if reader is None:
            raise ProviderError("This version of LiteLLM hides Google's finish reason.", code="litellm_changed")
        parse = reader.chunk_parser

        def noted(chunk: Json) -> Any:
            self._note(chunk)
            return parse(chunk)

        reader.chunk_parser = noted

    def _note(self, chunk: Json) -> None:
        candidates: list[Json] = chunk.get("candidates") or [{}]
        feedback: Json = chunk.get("promptFeedback") or {}
        reason = candidates[0].get("finishReason") or ("SAFETY" if feedback.get("blockReason") else None)
        self.reason = reason or self.reason


def layers(stream: Any) -> list[Any]:
    """The iterators and responses under LiteLLM's stream, outermost first."""
    found: list[Any] = []
    waiting = [stream]
    while waiting and len(found) < 32:
        layer = waiting.pop(0)
        for name in ("completion_stream", "async_response_iterator", "streaming_response", "response", "_stream"):
            inner = getattr(layer, name, None)
            if inner is not None and not any(inner is known for known in found):
                found.append(inner)
                waiting.append(inner)
    return found


async def close_layer(layer: Any) -> None:
    """Close one of LiteLLM's iterators or responses. It must not stop the others from being closed."""
    for name in ("aclose", "close"):
        close = getattr(layer, name, None)
        if close is None:
            continue
        try:
            outcome = close()
            if inspect.isawaitable(outcome):
                await outcome
        except Exception:  # noqa: BLE001 - already closed, running, or broken: either way there is nothing left to do
            pass
        return
