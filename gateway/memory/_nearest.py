"""Which older exchanges fit a question best: by the vectors of what was said in them.

A vector is made once of each message and kept, by a digest of its text, so that it does not matter whose id it has or
whether a client sent it again. They are made on the embedder's threads.
"""

import hashlib
import logging
from array import array
from collections import OrderedDict
from collections.abc import Sequence
from itertools import islice
from typing import Any

from gateway.embedding import LOCAL_EMBEDDER, Embedder, EmbeddingCall
from gateway.errors import ContextTooLong, GatewayError
from gateway.items import Message
from gateway.memory._exchanges import Exchange
from gateway.slow_import import import_slowly

logger = logging.getLogger(__name__)

MOST_CHARACTERS = 1000
"""How much of a message is looked at: about what the embedder reads."""
MOST_MESSAGES = 500
"""Older messages that are looked at, the newest: a vector takes some 10 ms, and after a start there is none."""
MOST_VECTORS = 20_000
"""Vectors that are kept, of 1.5 KB each; the longest unused go first."""


class Nearest:
    """Finds exchanges. One for the whole gateway: it keeps the vectors."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._vectors: OrderedDict[bytes, bytes] = OrderedDict()
        self._numpy: Any = None

    async def of(self, question: str, exchanges: Sequence[Exchange], most: int) -> list[Exchange]:
        """At most so many, the nearest first. None of them if the embedder fails, which is logged."""
        if len(exchanges) <= most:
            return list(reversed(exchanges))
        if not question.strip():
            return []
        newest = ((n, text) for n in reversed(range(len(exchanges))) for text in reversed(texts(exchanges[n])))
        try:
            asked = await self._vector(question)
            owners: list[int] = []
            vectors: list[bytes] = []
            for number, text in islice(newest, MOST_MESSAGES):
                vectors.append(await self._vector(text))
                owners.append(number)
        except GatewayError as error:
            logger.warning("Older exchanges cannot be looked through: %s", error)
            return []
        if not vectors:
            return []
        if self._numpy is None:
            self._numpy = await import_slowly("numpy")
        table = self._numpy.frombuffer(b"".join(vectors), "<f4").reshape(len(vectors), -1)
        scores: list[float] = (table @ self._numpy.frombuffer(asked, "<f4")).tolist()
        best: dict[int, float] = {}
        for owner, score in zip(owners, scores, strict=True):
            best[owner] = max(score, best.get(owner, score))
        nearest = sorted(best, key=lambda number: (-best[number], -number))
        return [exchanges[number] for number in nearest[:most]]

    async def _vector(self, text: str) -> bytes:
        key = hashlib.sha256(text.encode(errors="surrogatepass")).digest()
        if (vector := self._vectors.get(key)) is not None:
            self._vectors.move_to_end(key)
            return vector
        vector = self._vectors[key] = await self._embed(text[:MOST_CHARACTERS])
        if len(self._vectors) > MOST_VECTORS:
            self._vectors.popitem(last=False)
        return vector

    async def _embed(self, text: str) -> bytes:
        while True:
            try:
                made = await self._embedder.embed(EmbeddingCall(model=LOCAL_EMBEDDER, texts=[text], base64=True))
            except ContextTooLong:
                # A text of many rare characters has many tokens; its beginning has to do.
                text = text[: len(text) // 2]
                continue
            vector = made.vectors[0]
            return vector if isinstance(vector, bytes) else array("f", vector).tobytes()


def texts(exchange: Exchange) -> list[str]:
    """What was said in it by the user and the model; what tools answered is no talk."""
    return [item.text for item in exchange.items if isinstance(item, Message) and item.text.strip()]
