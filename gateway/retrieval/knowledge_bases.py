"""The way in to retrieval: knowledge bases by id, kept in one data folder, filled from folders and searched.

Cheap to import and to make: nothing is opened before it is used, numpy and the model are loaded by the first search.
Nothing here blocks the event loop: ingesting is a process of its own, searching a thread of its own.
Several processes may use one data folder at once; one of them writes at a time, the others see what it has finished.
"""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Self

from gateway.retrieval.catalog import check_name, errors_told, open_catalog, unknown
from gateway.retrieval.catalog_writer import open_writer
from gateway.retrieval.ingest_process import OnProgress, run_ingest
from gateway.retrieval.ingest_request import IngestRequest
from gateway.retrieval.lazy import load_searcher
from gateway.retrieval.lock import writer_lock
from gateway.retrieval.model_files import MODEL_FOLDER
from gateway.retrieval.records import Document, IngestReport, KnowledgeBase, Passage
from gateway.retrieval.synced import report_if_synced
from gateway.retrieval.weights import Weights

if TYPE_CHECKING:
    from gateway.retrieval.search import Searcher

MAX_FILE_BYTES = 50 * 2**20
MAX_FILE_SECONDS = 60
_DELETE_WAIT_SECONDS = 30.0
_MOST_THREADS = 4


class KnowledgeBases:
    """All knowledge bases of one data folder.

    Close it, or use it as a context manager, `with` or `async with`.
    """

    def __init__(
        self,
        data: Path,
        *,
        max_file_bytes: int = MAX_FILE_BYTES,
        max_file_seconds: int = MAX_FILE_SECONDS,
        model: Path = MODEL_FOLDER,
    ) -> None:
        """`data` is the folder for the index, made when needed. Larger files than `max_file_bytes` are skipped, and
        those whose text takes more than `max_file_seconds` of processor time to find.

        `model` is the folder with the embedder's files.
        """
        self._data = data
        self._max_file_bytes = max_file_bytes
        self._max_file_seconds = max_file_seconds
        self._model = model
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="retrieval")
        self._searcher: Searcher | None = None

    async def ingest(self, id: str, folder: Path, on_progress: OnProgress | None = None) -> IngestReport:
        """Bring the knowledge base `id` up to date with `folder`, making it if it is new.

        Only files that changed are read again; files gone from the folder are removed. A file that cannot be read is
        skipped and reported, never an error. Waits while another process writes. `on_progress` is called on the event
        loop. Cancelling keeps what was finished. Raises `InvalidName`, `InvalidFolder`, `ModelMissing`,
        `IndexUnavailable`, `IngestFailed`.
        """
        check_name(id)
        found = await asyncio.to_thread(report_if_synced, self._data, id, folder, self._max_file_bytes)
        if found is not None:
            return found
        await asyncio.to_thread(self._data.mkdir, mode=0o700, parents=True, exist_ok=True)
        request = IngestRequest(
            data=self._data,
            knowledge_base=id,
            folder=folder,
            model=self._model,
            max_file_bytes=self._max_file_bytes,
            max_file_seconds=self._max_file_seconds,
            threads=min(os.cpu_count() or 1, _MOST_THREADS),
        )
        return await run_ingest(request, on_progress)

    async def search(
        self, id: str, query: str, limit: int = 5, *, weights: Weights | None = None
    ) -> tuple[Passage, ...]:
        """The `limit` best passages, best first; fewer if there are not so many. A new file counts once it is ingested.

        Raises `UnknownKnowledgeBase`, `ModelMissing`, `IndexUnavailable`.
        """
        if limit < 1:
            raise ValueError("limit must be at least 1")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._search, id, query, limit, weights or Weights())

    async def ids(self) -> tuple[str, ...]:
        """The ids of all knowledge bases, in order; cheaper than `list`."""
        return await asyncio.to_thread(_ids, self._data)

    async def list(self) -> tuple[KnowledgeBase, ...]:
        """All knowledge bases by id."""
        return await asyncio.to_thread(_list, self._data)

    async def read(self, id: str, file: str) -> Document:
        """A file's text as it was ingested. Raises `UnknownKnowledgeBase`, `UnknownFile`, `IndexUnavailable`."""
        return await asyncio.to_thread(_read, self._data, id, file)

    async def delete(self, id: str) -> None:
        """Forget a knowledge base; its folder is not touched. Raises `UnknownKnowledgeBase`, and `IndexUnavailable`
        when another process has been writing for half a minute."""
        await asyncio.to_thread(_delete, self._data, id)

    def close(self) -> None:
        """Free memory and files, waiting for a search that runs."""
        self._thread.submit(self._close_searcher)
        self._thread.shutdown()

    async def aclose(self) -> None:
        """`close`, off the event loop."""
        await asyncio.to_thread(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    def _search(self, id: str, query: str, limit: int, weights: Weights) -> tuple[Passage, ...]:
        if self._searcher is None:
            self._searcher = load_searcher(self._data, self._model)
        return self._searcher.search(id, query, limit, weights)

    def _close_searcher(self) -> None:
        if self._searcher is not None:
            self._searcher.close()
            self._searcher = None


def _ids(data: Path) -> tuple[str, ...]:
    with errors_told():
        catalog = open_catalog(data)
        if catalog is None:
            return ()
        try:
            return catalog.names()
        finally:
            catalog.close()


def _list(data: Path) -> tuple[KnowledgeBase, ...]:
    with errors_told():
        catalog = open_catalog(data)
        if catalog is None:
            return ()
        try:
            with catalog.reading():
                return catalog.knowledge_bases()
        finally:
            catalog.close()


def _read(data: Path, id: str, file: str) -> Document:
    with errors_told():
        catalog = open_catalog(data)
        if catalog is None:
            raise unknown(id)
        try:
            with catalog.reading():
                return Document(knowledge_base=id, file=file, text=catalog.text(catalog.shelf(id), file))
        finally:
            catalog.close()


def _delete(data: Path, id: str) -> None:
    with errors_told():
        catalog = open_catalog(data)
        if catalog is None:
            raise unknown(id)
        catalog.close()
        with writer_lock(data, timeout=_DELETE_WAIT_SECONDS):
            writer = open_writer(data)
            try:
                writer.drop(writer.shelf(id).id)
            finally:
                writer.close()
