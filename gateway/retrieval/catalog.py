"""The index on disk: one SQLite file for all knowledge bases of a data folder. This part opens it and reads it.

Journal mode is a rollback journal, not WAL: several processes open this file, and SQLite before 3.51.3 can lose a
WAL that is reset while another process reads it. Readers may roll back what a killed writer left, so they open the file
for writing but ask for `query_only`.

Tables: `kb`; `file` (one row a file, `error` instead of chunks for a file without text); `chunk` (its text, positions
and windows; the chunks of a file joined are its text); `vector` (a chunk's windows, float16, [windows, 384]); and for
each knowledge base `lexical_<id>`, full-text search over its chunks, apart so that word statistics are its own.
"""

import re
import sqlite3
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.retrieval.errors import (
    IndexUnavailable,
    InvalidName,
    RetrievalError,
    UnknownFile,
    UnknownKnowledgeBase,
)
from gateway.retrieval.private import make_private
from gateway.retrieval.records import KnowledgeBase, SkippedFile

FILE_NAME = "knowledge.sqlite3"
SCHEMA_VERSION = 1
_BUSY_MS = 60_000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")

SCHEMA = """
CREATE TABLE kb (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    folder TEXT NOT NULL,
    synced_at REAL,
    generation INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE file (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kb INTEGER NOT NULL REFERENCES kb ON DELETE CASCADE,
    path TEXT NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    pipeline TEXT NOT NULL,
    error TEXT NOT NULL DEFAULT '',
    UNIQUE (kb, path)
);
CREATE TABLE chunk (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    file INTEGER NOT NULL REFERENCES file ON DELETE CASCADE,
    start INTEGER NOT NULL,
    context TEXT NOT NULL,
    text TEXT NOT NULL,
    words TEXT NOT NULL,
    windows TEXT NOT NULL
);
CREATE INDEX chunk_file ON chunk (file);
CREATE TABLE vector (
    chunk INTEGER PRIMARY KEY REFERENCES chunk ON DELETE CASCADE,
    kb INTEGER NOT NULL,
    pipeline TEXT NOT NULL,
    data BLOB NOT NULL
);
CREATE INDEX vector_kb ON vector (kb, pipeline, chunk);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """The row of a knowledge base. `generation` grows with every change to its chunks."""

    id: int
    name: str
    folder: str
    synced_at: float | None
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRow:
    """What is known of an ingested file. `mtime_ns` is -1 when the time cannot be trusted to show a change."""

    id: int
    size: int
    mtime_ns: int
    sha256: str
    pipeline: str
    error: str


@contextmanager
def errors_told() -> Generator[None]:
    """SQLite's errors as `IndexUnavailable`, with what to do about them."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
            raise IndexUnavailable(
                "The disk is full: nothing of this file was written. Free space, try again."
            ) from error
        raise IndexUnavailable(f"The knowledge base's index cannot be used: {error}") from error
    except sqlite3.DatabaseError as error:
        message = f"The knowledge base's index is damaged ({error}). Delete {FILE_NAME} and ingest again."
        raise IndexUnavailable(message) from error


def check_name(name: str) -> str:
    """The id itself. Raises `InvalidName`."""
    if not _NAME.fullmatch(name):
        raise InvalidName(f"{name!r} cannot be the id of a knowledge base. {InvalidName.__doc__}")
    return name


def connect(data: Path) -> sqlite3.Connection:
    """A connection in autocommit mode; statements wait up to a minute for another process's commit."""
    make_private(data / FILE_NAME)
    connection = sqlite3.connect(data / FILE_NAME, timeout=_BUSY_MS / 1000, isolation_level=None)
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


class Catalog:
    """Reads the index. Used by one thread; blocks. Wrap calls in `errors_told`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def close(self) -> None:
        self._connection.close()

    @contextmanager
    def reading(self) -> Generator[None]:
        """One unchanging view of the index for all reads inside. Writers wait meanwhile: keep it short."""
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("ROLLBACK")

    def shelf(self, name: str) -> Shelf:
        """Raises `UnknownKnowledgeBase`."""
        row = self._connection.execute(
            "SELECT id, name, folder, synced_at, generation FROM kb WHERE name = ?", (name,)
        ).fetchone()
        if row is None:
            raise UnknownKnowledgeBase(f"There is no knowledge base {name!r}.")
        return Shelf(id=row[0], name=row[1], folder=row[2], synced_at=row[3], generation=row[4])

    def names(self) -> tuple[str, ...]:
        """The ids of all knowledge bases, in order."""
        return tuple(name for (name,) in self._connection.execute("SELECT name FROM kb ORDER BY name"))

    def knowledge_bases(self) -> tuple[KnowledgeBase, ...]:
        """All of them by name."""
        rows = self._connection.execute(
            "SELECT name, folder, synced_at, id,"
            " (SELECT count(*) FROM file WHERE kb = kb.id AND error = ''),"
            " (SELECT count(*) FROM vector WHERE kb = kb.id) FROM kb ORDER BY name"
        ).fetchall()
        return tuple(
            KnowledgeBase(
                id=name, folder=folder, files=files, chunks=chunks, skipped=self.skipped(kb), synced_at=synced_at
            )
            for name, folder, synced_at, kb, files, chunks in rows
        )

    def skipped(self, kb: int) -> tuple[SkippedFile, ...]:
        """The files without text, by path."""
        rows = self._connection.execute(
            "SELECT path, error FROM file WHERE kb = ? AND error <> '' ORDER BY path", (kb,)
        ).fetchall()
        return tuple(SkippedFile(file=path, reason=reason) for path, reason in rows)

    def files(self, kb: int) -> dict[str, FileRow]:
        """All files of a knowledge base by path."""
        rows = self._connection.execute(
            "SELECT path, id, size, mtime_ns, sha256, pipeline, error FROM file WHERE kb = ?", (kb,)
        ).fetchall()
        return {
            path: FileRow(id=id, size=size, mtime_ns=mtime, sha256=sha256, pipeline=pipeline, error=error)
            for path, id, size, mtime, sha256, pipeline, error in rows
        }

    def text(self, shelf: Shelf, path: str) -> str:
        """The text of a file. Raises `UnknownFile`."""
        row = self._connection.execute(
            "SELECT id, error FROM file WHERE kb = ? AND path = ?", (shelf.id, path)
        ).fetchone()
        if row is None:
            raise UnknownFile(f"The knowledge base {shelf.name!r} has no file {path!r}.")
        if row[1]:
            raise UnknownFile(f"{path!r} could not be read into the knowledge base: {row[1]}.")
        chunks = self._connection.execute("SELECT text FROM chunk WHERE file = ? ORDER BY start", (row[0],))
        return "".join(text for (text,) in chunks)

    def vector_chunks(self, kb: int, pipeline: str) -> list[int]:
        """The chunks that have vectors, ascending."""
        rows = self._connection.execute(
            "SELECT chunk FROM vector WHERE kb = ? AND pipeline = ? ORDER BY chunk", (kb, pipeline)
        )
        return [chunk for (chunk,) in rows]

    def vectors(self, kb: int, pipeline: str, after: int) -> Iterator[tuple[int, bytes]]:
        """(chunk, its windows as float16) for the chunks with a greater id than `after`, ascending."""
        return iter(
            self._connection.execute(
                "SELECT chunk, data FROM vector WHERE kb = ? AND pipeline = ? AND chunk > ? ORDER BY chunk",
                (kb, pipeline, after),
            )
        )

    def frequency(self, kb: int, quoted: str) -> int:
        """How many chunks hold a quoted term."""
        return self._connection.execute(
            f"SELECT count(*) FROM lexical_{kb} WHERE lexical_{kb} MATCH ?", (quoted,)
        ).fetchone()[0]

    def lexical(self, kb: int, expression: str, limit: int) -> list[tuple[int, float]]:
        """(chunk, BM25 score, higher is better) of the best chunks, best first."""
        rows = self._connection.execute(
            f"SELECT rowid, -rank FROM lexical_{kb} WHERE lexical_{kb} MATCH ? ORDER BY rank, rowid LIMIT ?",
            (expression, limit),
        ).fetchall()
        return [(chunk, score) for chunk, score in rows]

    def chunks(self, ids: Sequence[int]) -> dict[int, tuple[str, int, str, str]]:
        """(path, start, text, windows as JSON) by chunk."""
        marks = ",".join("?" * len(ids))
        rows = self._connection.execute(
            "SELECT chunk.id, file.path, chunk.start, chunk.text, chunk.windows"
            f" FROM chunk JOIN file ON file.id = chunk.file WHERE chunk.id IN ({marks})",
            tuple(ids),
        ).fetchall()
        return {id: (path, start, text, windows) for id, path, start, text, windows in rows}


def open_catalog(data: Path) -> Catalog | None:
    """The index of a data folder for reading, None if nothing was ever ingested there."""
    if not (data / FILE_NAME).is_file():
        return None
    connection = connect(data)
    try:
        connection.execute("PRAGMA query_only = ON")
        found = schema_version(connection)
    except BaseException:
        connection.close()
        raise
    if found == 0:
        connection.close()
        return None
    return Catalog(connection)


def schema_version(connection: sqlite3.Connection) -> int:
    """The version of the file's tables, 0 for an empty file. Raises `IndexUnavailable` if newer than this code."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA_VERSION:
        connection.close()
        raise IndexUnavailable(
            f"The index was made by a newer version of Homeport (schema {version}, known is {SCHEMA_VERSION}). Upgrade."
        )
    return version


def unknown(name: str) -> RetrievalError:
    """The error for a knowledge base that cannot exist because nothing was ingested."""
    return UnknownKnowledgeBase(f"There is no knowledge base {name!r}: nothing was ingested yet.")
