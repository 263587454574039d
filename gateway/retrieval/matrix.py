"""The vectors of one knowledge base in memory, and the best windows of its chunks for a query.

An exact scan: 1 ms for 10 000 windows, 12 ms for 100 000, nothing is missed and nothing is to be tuned.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.retrieval.catalog import Catalog, Shelf
from gateway.retrieval.embedding import DIMENSIONS, Vectors


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowMatrix:
    """`vectors[starts[i] : starts[i + 1]]` are the windows of chunk `chunks[i]`; `chunks` ascends."""

    shelf: int
    generation: int
    chunks: NDArray[np.int64]
    starts: NDArray[np.int64]
    vectors: Vectors

    def best(self, query: Vectors) -> tuple[Vectors, Vectors]:
        """For each chunk the cosine of its best window, and all windows' cosines."""
        cosines = self.vectors @ query
        if not len(self.chunks):
            return cosines, cosines
        return np.maximum.reduceat(cosines, self.starts[:-1]), cosines

    def best_window(self, index: int, cosines: Vectors) -> int:
        """Which window of the chunk at `index` fits best, from 0."""
        return int(np.argmax(cosines[self.starts[index] : self.starts[index + 1]]))

    def find(self, chunk: int) -> int | None:
        """The index of a chunk, None if it has no vectors."""
        index = int(np.searchsorted(self.chunks, chunk))
        return index if index < len(self.chunks) and self.chunks[index] == chunk else None


def empty(shelf: Shelf) -> WindowMatrix:
    """Before anything was loaded."""
    nothing = np.empty(0, np.int64)
    vectors = np.empty((0, DIMENSIONS), np.float32)
    return WindowMatrix(shelf=shelf.id, generation=-1, chunks=nothing, starts=np.zeros(1, np.int64), vectors=vectors)


def refresh(matrix: WindowMatrix, catalog: Catalog, shelf: Shelf, pipeline: str) -> WindowMatrix:
    """The matrix of the index as it is now. Only new chunks are read: a chunk's id and vectors never change."""
    current = np.array(catalog.vector_chunks(shelf.id, pipeline), np.int64)
    newest = int(matrix.chunks[-1]) if len(matrix.chunks) else 0
    kept = np.isin(matrix.chunks, current, assume_unique=True)
    counts = np.diff(matrix.starts)
    added: list[int] = []
    blocks = [matrix.vectors[np.repeat(kept, counts)]]
    sizes: list[int] = []
    for chunk, data in catalog.vectors(shelf.id, pipeline, newest):
        block = np.frombuffer(data, np.float16).reshape(-1, DIMENSIONS)
        added.append(chunk)
        sizes.append(len(block))
        blocks.append(block.astype(np.float32))
    lengths = np.concatenate([counts[kept], np.array(sizes, np.int64)])
    return WindowMatrix(
        shelf=shelf.id,
        generation=shelf.generation,
        chunks=np.concatenate([matrix.chunks[kept], np.array(added, np.int64)]),
        starts=np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)]),
        vectors=np.concatenate(blocks),
    )
