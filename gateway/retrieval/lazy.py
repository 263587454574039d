"""Loads the numeric half of retrieval when it is first needed. Nothing else here may import it.

numpy, onnxruntime and the model take 0.5 s and 80 MB: a gateway that nobody asks to search must not pay for them.
"""

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from gateway.retrieval.embedding import Embedder
    from gateway.retrieval.search import Searcher


def load_embedder(folder: Path) -> "Embedder":
    """`embedding.load_embedder`."""
    module = importlib.import_module("gateway.retrieval.embedding")
    return cast("Embedder", module.load_embedder(folder))


def load_searcher(data: Path, model: Path) -> "Searcher":
    """`search.Searcher`."""
    module = importlib.import_module("gateway.retrieval.search")
    return cast("Searcher", module.Searcher(data, model))
