"""Writes the index. Only the holder of the writer lock may have one (see `lock`)."""

import sqlite3
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.retrieval.catalog import SCHEMA, SCHEMA_VERSION, Catalog, connect, schema_version
from gateway.retrieval.lexical import TOKENIZER

_COLUMNS = "context, text, words"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkRow:
    """A chunk to write. `vectors` is float16, [windows, 384], row by row."""

    start: int
    context: str
    text: str
    words: str
    windows: str
    vectors: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class FileStamp:
    """What identifies a version of a file."""

    path: str
    size: int
    mtime_ns: int
    sha256: str
    pipeline: str


class CatalogWriter(Catalog):
    """Every public method is one transaction: all of it is on disk when it returns, or none of it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection)
        self._connection.execute("PRAGMA journal_mode = TRUNCATE")
        self._connection.execute("PRAGMA synchronous = FULL")
        # Keep readers running until the commit itself: never spill a half-done transaction into the file.
        self._connection.execute("PRAGMA cache_spill = OFF")
        if schema_version(self._connection) == 0:
            self._connection.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")

    def add(self, name: str, folder: str) -> int:
        """The row id of a knowledge base, made if it is new; `folder` replaces the one it had."""
        with self._writing() as sql:
            row = sql.execute("SELECT id FROM kb WHERE name = ?", (name,)).fetchone()
            if row is not None:
                sql.execute("UPDATE kb SET folder = ? WHERE id = ?", (folder, row[0]))
                return row[0]
            kb = sql.execute("INSERT INTO kb (name, folder) VALUES (?, ?)", (name, folder)).lastrowid
            assert kb is not None  # the row was just inserted
            sql.execute(
                f"CREATE VIRTUAL TABLE lexical_{kb} USING fts5({_COLUMNS},"
                f" content='chunk', content_rowid='id', tokenize='{TOKENIZER}')"
            )
            return kb

    def put(self, kb: int, stamp: FileStamp, chunks: Sequence[ChunkRow], error: str = "") -> None:
        """A file's new contents instead of its old ones; `error` is why it has none."""
        with self._writing() as sql:
            row = sql.execute("SELECT id FROM file WHERE kb = ? AND path = ?", (kb, stamp.path)).fetchone()
            if row is not None:
                self._clear(sql, kb, row[0])
            file = sql.execute(
                "INSERT INTO file (kb, path, size, mtime_ns, sha256, pipeline, error) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (kb, stamp.path, stamp.size, stamp.mtime_ns, stamp.sha256, stamp.pipeline, error),
            ).lastrowid
            for chunk in chunks:
                values = (chunk.context, chunk.text, chunk.words)
                id = sql.execute(
                    f"INSERT INTO chunk (file, start, {_COLUMNS}, windows) VALUES (?, ?, ?, ?, ?, ?)",
                    (file, chunk.start, *values, chunk.windows),
                ).lastrowid
                sql.execute(f"INSERT INTO lexical_{kb} (rowid, {_COLUMNS}) VALUES (?, ?, ?, ?)", (id, *values))
                sql.execute("INSERT INTO vector VALUES (?, ?, ?, ?)", (id, kb, stamp.pipeline, chunk.vectors))
            self._next_generation(sql, kb)

    def touch(self, file: int, size: int, mtime_ns: int) -> None:
        """The file was looked at again and is the same."""
        with self._writing() as sql:
            sql.execute("UPDATE file SET size = ?, mtime_ns = ? WHERE id = ?", (size, mtime_ns, file))

    def remove(self, kb: int, files: Sequence[int]) -> None:
        """Files that are gone from the folder."""
        with self._writing() as sql:
            for file in files:
                self._clear(sql, kb, file)
            self._next_generation(sql, kb)

    def finish(self, kb: int) -> None:
        """The folder was looked through completely."""
        with self._writing() as sql:
            sql.execute("UPDATE kb SET synced_at = ? WHERE id = ?", (time.time(), kb))

    def drop(self, kb: int) -> None:
        """A knowledge base with everything in it."""
        with self._writing() as sql:
            sql.execute(f"DROP TABLE lexical_{kb}")
            sql.execute("DELETE FROM vector WHERE kb = ?", (kb,))
            sql.execute("DELETE FROM kb WHERE id = ?", (kb,))

    @contextmanager
    def _writing(self) -> Generator[sqlite3.Connection]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield self._connection
            self._connection.execute("COMMIT")
        except BaseException:
            # A full disk already rolled back by itself.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def _clear(self, sql: sqlite3.Connection, kb: int, file: int) -> None:
        """An external-content index must be told what to forget, in the words it was told to remember."""
        sql.execute(
            f"INSERT INTO lexical_{kb} (lexical_{kb}, rowid, {_COLUMNS})"
            f" SELECT 'delete', id, {_COLUMNS} FROM chunk WHERE file = ?",
            (file,),
        )
        sql.execute("DELETE FROM file WHERE id = ?", (file,))

    def _next_generation(self, sql: sqlite3.Connection, kb: int) -> None:
        sql.execute("UPDATE kb SET generation = generation + 1 WHERE id = ?", (kb,))


def open_writer(data: Path) -> CatalogWriter:
    """The index for writing, made if it is not there."""
    connection = connect(data)
    try:
        return CatalogWriter(connection)
    except BaseException:
        connection.close()
        raise
