"""What was begun and what came of it, so that nothing is made twice: durable in SQLite, or only in this process.

An entry is written before the request that makes something is sent, and its outcome after. An entry that was
begun and has no outcome is an unknown outcome; what to do about it is decided in `once`, not here.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol

import anyio.to_thread

from mcp_tools.ticketing.errors import TicketingError

Stage = Literal["prepared", "begun", "done"]

SCHEMA = """
CREATE TABLE IF NOT EXISTS once (
    scope TEXT NOT NULL, key TEXT NOT NULL, digest TEXT NOT NULL, stage TEXT NOT NULL,
    begun REAL NOT NULL, sent REAL NOT NULL, saved TEXT NOT NULL, made TEXT NOT NULL, PRIMARY KEY (scope, key))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing to be made once.

    `digest` is of the call's arguments; `stage` is prepared (nothing visible was sent), begun (the request that
    makes it may have been sent) or done; `begun` is Unix seconds of the first attempt, `sent` of the last time that
    request was sent; `saved` holds what remembered steps took, by step; `made` is the id of the new thing.
    """

    scope: str
    key: str
    digest: str
    stage: Stage
    begun: float
    sent: float = 0.0
    saved: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    made: str = ""


class Ledger(Protocol):
    """Every method returns only when its effect would survive what the ledger survives."""

    durable: bool

    async def find(self, scope: str, key: str) -> Entry | None: ...
    async def put(self, entry: Entry) -> None: ...
    async def drop(self, entry: Entry) -> None: ...
    async def made(self, scope: str) -> frozenset[str]:
        """Ids of everything in this scope that is known to have been made."""
        ...

    async def forget(self, *, digests_before: float, keys_before: float) -> None:
        """Drop done entries begun before `digests_before` whose key was no argument, and any before `keys_before`."""
        ...


def outdated(entry: Entry, digests_before: float, keys_before: float) -> bool:
    derived = entry.key == entry.digest and entry.stage == "done"
    return entry.begun < (digests_before if derived else keys_before)


class MemoryLedger:
    """Survives nothing: for a server without a data directory."""

    durable = False

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], Entry] = {}

    async def find(self, scope: str, key: str) -> Entry | None:
        return self._entries.get((scope, key))

    async def put(self, entry: Entry) -> None:
        self._entries[entry.scope, entry.key] = entry

    async def drop(self, entry: Entry) -> None:
        self._entries.pop((entry.scope, entry.key), None)

    async def made(self, scope: str) -> frozenset[str]:
        return frozenset(entry.made for entry in self._entries.values() if entry.scope == scope and entry.made)

    async def forget(self, *, digests_before: float, keys_before: float) -> None:
        for entry in [e for e in self._entries.values() if outdated(e, digests_before, keys_before)]:
            await self.drop(entry)


class SqliteLedger:
    """Survives the process and the machine: each write is synced to `data/ticketing.sqlite3` before it returns.

    Several processes may share the file. A connection lives for one operation, so no thread owns one.
    """

    durable = True

    def __init__(self, data: Path) -> None:
        self._path = data / "ticketing.sqlite3"

    async def find(self, scope: str, key: str) -> Entry | None:
        rows = await self._run("SELECT * FROM once WHERE scope = ? AND key = ?", scope, key)
        return _entry(rows[0]) if rows else None

    async def put(self, entry: Entry) -> None:
        saved = json.dumps(entry.saved)
        row = (entry.scope, entry.key, entry.digest, entry.stage, entry.begun, entry.sent, saved, entry.made)
        await self._run("INSERT OR REPLACE INTO once VALUES (?, ?, ?, ?, ?, ?, ?, ?)", *row)

    async def drop(self, entry: Entry) -> None:
        await self._run("DELETE FROM once WHERE scope = ? AND key = ?", entry.scope, entry.key)

    async def made(self, scope: str) -> frozenset[str]:
        rows = await self._run("SELECT made FROM once WHERE scope = ? AND made != ''", scope)
        return frozenset(row[0] for row in rows)

    async def forget(self, *, digests_before: float, keys_before: float) -> None:
        await self._run("DELETE FROM once WHERE stage = 'done' AND key = digest AND begun < ?", digests_before)
        await self._run("DELETE FROM once WHERE begun < ?", keys_before)

    async def _run(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        return await anyio.to_thread.run_sync(partial(self._execute, statement, values))

    def _execute(self, statement: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        try:
            with self._connection() as connection:
                return connection.execute(statement, values).fetchall()
        except (sqlite3.Error, OSError) as error:
            raise TicketingError(
                f"This server cannot use its record of what it made ({type(error).__name__}: {error}), so it made "
                "nothing new. Tell the person who runs it to check the disk and the data directory."
            ) from error

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path.touch(mode=0o600)
        if self._path.stat().st_mode & 0o077:
            with suppress(PermissionError):  # another user's, who shares it
                self._path.chmod(0o600)
        connection = sqlite3.connect(self._path, timeout=10.0)
        try:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(SCHEMA)
            with connection:  # commits, or rolls back
                yield connection
        finally:
            connection.close()


def _entry(row: tuple[Any, ...]) -> Entry:
    names = ("scope", "key", "digest", "stage", "begun", "sent", "saved", "made")
    values = dict(zip(names, row, strict=True))
    return Entry(**{**values, "saved": json.loads(values["saved"])})
