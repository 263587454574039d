"""Vectors by a provider: OpenAI's `/embeddings` over our own transport, or LiteLLM's `aembedding` for the others.

An answer says all there is in one, so that the router's attempts and limits hold for it as for a whole chat completion.
The client's `encoding_format` is asked for; what comes back is read whichever way it is, because servers that do not
know the option answer with numbers, as the SDKs expect of them.
"""

import asyncio
import binascii
from array import array
from collections.abc import Mapping
from typing import Any, Protocol, Self, cast

import orjson

from gateway.embedding import EmbeddingCall, Embeddings, Vector
from gateway.errors import ProviderError, ProviderRefused
from gateway.providers.answers import HttpReader, Reader, whole
from gateway.providers.chat_body import Json
from gateway.providers.litellm_callers import Caller
from gateway.providers.litellm_import import LiteLLM
from gateway.providers.litellm_lane import addressed, credentials
from gateway.providers.litellm_shapes import from_exception, plain, refused
from gateway.providers.openai_wire import wire_headers
from gateway.providers.targets import Answer, Target
from gateway.providers.transport import Reply, Transport
from gateway.providers.vendor_errors import from_body, parsed

LARGEST_ANSWER = 192 * 1024 * 1024
"""Bytes. The most that OpenAI can be asked for, 2048 vectors of 3072 numbers, is 130 MB when written out."""
MOST_TOKENS = 2**53
"""More cannot be written as JSON, and nobody has read them."""
LARGE_ANSWER = 256 * 1024
"""Bytes from which on an answer is read on a thread."""
BY_LITELLM = frozenset({"litellm", "transformed"})


class OwnEmbedder(Protocol):
    """A model of the gateway's own that makes vectors (`embedding.Embedder`), entered and left with the router."""

    async def embed(self, call: EmbeddingCall) -> Embeddings: ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, *exc: object) -> None: ...


class EmbeddingLanes:
    """Both ways to a vector. `keys` holds the vendors' environment variables."""

    def __init__(self, transport: Transport, litellm: LiteLLM, keys: Mapping[str, str]) -> None:
        self._transport = transport
        self._litellm = litellm
        self._keys = keys

    def begin(self, call: EmbeddingCall, target: Target) -> Answer[Embeddings]:
        """Raises ProviderRefused for a model that makes no vectors."""
        if target.lane in ("openai", "responses"):
            return WireEmbeddings(self._transport, call, target)
        if target.lane in BY_LITELLM:
            return LiteLLMEmbeddings(self._litellm, credentials(self._keys, target), call, target)
        raise no_vectors(target.id)


def no_vectors(model: str) -> ProviderRefused:
    return ProviderRefused(f"The model '{model}' makes no vectors.", code="unsupported_model", param="model")


def embedding_body(call: EmbeddingCall, target: Target) -> Json:
    """The request in OpenAI's words, without the model."""
    body: Json = {"input": list(call.tokens if call.tokens is not None and target.vendor.tokens else call.texts)}
    if call.dimensions is not None:
        body["dimensions"] = call.dimensions
    if call.user is not None:
        body["user"] = call.user
    return body


class WireEmbeddings(HttpReader[Embeddings]):
    """One answer of a provider that speaks OpenAI's wire."""

    def __init__(self, transport: Transport, call: EmbeddingCall, target: Target) -> None:
        super().__init__(target)
        self._transport = transport
        self._call = call

    async def _post(self) -> Reply:
        target = self._target
        body = {"model": target.model, **embedding_body(self._call, target)}
        if self._call.base64:
            body["encoding_format"] = "base64"
        endpoint = self._transport.endpoint(f"{target.base_url}/embeddings", wire_headers(target))
        return await endpoint.post(orjson.dumps(body | dict(target.provider.extra)))

    async def _advance(self, out: list[Embeddings]) -> bool:
        body = await whole(await self._open(), LARGEST_ANSWER)
        out.append(await asyncio.to_thread(self._read, body) if len(body) > LARGE_ANSWER else self._read(body))
        return True

    def _read(self, body: bytes) -> Embeddings:
        answer = parsed(body)
        if isinstance(answer, dict) and cast(Json, answer).get("error"):
            raise from_body(self._target.provider.name, answer, secrets=self._target.secrets)
        return to_embeddings(answer, len(self._call.texts), self._target)


class LiteLLMEmbeddings(Reader[Embeddings]):
    """One answer through LiteLLM. `secrets` are what the vendor needs beside a key and an address."""

    def __init__(self, litellm: LiteLLM, secrets: Mapping[str, str], call: EmbeddingCall, target: Target) -> None:
        super().__init__(target)
        self._litellm = litellm
        self._credentials = secrets
        self._call = call
        self._caller = Caller(target.provider.name, most=LARGEST_ANSWER)

    async def close(self) -> None:
        # Nothing is left open: the request ends when it is cancelled.
        self._ended = True

    async def _advance(self, out: list[Embeddings]) -> bool:
        target = self._target
        try:
            answer = plain(await self._ask())
        except ProviderError:
            raise
        except Exception as error:
            if type(error).__name__ == "UnsupportedParamsError":
                raise refused(target.provider.name, "dimensions") from error
            secrets = (*target.secrets, *self._credentials.values())
            raise from_exception(target.provider.name, error, secrets, answered=self._caller.answered) from error
        out.append(to_embeddings(answer, len(self._call.texts), target))
        return True

    async def _ask(self) -> Any:
        litellm = await self._litellm.module()
        target = self._target
        name = target.litellm_provider
        if name in NO_VECTORS:
            raise no_vectors(target.id)
        body = embedding_body(self._call, target)
        if name not in KNOW_USERS:
            # A note for the vendor, nothing that changes a vector.
            body.pop("user", None)
        given = {**self._credentials, **target.provider.extra, **addressed(target)}
        with self._litellm.heard(self._caller):
            return await litellm.aembedding(**{**body, **given, "model": f"{name}/{target.model}"})


KNOW_USERS = frozenset({"azure"})
NO_VECTORS = frozenset({"anthropic"})
"""Vendors without any model for it; LiteLLM's own error for them names none of its reasons."""


def to_embeddings(answer: Any, count: int, target: Target) -> Embeddings:
    """OpenAI's answer as what it says. Raises ProviderError unless it has one vector for each of `count` inputs."""
    try:
        data = cast("list[Json]", answer["data"])
        # Sorted by its own numbers, where there are any: some servers answer in the order in which they were done.
        ordered = [at for _, at in sorted((one.get("index") or 0, at) for at, one in enumerate(data))]
        vectors = [to_vector(data[at]["embedding"]) for at in ordered]
        usage = cast(Json, answer.get("usage") or {})
        tokens = int(usage.get("prompt_tokens") or 0)
        if not 0 <= tokens < MOST_TOKENS:
            raise ValueError("not a number of tokens")
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        name = target.provider.name
        raise ProviderError(f"{name} sent something that holds no vectors.", code="stream_garbled") from error
    if len(vectors) != count:
        raise ProviderError(
            f"{target.provider.name} sent {len(vectors)} vectors for {count} inputs.", code="vectors_missing"
        )
    return Embeddings(vectors=vectors, input_tokens=tokens)


def to_vector(value: Any) -> Vector:
    """Raises ValueError and TypeError for what is none."""
    if isinstance(value, str):
        packed = binascii.a2b_base64(value, strict_mode=True)
        if not packed or len(packed) % 4:
            raise ValueError("not a list of float32")
        return packed
    numbers = tuple(array("d", value))
    if not numbers:
        raise ValueError("an empty vector")
    return numbers
