"""Brings a knowledge base up to date with its folder. It blocks; the worker process runs it, never the gateway itself.

A file is read again only if its size or modification time changed, or the way of reading files did; and written only
if its sha256 changed too. Each file is one transaction, so an ingest killed at any moment goes on where it was.
"""

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from gateway.retrieval.catalog import FileRow, errors_told
from gateway.retrieval.catalog_writer import CatalogWriter, ChunkRow, FileStamp, open_writer
from gateway.retrieval.chunking import Chunk, split
from gateway.retrieval.documents import Text
from gateway.retrieval.errors import UnsupportedFile
from gateway.retrieval.folder import FoundFile, open_folder, read, scan
from gateway.retrieval.ingest_request import IngestRequest
from gateway.retrieval.lazy import load_embedder
from gateway.retrieval.lexical import identifier_parts
from gateway.retrieval.lock import writer_lock
from gateway.retrieval.model_files import PIPELINE
from gateway.retrieval.reading import Reader
from gateway.retrieval.records import IngestProgress, IngestReport, SkippedFile
from gateway.retrieval.synced import is_same

if TYPE_CHECKING:
    from gateway.retrieval.embedding import Embedder

# A file as young as this may still change without its time showing it (file systems count in up to 2 s).
_SETTLED_NS = 3_000_000_000
_REPORT_EVERY = 50

Told = Callable[[IngestProgress], None]


def ingest(request: IngestRequest, told: Told) -> IngestReport:
    """Do it, waiting first for any other writer of the data folder. Raises `RetrievalError` children."""
    root = open_folder(request.folder)
    with errors_told(), writer_lock(request.data, on_wait=lambda: told(IngestProgress(phase="waiting"))):
        catalog = open_writer(request.data)
        try:
            with (
                ThreadPoolExecutor(request.threads) as pool,
                Reader(request.max_file_bytes, request.max_file_seconds) as reader,
            ):
                return _Ingest(request, root, catalog, pool, reader, told).run()
        finally:
            catalog.close()


class _Ingest:
    """One run over one folder."""

    def __init__(
        self, request: IngestRequest, root: Path, catalog: CatalogWriter, pool: Executor, reader: Reader, told: Told
    ) -> None:
        self._request = request
        self._root = root
        self._catalog = catalog
        self._pool = pool
        self._reader = reader
        self._told = told
        self._kb = catalog.add(request.knowledge_base, str(root))
        self._embedder: Embedder | None = None

    def run(self) -> IngestReport:
        files = scan(self._root, self._request.max_file_bytes)
        known = self._catalog.files(self._kb)
        there = {file.path for file in files}
        gone = [row for path, row in known.items() if path not in there]
        if gone:
            self._catalog.remove(self._kb, sorted(row.id for row in gone))
        became: dict[str, str] = {}
        self._tell(0, len(files), 0, "")
        chunks = 0
        for done, file in enumerate(files, start=1):
            row = known.get(file.path)
            written = None if is_same(file, row) else self._take(file, row, done, len(files), chunks)
            if written is None:
                became[file.path] = "unchanged"
            else:
                became[file.path] = "added" if row is None or row.error else "changed"
                chunks += written
            if written is not None or done % _REPORT_EVERY == 0 or done == len(files):
                self._tell(done, len(files), chunks, file.path)
        self._catalog.finish(self._kb)
        removed = sum(not row.error for row in gone)
        return report(self._request.knowledge_base, became, removed, chunks, self._catalog.skipped(self._kb))

    def _tell(self, done: int, total: int, chunks: int, file: str) -> None:
        self._told(IngestProgress(phase="reading", files_done=done, files_total=total, chunks=chunks, file=file))

    def _take(self, file: FoundFile, row: FileRow | None, done: int, total: int, chunks: int) -> int | None:
        """Read one file into the index: how many chunks, None if its contents turned out to be the same."""
        rows: list[ChunkRow] = []
        sha256, problem = "", file.problem
        if not problem:
            try:
                data = read(self._root, file, self._request.max_file_bytes)
                sha256 = hashlib.sha256(data).hexdigest()
                if row is not None and row.sha256 == sha256 and row.pipeline == PIPELINE:
                    self._catalog.touch(row.id, file.size, _trusted(file.mtime_ns))
                    return None
                text = self._reader.read(file.path, data)
                rows = self._rows(file.path, text, lambda more: self._tell(done - 1, total, chunks + more, file.path))
            except UnsupportedFile as error:
                problem = str(error)
        stamp = FileStamp(
            path=file.path,
            size=file.size,
            mtime_ns=_trusted(file.mtime_ns),
            sha256=sha256,
            pipeline=PIPELINE,
        )
        self._catalog.put(self._kb, stamp, rows, problem)
        return len(rows)

    def _rows(self, path: str, text: Text, advanced: Callable[[int], None]) -> list[ChunkRow]:
        """Cut, embed and lay out one file."""
        if self._embedder is None:
            self._embedder = load_embedder(self._request.model)
        chunks = split(text, self._embedder.count)
        texts = [_embedded(text.text, chunk, index) for chunk in chunks for index in range(len(chunk.windows))]
        vectors = self._embedder.embed_all(texts, self._pool)
        rows: list[ChunkRow] = []
        for chunk in chunks:
            body = text.text[chunk.start : chunk.end]
            rows.append(
                ChunkRow(
                    start=chunk.start,
                    context=_context(path, chunk),
                    text=body,
                    words=identifier_parts(body),
                    windows=json.dumps([(w.start, w.end, w.heading, w.page) for w in chunk.windows]),
                    vectors=b"".join(next(vectors) for _ in chunk.windows),
                )
            )
            if len(rows) % _REPORT_EVERY == 0:
                advanced(len(rows))
        return rows


def _embedded(text: str, chunk: Chunk, index: int) -> str:
    """What the model reads for a window: where it stands, then what it says."""
    window = chunk.windows[index]
    body = text[window.body : window.end].strip()
    return f"{' > '.join(window.heading)}\n{body}" if window.heading else body


def _context(path: str, chunk: Chunk) -> str:
    """Words that a chunk can be found by though they are not in it: the file's name and the headings above."""
    first = chunk.windows[0]
    shown = first.heading[-1:] if first.body > first.start else ()
    above = first.heading[: len(first.heading) - len(shown)]
    return " ".join((PurePosixPath(path).stem.replace("_", " ").replace("-", " "), *above))


def _trusted(mtime_ns: int) -> int:
    return -1 if mtime_ns and time.time_ns() - mtime_ns < _SETTLED_NS else mtime_ns


def report(
    name: str, became: Mapping[str, str], removed: int, chunks: int, skipped: Sequence[SkippedFile]
) -> IngestReport:
    """The report of a run. `became` says what a file would count as, those included that turned out to hold no text."""
    without = {one.file for one in skipped}
    counts = Counter(kind for file, kind in became.items() if file not in without)
    return IngestReport(
        knowledge_base=name,
        added=counts["added"],
        changed=counts["changed"],
        removed=removed,
        unchanged=counts["unchanged"],
        chunks=chunks,
        skipped=tuple(skipped),
    )
