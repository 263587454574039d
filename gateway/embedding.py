"""Turning texts into vectors: what a provider may be able to do besides. It is no turn."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingCall:
    """One request for vectors: a vector for each of `texts`.

    `tokens` are the same inputs as the client encoded them (`cl100k_base`), where it sent no text. `base64` is what the
    client asked for, and what a provider may be asked for: packed numbers are a third of the work. `dimensions` is how
    many numbers a vector shall have; None leaves it to the model.
    """

    model: str
    texts: Sequence[str]
    tokens: Sequence[Sequence[int]] | None = None
    base64: bool = False
    dimensions: int | None = None
    user: str | None = None


LOCAL_EMBEDDER = "local/all-minilm-l6-v2"
"""The model for vectors that comes with the gateway."""

Vector = bytes | Sequence[float]
"""The numbers of one vector; packed, they are float32 in little-endian order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Embeddings:
    """One vector for each input, in their order. `input_tokens` is 0 where the provider did not say."""

    vectors: Sequence[Vector]
    input_tokens: int


class Embedder(Protocol):
    """What a provider may be able to do besides: turn texts into vectors."""

    async def embed(self, call: EmbeddingCall) -> Embeddings:
        """Retries as `Provider.stream` does, and raises ProviderError: ProviderRefused for a model that makes none.
        Cancelling it aborts the upstream request."""
        ...
