"""One writer at a time for a data folder, between processes. Not a lock between threads or tasks of one connection.

It is an exclusive transaction on an empty SQLite file: SQLite brings file locks for every operating system, and the
kernel lets go of them when the holder dies, `kill -9` included.
"""

import sqlite3
import time
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from pathlib import Path

from gateway.retrieval.errors import IndexUnavailable
from gateway.retrieval.private import make_private

_ATTEMPT_SECONDS = 0.5


@contextmanager
def writer_lock(
    data: Path, *, on_wait: Callable[[], None] | None = None, timeout: float | None = None
) -> Generator[None]:
    """Hold the data folder's writer lock. Blocks; call it off the event loop.

    `on_wait` is called once if somebody else holds it. Raises `IndexUnavailable` after `timeout` seconds (None: never).
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    make_private(data / "knowledge.lock")
    with closing(sqlite3.connect(data / "knowledge.lock", timeout=_ATTEMPT_SECONDS, isolation_level=None)) as lock:
        told = False
        while not _acquired(lock):
            if deadline is not None and time.monotonic() > deadline:
                raise IndexUnavailable("Another process is writing to this knowledge base. Try again later.")
            if on_wait is not None and not told:
                on_wait()
                told = True
        yield


def _acquired(lock: sqlite3.Connection) -> bool:
    try:
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
            return False
        raise
    return True
