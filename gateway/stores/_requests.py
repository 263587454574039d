"""Requests to providers as rows, and back. A body is kept as what it has more than the one before it in its branch.

A request of a conversation repeats the last one with something new in the middle: behind what was said, before the
tools. So a row names another request, and how many bytes from its beginning and from its end come first and last; the
rest is its own, compressed if that makes it shorter. The other one belongs to the same turn or to one that it
continues, which is never removed before it.
"""

import asyncio
import hashlib
import sqlite3
import zlib
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from gateway.errors import GatewayError
from gateway.events import Usage
from gateway.model_requests import ModelRequest, Requests
from gateway.stores import _reads

LONGEST_CHAIN = 64
"""Requests that are read for one, at most."""
LARGE = 64 * 1024
"""Bytes of a body that is not hashed and compressed on the event loop."""
BLOCK = 4096
MOST = 1 << 20
"""Requests of one turn, at most: its first has the turn's n times this."""

SMALL = 1024
"""Bytes that are not worth compressing."""
WINDOW, MEMORY = -13, 6
"""zlib's, for what is not large: a quarter of a megabyte, its default, costs more to get than a prompt to compress."""

Row = tuple[str, bytes, int | None, int, int, int, bytes]
"""What `add` puts into a row besides its n: NAMES."""
BEFORE = -1
"""As `base`: the row before this one, which gets its n when it is added."""
NAMES = ("head", "digest", "base", "first", "last", "size", "rest")
ADD = f"""
insert into requests (n, head, digest, base, first, last, size, rest)
select coalesce(max(n) + 1, :turn * {MOST}), :head, :digest, :base, :first, :last, :size, :rest from requests
where n >= :turn * {MOST} and n < (:turn + 1) * {MOST}
"""
NEEDED = f"""
with recursive needed(n) as (
    select requests.n from turns join requests on requests.n >= turns.n * {MOST} and requests.n < (turns.n + 1) * {MOST}
    where turns.id = ?
    union
    select requests.base from requests join needed on requests.n = needed.n where requests.base is not null
)
select requests.n, turns.id, requests.head, requests.digest, requests.base, first, last, size, rest
from needed join requests on requests.n = needed.n join turns on turns.n = requests.n / {MOST} order by requests.n
"""


@dataclass(frozen=True, slots=True)
class Known:
    """A request that is stored: its n, how many others it stands on, and its body."""

    n: int
    depth: int
    body: bytes


class Bodies:
    """The newest body of each branch in use, at most `max_turns` and about `max_bytes`; the longest unused go first.

    Like the histories, it changes on the event loop after the COMMIT that it reflects.
    """

    def __init__(self, *, max_turns: int = 4096, max_bytes: int = 32 << 20) -> None:
        self._max_turns = max_turns
        self._max_bytes = max_bytes
        self._bytes = 0
        self._known: OrderedDict[str, Known] = OrderedDict()

    def begun(self, turn_id: str, parent: str | None) -> None:
        """A turn was stored after `parent`."""
        if parent is not None and (known := self._known.get(parent)) is not None:
            self._put(turn_id, known)

    async def packed(self, turn_id: str, requests: Requests) -> list[Row]:
        """The rows of these requests of one turn."""
        base = self._known.get(turn_id)
        large = any(len(request.body) > LARGE for request in requests)
        return await asyncio.to_thread(pack, requests, base) if large else pack(requests, base)

    def stored(self, turn_id: str, requests: Requests, rows: Sequence[Row], ns: Sequence[int]) -> None:
        """They are in the database, under these n."""
        if requests:
            known = self._known.get(turn_id)
            depth = known.depth if known is not None else 0
            for _, _, base, *_ in rows:
                depth = depth + 1 if base is not None else 0
            self._put(turn_id, Known(ns[-1], depth, requests[-1].body))

    def _put(self, turn_id: str, known: Known) -> None:
        self._drop(turn_id)
        self._known[turn_id] = known
        self._bytes += len(known.body)
        while len(self._known) > self._max_turns or self._bytes > self._max_bytes:
            self._drop(next(iter(self._known)))

    def _drop(self, turn_id: str) -> None:
        if (known := self._known.pop(turn_id, None)) is not None:
            self._bytes -= len(known.body)


def pack(requests: Requests, base: Known | None) -> list[Row]:
    rows: list[Row] = []
    for request in requests:
        body, n, first, last = request.body, None, 0, 0
        if base is not None and base.depth < LONGEST_CHAIN:
            first = alike_at_the_start(base.body, body)
            last = alike_at_the_end(base.body, body, min(len(base.body), len(body)) - first)
            # Little in common: the chain begins anew.
            n, first, last = (base.n, first, last) if 2 * (first + last) > len(body) else (None, 0, 0)
        rest = squeezed(body[first : len(body) - last])
        rows.append((head(request), hashlib.sha256(body).digest(), n, first, last, len(body), rest))
        base = Known(BEFORE, 0 if n is None or base is None else base.depth + 1, body)
    return rows


def squeezed(rest: bytes) -> bytes:
    """The bytes compressed, unless that makes them no shorter."""
    if len(rest) < SMALL:
        return rest
    compress = zlib.compressobj(1, zlib.DEFLATED, *((-15, 8) if len(rest) > LARGE else (WINDOW, MEMORY)))
    return min(rest, compress.compress(rest) + compress.flush(), key=len)


def add(db: sqlite3.Connection, turn: int, rows: Sequence[Row]) -> list[int]:
    """Put them behind those that the turn has. Returns their n."""
    ns: list[int] = []
    for row in rows:
        fields = dict(zip(NAMES, row, strict=True))
        base = ns[-1] if fields["base"] == BEFORE else fields["base"]
        ns.append(db.execute(ADD, {**fields, "turn": turn, "base": base}).lastrowid or 0)
    return ns


def remove(db: sqlite3.Connection, turn: int) -> None:
    """Those of this turn."""
    db.execute("delete from requests where n >= ? and n < ?", (turn * MOST, (turn + 1) * MOST))


def alike_at_the_start(one: bytes, other: bytes) -> int:
    """How many bytes both begin with."""
    return alike(min(len(one), len(other)), lambda start, end: one[start:end] == other[start:end])


def alike_at_the_end(one: bytes, other: bytes, most: int) -> int:
    """How many bytes both end with, at most `most`."""
    a, b = len(one), len(other)
    return alike(most, lambda start, end: one[a - end : a - start] == other[b - end : b - start])


def alike(most: int, same: Callable[[int, int], bool]) -> int:
    """How far two texts are the `same`, block by block and then by halves: comparing slices is what is fast."""
    low = 0
    while low + BLOCK <= most and same(low, low + BLOCK):
        low += BLOCK
    high = min(low + BLOCK, most)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if same(low, middle) else (low, middle - 1)
    return low


def head(request: ModelRequest) -> str:
    return orjson.dumps(
        {
            "model": request.model,
            "url": request.url,
            "exact": request.exact,
            "redacted": request.redacted,
            "created_at": request.created_at,
            "status": request.status,
            "error": request.error,
            "usage": request.usage,
        }
    ).decode()


def requests(db: sqlite3.Connection, turn_id: str) -> list[ModelRequest]:
    """Those of this turn, oldest first. Raises NotFound, and GatewayError for one that is not what it was."""
    with _reads.snapshot(db):
        _reads.owner(db, turn_id)
        rows = db.execute(NEEDED, (turn_id,)).fetchall()
    uses = Counter(base for _, _, _, _, base, *_ in rows if base is not None)
    bodies: dict[int, bytes] = {}
    found: list[ModelRequest] = []
    for n, turn, fields, digest, base, first, last, size, rest in rows:
        whole = bodies.get(base, b"")
        if len(rest) < size - first - last:
            rest = zlib.decompress(rest, -15)
        body = whole[:first] + rest + whole[len(whole) - last :]
        if hashlib.sha256(body).digest() != digest:
            raise GatewayError(f"A request of '{turn}' is damaged in the database.", code="storage_damaged")
        if uses[n]:
            bodies[n] = body
        uses[base] -= 1
        if not uses[base]:
            bodies.pop(base, None)
        if turn == turn_id:
            found.append(load(orjson.loads(fields), body))
    return found


def load(fields: dict[str, Any], body: bytes) -> ModelRequest:
    usage, error = fields.pop("usage"), fields.pop("error")
    return ModelRequest(
        **fields, body=body, usage=Usage(**usage) if usage else None, error=tuple(error) if error else None
    )
