"""API keys: made and revoked on the command line, checked by the gateway, in a small file of their own.

Not part of a `Store`: several processes use the file at once, so it keeps SQLite's rollback journal. A key is
shown once; the file holds only its HMAC-SHA256 under a secret of the file's own, so neither the file nor a copy
of it is enough to use the API. All calls are synchronous and short.
"""

import hmac
import os
import secrets
import sqlite3
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import InvalidRequest, NotFound, StorageFull
from gateway.items import new_id

PREFIX = "hp_"
SHOWN = 8
"""Characters of a key that are kept, to tell keys apart: `hp_` and five more."""
SETTLED = 0.1
"""Seconds after which a file's modification time surely differs from that of the next change; kernels before
6.13 stamp files with the time of the last tick, at most 10 ms ago."""
SCHEMA = """
create table if not exists secret (id integer primary key check (id = 1), pepper blob not null) strict;
create table if not exists keys (
    id text primary key, name text not null, prefix text not null, digest text not null unique,
    created_at real not null, revoked_at real
) strict;
create unique index if not exists keys_name on keys (name) where revoked_at is null;
"""

Stamp = tuple[int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyInfo:
    """What is known of a key. `id` is the owner id that requests made with it carry; `created_at` is Unix seconds."""

    id: str
    name: str
    prefix: str
    created_at: float


class KeyRing:
    """The keys in the file `path`, which the first `create` makes. `clock` gives Unix seconds.

    For one thread. Raises StorageFull when the file cannot be written or read.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._place = str(path)
        self._clock = clock
        self._stamp: Stamp | None = None
        self._pepper = b""
        self._owners: dict[str, str] = {}
        # Keys that were good since the file last changed: what they are is in memory anyway while they are used.
        self._seen: dict[str, str] = {}

    def create(self, name: str) -> str:
        """Make a key and return it: the only time it can be seen. Raises InvalidRequest for a name in use."""
        if not name.strip() or name != name.strip() or not name.isprintable():
            raise InvalidRequest("A key needs a name, such as the person or program it is for.", param="name")
        key = PREFIX + secrets.token_urlsafe(32)
        self._make_file()
        with self._transaction() as db:
            taken = db.execute("select 1 from keys where name = ? and revoked_at is null", (name,)).fetchall()
            if taken:
                raise InvalidRequest(
                    f"There is a key named '{name}' already. Revoke it first, or choose another name.", param="name"
                )
            pepper = db.execute("select pepper from secret").fetchall()[0][0]
            db.execute(
                "insert into keys (id, name, prefix, digest, created_at) values (?, ?, ?, ?, ?)",
                (new_id("key"), name, key[:SHOWN], _digest(pepper, key), self._clock()),
            )
        return key

    def list(self) -> list[KeyInfo]:
        """Live keys, oldest first."""
        if self._now() is None:
            return []
        with self._connection() as db:
            rows = db.execute(
                "select id, name, prefix, created_at from keys where revoked_at is null order by created_at, rowid"
            ).fetchall()
        return [KeyInfo(id=id, name=name, prefix=prefix, created_at=at) for id, name, prefix, at in rows]

    def revoke(self, name_or_prefix: str) -> KeyInfo:
        """End a key at once, in every process. Raises NotFound, or InvalidRequest when two keys share the prefix."""
        live = self.list()
        found = [key for key in live if key.name == name_or_prefix] or [
            key for key in live if key.prefix == name_or_prefix
        ]
        if not found:
            raise NotFound(f"There is no key with the name or prefix '{name_or_prefix}'.")
        if len(found) > 1:
            names = ", ".join(key.name for key in found)
            raise InvalidRequest(f"Several keys begin with '{name_or_prefix}': {names}. Give the name.")
        with self._transaction() as db:
            db.execute("update keys set revoked_at = ? where id = ?", (self._clock(), found[0].id))
        return found[0]

    def verify(self, key: str) -> str | None:
        """The owner id of a live key, else None. A key that was revoked anywhere is refused from the next call on.

        Measured: 2 µs, all of it to ask whether the file has changed; a key's first use costs 2 µs more, a change
        0.2 ms once.
        """
        if not key.startswith(PREFIX):
            return None
        self._refresh()
        if owner := self._seen.get(key):
            return owner
        # Which digest is looked up does not depend on stored keys in a way the caller can steer: it is keyed. Nor is
        # the hash of a str, which only an equal one shares by more than chance.
        owner = self._owners.get(_digest(self._pepper, key))
        if owner:
            self._seen[key] = owner
        return owner

    def _refresh(self) -> None:
        stamp = self._now()
        if stamp is not None and stamp == self._stamp:
            return
        if stamp is None:
            self._stamp, self._owners, self._seen = None, {}, {}
            return
        try:
            with self._connection(timeout=0.0 if self._pepper else 1.0) as db:
                db.execute("begin")
                pepper = db.execute("select pepper from secret").fetchall()
                owners = db.execute("select digest, id from keys where revoked_at is null").fetchall()
        except _Busy:
            # Somebody is committing a change right now: it counts once it is there.
            if self._pepper:
                return
            raise
        self._pepper = pepper[0][0] if pepper else b""
        self._owners, self._seen = dict(owners), {}
        # A file that changed just now may change again and look the same: look again until it has settled.
        settled = time.time() - stamp[0] / 1e9 > SETTLED
        self._stamp = stamp if settled else None

    def _now(self) -> Stamp | None:
        try:
            status = os.stat(self._place)
        except FileNotFoundError:
            return None
        # Empty: somebody is about to write the first key.
        return (status.st_mtime_ns, status.st_size, status.st_ino) if status.st_size else None

    def _make_file(self) -> None:
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._path.touch(mode=0o600)
        except OSError as error:
            raise StorageFull(f"The key file {self._path} cannot be written: {error}") from error
        with self._transaction() as db:
            for statement in SCHEMA.split(";"):
                db.execute(statement)
            db.execute("insert into secret (id, pepper) values (1, ?) on conflict do nothing", (os.urandom(32),))

    @contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection]:
        with self._connection() as db:
            db.execute("begin immediate")
            yield db
            db.execute("commit")

    @contextmanager
    def _connection(self, timeout: float = 5.0) -> Generator[sqlite3.Connection]:
        """A connection that is rolled back and closed at the end; `timeout` in seconds for another's lock."""
        db = None
        try:
            db = sqlite3.connect(self._path, isolation_level=None, timeout=timeout)
            db.execute("pragma synchronous = full")
            yield db
        except sqlite3.Error as error:
            if (error.sqlite_errorcode & 0xFF) == sqlite3.SQLITE_BUSY:
                raise _Busy(f"The key file {self._path} is in use by another process. Try again.") from error
            raise StorageFull(f"The key file {self._path} cannot be used: {error}") from error
        finally:
            if db is not None:
                db.close()


class _Busy(StorageFull):
    """Another process holds the key file's lock."""


def _digest(pepper: bytes, key: str) -> str:
    # A header may hold any byte, and so a str with what UTF-8 cannot say; such a key is merely wrong.
    return hmac.digest(pepper, key.encode(errors="surrogatepass"), "sha256").hex()
