"""Text to vectors with the bundled model, all-MiniLM-L6-v2 as int8 ONNX. It loads numpy and onnxruntime.

Import it only where vectors are really made: `KnowledgeBases` does so on the first search, the worker on the first
changed file. One text a run: in a batch, dynamic quantisation makes a text's vector depend on its neighbours.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import Executor
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from gateway.retrieval.errors import ModelMissing
from gateway.retrieval.model_files import MODEL_FILE, VOCABULARY_FILE
from gateway.retrieval.wordpiece import WordPiece

DIMENSIONS = 384
# The model was trained on 256 tokens; windows are cut at 200-250, the rest is room for their headings.
_LONGEST = 320

Vectors = NDArray[np.float32]


class _Session(Protocol):
    """What is used of onnxruntime's untyped session."""

    def run(self, outputs: None, inputs: dict[str, NDArray[np.int32]]) -> list[Vectors]: ...


class Embedder:
    """Vectors of length 1, so that a dot product is the cosine. Safe to use from several threads."""

    def __init__(self, tokens: WordPiece, session: _Session) -> None:
        self._tokens = tokens
        self._session = session

    def embed(self, text: str) -> Vectors:
        """One vector of 384 numbers. Blocks for 1-30 ms of CPU; the lock of the interpreter is free meanwhile."""
        ids = np.array([self._tokens.encode(text, _LONGEST)], np.int32)
        return self._session.run(None, {"input_ids": ids})[0][0]

    def embed_all(self, texts: Iterable[str], pool: Executor) -> Iterator[bytes]:
        """Each text's vector as 384 float16, in order: half the space, and no search result changes by it."""
        for vector in pool.map(self.embed, texts):
            yield vector.astype(np.float16).tobytes()

    @property
    def longest(self) -> int:
        """How many tokens of a text are read; what comes after them is not."""
        return _LONGEST - 2

    def count(self, text: str) -> int:
        """How many tokens a text has."""
        return self._tokens.count(text)


def load_embedder(folder: Path) -> Embedder:
    """Load the model from `folder` (0.3 s). Raises `ModelMissing`."""
    model, vocabulary = folder / MODEL_FILE, folder / VOCABULARY_FILE
    if not (model.is_file() and vocabulary.is_file()):
        raise ModelMissing(f"The embedder is not in {folder}. Build it: python scripts/build_embedder.py")
    # onnxruntime has no types; everything of it stays in this function.
    ort: Any = import_module("onnxruntime")
    options: Any = ort.SessionOptions()
    # One thread a run: texts are short, and parallel runs scale where parallel operators do not.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 3
    session: Any = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    return Embedder(WordPiece(vocabulary), cast(_Session, session))
