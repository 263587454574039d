"""Search in the knowledge bases of one data folder. It blocks and is used by one thread; see `KnowledgeBases`.

score = cosine + 0.3 * bm25 / max(bm25), over the union of the best of both; the cosine of a chunk is that of its best
window. Among ten fusions measured on eight test collections this was the best on average (nDCG@10 0.620; reciprocal
rank fusion 0.594, the cosine alone 0.567, BM25 alone 0.529), and it is absolute, so a threshold means something.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gateway.retrieval.catalog import FILE_NAME, Catalog, Shelf, errors_told, open_catalog, unknown
from gateway.retrieval.embedding import Embedder, Vectors, load_embedder
from gateway.retrieval.lexical import match_expression, query_terms
from gateway.retrieval.matrix import WindowMatrix, empty, refresh
from gateway.retrieval.model_files import PIPELINE
from gateway.retrieval.records import Passage
from gateway.retrieval.weights import Weights

_CANDIDATES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hit:
    chunk: int
    score: float
    window: int


class Searcher:
    """Keeps the index open and the vectors in memory, and notices what other processes write."""

    def __init__(self, data: Path, model: Path) -> None:
        self._data = data
        self._model = model
        self._embedder: Embedder | None = None
        self._catalog: Catalog | None = None
        self._inode = 0
        self._matrices: dict[str, WindowMatrix] = {}

    def close(self) -> None:
        """Free everything. The next search starts anew."""
        if self._catalog is not None:
            self._catalog.close()
        self._catalog, self._embedder = None, None
        self._matrices = {}

    def search(self, name: str, query: str, limit: int, weights: Weights) -> tuple[Passage, ...]:
        """The best passages, best first. Raises `RetrievalError` children."""
        with errors_told():
            catalog = self._open()
            if catalog is None:
                raise unknown(name)
            catalog.shelf(name)
            if self._embedder is None:
                self._embedder = load_embedder(self._model)
            vector = self._embedder.embed(query)
            with catalog.reading():
                shelf = catalog.shelf(name)
                matrix = self._matrix(catalog, shelf)
                hits = _rank(catalog, matrix, query, vector, limit, weights)
                return _passages(catalog, shelf, hits)

    def _open(self) -> Catalog | None:
        """The index; opened again if its file was replaced by another one."""
        path = self._data / FILE_NAME
        inode = path.stat().st_ino if path.is_file() else 0
        if self._catalog is not None and inode != self._inode:
            self._catalog.close()
            self._catalog, self._matrices = None, {}
        if self._catalog is None:
            self._catalog = open_catalog(self._data)
            self._inode = inode
        return self._catalog

    def _matrix(self, catalog: Catalog, shelf: Shelf) -> WindowMatrix:
        matrix = self._matrices.get(shelf.name)
        if matrix is None or matrix.shelf != shelf.id:
            matrix = empty(shelf)
        if matrix.generation != shelf.generation:
            matrix = self._matrices[shelf.name] = refresh(matrix, catalog, shelf, PIPELINE)
        return matrix


def _rank(
    catalog: Catalog, matrix: WindowMatrix, query: str, vector: Vectors, limit: int, weights: Weights
) -> list[_Hit]:
    expression = match_expression(query_terms(query), lambda term: catalog.frequency(matrix.shelf, term))
    wanted = max(_CANDIDATES, limit)
    lexical = catalog.lexical(matrix.shelf, expression, wanted) if expression and weights.lexical else []
    highest = max((score for _, score in lexical), default=0.0)
    best, cosines = matrix.best(vector)
    scores: dict[int, float] = {}
    if weights.dense:
        top = np.argpartition(-best, wanted)[:wanted] if len(best) > wanted else np.arange(len(best))
        scores = {int(index): weights.dense * float(best[index]) for index in top}
    for chunk, score in lexical:
        index = matrix.find(chunk)
        if index is not None:
            scores.setdefault(index, weights.dense * float(best[index]))
            scores[index] += weights.lexical * (score / highest if highest > 0 else 1.0)
    ranked = sorted(scores.items(), key=lambda item: (-item[1], item[0]))[:limit]
    total = weights.dense + weights.lexical
    return [
        _Hit(
            chunk=int(matrix.chunks[index]),
            score=round(min(max(score / total, 0.0), 1.0), 4),
            window=matrix.best_window(index, cosines),
        )
        for index, score in ranked
    ]


def _passages(catalog: Catalog, shelf: Shelf, hits: list[_Hit]) -> tuple[Passage, ...]:
    rows = catalog.chunks([hit.chunk for hit in hits])
    found: list[Passage] = []
    for hit in hits:
        path, start, text, windows = rows[hit.chunk]
        match_start, match_end, heading, page = json.loads(windows)[hit.window]
        found.append(
            Passage(
                knowledge_base=shelf.name,
                file=path,
                heading=tuple(heading),
                page=page,
                text=text,
                score=hit.score,
                chunk=hit.chunk,
                start=start,
                end=start + len(text),
                match_start=match_start,
                match_end=match_end,
            )
        )
    return tuple(found)
