"""The one thread that writes to the database: a queue of operations, many of them to a COMMIT.

It knows nothing of turns. An operation is a function of the connection; it may be run again when the batch it
was in could not be committed, so it must have no effect but on the database. One writer, which alone
checkpoints, also keeps clear of the WAL-reset bug of SQLite before 3.51.3, which takes two.
"""

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from sqlite_utils import Database

from gateway.errors import GatewayError, StorageFull
from gateway.stores._schema import migrate

logger = logging.getLogger(__name__)

T = TypeVar("T")
Operation = Callable[[sqlite3.Connection], T]

BATCH = 256
ROUNDS = 5
"""Rounds of the event loop that a write waits for others to share its COMMIT with, if the last had company. They take
microseconds in a loop that is quiet, and in a busy one as long as it takes others to come."""
IDLE = 1.0
"""Seconds without a write after which the write-ahead log is emptied."""
PRAGMAS = (
    "journal_mode = wal",
    "synchronous = full",
    "foreign_keys = on",
    "busy_timeout = 5000",
    "cache_size = -16000",
    "wal_autocheckpoint = 2000",
    "journal_size_limit = 67108864",
)


@dataclass(slots=True)
class _Job:
    """One operation, who waits for it, and what to do on the loop once it is durable."""

    operation: Operation[Any]
    future: asyncio.Future[Any]
    committed: Callable[[Any], None] | None
    result: Any = None
    error: Exception | None = None


class Writer:
    """Made and used on one event loop; the connection never leaves the thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._queue: SimpleQueue[Sequence[_Job] | None] = SimpleQueue()
        self._waiting: list[_Job] = []
        self._busy = False
        self._shared = False
        self._open = False

    async def start(self) -> None:
        """Open and migrate the database. Raises ValueError or StorageFull when it cannot be used."""
        self._loop = asyncio.get_running_loop()
        started: asyncio.Future[None] = self._loop.create_future()
        self._thread = threading.Thread(target=self._main, args=(started,), name="store-writer", daemon=True)
        self._thread.start()
        await started
        self._open = True

    async def stop(self) -> None:
        """Finish what is queued, then close."""
        self._open = False
        self._hand_over()
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def write(self, operation: Operation[T], committed: Callable[[T], None] | None = None) -> asyncio.Future[T]:
        """Queue `operation`; its result arrives after the COMMIT, or the error it raised and nothing was written.

        `committed` is called on the loop in commit order, also when the waiting task was cancelled: a cancelled
        wait does not take the write back.
        """
        if not self._open:
            raise StorageFull("The database is closed.")
        future: asyncio.Future[T] = self._loop.create_future()
        self._waiting.append(_Job(operation, future, committed))
        if not self._busy:
            self._busy = True
            self._gather(ROUNDS if self._shared else 1)
        return future

    def _gather(self, rounds: int) -> None:
        """Hand over what these rounds of the loop ask for, and what came while the thread was busy.

        Each batch costs a COMMIT and wakes both threads, which would be dear for every single operation.
        """
        if rounds:
            self._loop.call_soon(self._gather, rounds - 1)
        else:
            self._hand_over()

    def _hand_over(self) -> None:
        self._shared = len(self._waiting) > 1
        while self._waiting:
            batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
            self._queue.put(batch)

    def _acknowledge(self, batch: Sequence[_Job]) -> None:
        for job in batch:
            _settle(job)
        self._busy = bool(self._waiting)
        if self._waiting:
            # After those who were just told have asked for what they want next.
            self._gather(ROUNDS)

    def _main(self, started: asyncio.Future[None]) -> None:
        try:
            connection = _open(self._path)
        except (sqlite3.Error, OSError) as error:
            self._call(_fail, started, StorageFull(f"The database {self._path} cannot be opened: {error}"))
            return
        except ValueError as error:
            self._call(_fail, started, error)
            return
        self._call(_succeed, started, None)
        try:
            self._serve(connection)
        finally:
            connection.close()
            self._call(self._abandon)

    def _serve(self, connection: sqlite3.Connection) -> None:
        unchecked = True
        while True:
            try:
                batch = self._queue.get(timeout=IDLE if unchecked else None)
            except Empty:
                unchecked = not _empty_log(connection)
                continue
            if batch is None:
                return
            self._commit(connection, batch)
            self._call(self._acknowledge, batch)
            unchecked = True

    def _commit(self, connection: sqlite3.Connection, batch: Sequence[_Job], *, apart: bool = False) -> None:
        """Run the batch in one transaction. If an operation fails, run it again, each `apart` from the others; if the
        transaction does, each operation in its own."""
        try:
            connection.execute("begin immediate")
            for job in batch:
                if apart:
                    _run(connection, job)
                else:
                    job.error, job.result = None, job.operation(connection)
            connection.execute("commit")
        except Exception as error:  # noqa: BLE001 - whose error it is shows when each is run apart
            # A full disk may already have rolled the transaction back; a second rollback would raise.
            if connection.in_transaction:
                connection.rollback()
            if not (apart or is_of_the_database(error)):
                self._commit(connection, batch, apart=True)
            elif len(batch) > 1:
                for job in batch:
                    self._commit(connection, [job])
            else:
                logger.error("nothing was stored: %s", error)
                batch[0].error = StorageFull()
                batch[0].error.__cause__ = error

    def _abandon(self) -> None:
        """On the loop: nobody serves the queue any more."""
        self._open = False
        self._hand_over()
        while not self._queue.empty():
            for job in self._queue.get() or ():
                _fail(job.future, StorageFull("The database is closed."))

    def _call(self, function: Callable[..., None], *args: object) -> None:
        # The loop is closed only when nobody waits for an answer.
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function, *args)


def _open(path: Path) -> sqlite3.Connection:
    # Made here with tight rights; SQLite gives -wal and -shm the same.
    path.touch(mode=0o600)
    connection = sqlite3.connect(path, isolation_level=None, cached_statements=256)
    try:
        for pragma in PRAGMAS:
            connection.execute(f"pragma {pragma}")
        migrate(Database(connection))
    except (sqlite3.Error, ValueError):
        connection.close()
        raise
    return connection


def is_of_the_database(error: Exception) -> bool:
    """Whether it is not one operation's own fault: out of space, read-only, an I/O error."""
    return isinstance(error, sqlite3.Error) and not isinstance(error, sqlite3.IntegrityError)


def _run(connection: sqlite3.Connection, job: _Job) -> None:
    """One operation under a savepoint, so that its failure leaves the others of the batch alone."""
    job.error = None
    connection.execute("savepoint job")
    try:
        job.result = job.operation(connection)
    except Exception as error:
        if is_of_the_database(error):
            raise
        if not isinstance(error, sqlite3.IntegrityError | GatewayError | ValueError):
            logger.exception("a write failed")
        job.error = ValueError(f"Not stored: {error}.") if isinstance(error, sqlite3.IntegrityError) else error
        connection.execute("rollback to job")
    connection.execute("release job")


def _settle(job: _Job) -> None:
    """On the loop: tell who waits for it."""
    if job.error is not None:
        _fail(job.future, job.error)
        return
    try:
        if job.committed is not None:
            job.committed(job.result)
    except Exception as error:
        # Whoever waits is told, and the others and what comes next are not held up.
        logger.exception("what follows a write failed")
        _fail(job.future, error)
    else:
        _succeed(job.future, job.result)


def _succeed(future: asyncio.Future[Any], result: Any) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[Any], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)


def _empty_log(connection: sqlite3.Connection) -> bool:
    """Move the write-ahead log into the database and truncate it; False while a reader is in the way."""
    connection.execute("pragma busy_timeout = 0")
    try:
        busy = connection.execute("pragma wal_checkpoint(truncate)").fetchall()[0][0]
    except sqlite3.Error as error:
        logger.warning("the write-ahead log could not be emptied: %s", error)
        return False
    finally:
        connection.execute("pragma busy_timeout = 5000")
    return not busy
