"""The model for vectors that comes with the gateway: all-MiniLM-L6-v2, which needs no key and no network.

It is the search's own (`gateway.retrieval`), loaded when it is first asked for. The work is done on threads of its own,
so that neither the event loop nor what else runs on threads waits for it.
"""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Self

from gateway.embedding import LOCAL_EMBEDDER, EmbeddingCall, Embeddings
from gateway.errors import ContextTooLong, ProviderError, ProviderRefused
from gateway.retrieval.errors import ModelMissing
from gateway.retrieval.lazy import load_embedder
from gateway.retrieval.model_files import MODEL_FOLDER

if TYPE_CHECKING:
    from gateway.retrieval.embedding import Embedder

DIMENSIONS = 384
MOST_CHARACTERS = 32_768
"""More than the tokens that the model reads can have; counting those of a text of 20 MB would hold everything up."""
THREADS = max(1, (os.cpu_count() or 2) // 2)


class BundledEmbedder:
    """A `embedding.Embedder` for one model. Enter it before use."""

    def __init__(self, folder: Path = MODEL_FOLDER) -> None:
        self._folder = folder
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="embedder")
        self._loading = asyncio.Lock()
        self._model: Embedder | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def embed(self, call: EmbeddingCall) -> Embeddings:
        if call.dimensions not in (None, DIMENSIONS):
            raise ProviderRefused(
                f"The vectors of {LOCAL_EMBEDDER} have {DIMENSIONS} dimensions; no other number can be asked for.",
                code="unsupported_value",
                param="dimensions",
            )
        model = await self._loaded()
        vectors: list[bytes] = [b""] * len(call.texts)
        counts = [0] * len(call.texts)
        # One text at a time and thread: requests take turns, and a cancelled one leaves at most these behind.
        todo = iter(enumerate(call.texts))

        async def work() -> None:
            loop = asyncio.get_running_loop()
            for at, text in todo:
                counts[at], vectors[at] = await loop.run_in_executor(self._threads, vector_of, model, text, at)

        workers = [asyncio.ensure_future(work()) for _ in range(min(THREADS, len(call.texts)))]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
        return Embeddings(vectors=vectors, input_tokens=sum(counts))

    async def _loaded(self) -> "Embedder":
        async with self._loading:
            if (model := self._model) is None:
                loop = asyncio.get_running_loop()
                try:
                    model = await loop.run_in_executor(self._threads, load_embedder, self._folder)
                except ModelMissing as error:
                    raise ProviderError(str(error), code="model_missing") from error
                self._model = model
            return model


def vector_of(model: "Embedder", text: str, at: int) -> tuple[int, bytes]:
    """How many tokens the text has, and its vector, packed. Raises ContextTooLong; what is cut off would be lost."""
    if len(text) > MOST_CHARACTERS:
        raise too_long(f"{len(text)} characters", MOST_CHARACTERS, at)
    count = model.count(text)
    if count > model.longest:
        raise too_long(f"{count} tokens", model.longest, at)
    return count, model.embed(text).astype("<f4", copy=False).tobytes()


def too_long(size: str, most: int, at: int) -> ContextTooLong:
    return ContextTooLong(f"The input at index {at} has {size}; {LOCAL_EMBEDDER} reads {most} at most.", param="input")
