"""`Idempotency-Key`: a request that is sent again with its key gets its answer again, and nothing is done twice.

A key belongs to its owner and to one URL, for 24 hours. What is stored is found in the store; the newest answers that
are not are held in memory. An answer that failed before any tool was called is not kept: to try again is what the key
is for.
"""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response

from gateway.apis._wire import LARGE_BODY
from gateway.errors import InvalidRequest, NotFound, StorageFull
from gateway.event_log import retold, unpack
from gateway.events import CallsStarted, RunCancelled, RunFailed
from gateway.items import IdempotencyKey
from gateway.ports import Store, StoredTurn, Turn
from gateway.runs import Run, Runs
from gateway.turnstile import Turnstile

HEADER = "idempotency-key"
LONGEST_KEY = 255
"""Characters, as Stripe has it."""
MOST_HELD = 256
"""Answers of one dialect that are in no store and can be given again."""
MOST_BYTES_HELD = 64 * 2**20
"""Of the bodies that these were asked with."""
HELD_FOR = 86400.0
"""Seconds."""

Answer = TypeVar("Answer", bound=Response)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request. `key` is None if it has none. `made` is the id of what it made when it was sent before, empty if it
    was not, and `held` are its runs, if no store has them. `size` are the bytes of its body."""

    key: IdempotencyKey | None = None
    size: int = 0
    made: str = ""
    held: Sequence[Run] = ()


@dataclass(frozen=True, slots=True)
class Held:
    digest: str
    until: float
    size: int
    runs: Sequence[Run]


class IdempotencyKeys:
    """The keys of one dialect."""

    def __init__(self, runs: Runs, store: Store) -> None:
        self._runs = runs
        self._store = store
        self._turnstile = Turnstile()
        self._held: OrderedDict[str, Held] = OrderedDict()
        self._bytes = 0

    @asynccontextmanager
    async def asked(self, request: Request, body: bytes | bytearray) -> AsyncGenerator[Asked]:
        """What is known of this request. In this block no other with its key is looked at: what it makes is begun here.

        Raises InvalidRequest for a key that is none, or that another body was sent with.
        """
        value = request.headers.get(HEADER)
        if value is None:
            yield Asked()
            return
        if not value.strip() or len(value) > LONGEST_KEY:
            raise InvalidRequest(
                f"Invalid 'Idempotency-Key': 1 to {LONGEST_KEY} characters.", code="invalid_idempotency_key"
            )
        digest = await asyncio.to_thread(digest_of, body) if len(body) > LARGE_BODY else digest_of(body)
        key = IdempotencyKey(value=value, operation=request.scope["path"], digest=digest)
        place = place_of(request.state.owner, key)
        await self._turnstile.enter(place)
        try:
            yield replace(await self._known(key, request.state.owner), size=len(body))
        finally:
            self._turnstile.leave(place)

    async def _known(self, key: IdempotencyKey, owner: str) -> Asked:
        now = time.time()
        held = self._held.get(place_of(owner, key))
        if held is not None and held.until > now:
            digest, asked = held.digest, Asked(key, made=held.runs[0].turn.id, held=held.runs)
        elif found := await self._store.made_with(key, owner, now):
            digest, asked = found[0], Asked(key, made=found[1])
        else:
            return Asked(key)
        if digest != key.digest:
            raise InvalidRequest(
                "This Idempotency-Key was sent with another request. Take a new key for a new request.",
                code="idempotency_key_reused",
            )
        return asked

    def hold(self, asked: Asked, runs: Sequence[Run]) -> None:
        """Keep in mind what this request has begun, if it has a key and no store keeps it."""
        turn = runs[0].turn
        if asked.key is None or turn.stored:
            return
        place = place_of(turn.owner, asked.key)
        self._drop(place)
        self._held[place] = Held(asked.key.digest, time.time() + HELD_FOR, asked.size, runs)
        self._bytes += asked.size
        while len(self._held) > MOST_HELD or self._bytes > MOST_BYTES_HELD:
            self._drop(next(iter(self._held)))

    def _drop(self, place: str) -> None:
        if (held := self._held.pop(place, None)) is not None:
            self._bytes -= held.size

    async def runs(self, asked: Asked, ids: Callable[[Turn], Sequence[str]] = lambda turn: [turn.id]) -> Sequence[Run]:
        """The runs that this request began before, over or not; empty if it shall begin new ones. `ids` are those of
        all turns of a request, by the first of them."""
        if not asked.made:
            return ()
        found = asked.held
        try:
            if not found:
                first = await self._run(asked.made)
                found = [first, *[await self._run(id) for id in ids(first.turn)[1:]]]
        except NotFound:
            return ()
        return () if any(map(broke_off, found)) and not any(map(has_acted, found)) else found

    async def _run(self, id: str) -> Run:
        if run := self._runs.find(id):
            return run
        stored = await self._store.get(id)
        if stored.end is None:
            # It is over, and its ending is not in the store yet: the disk was full.
            raise StorageFull
        return again(stored, await self._store.log(id))


def again(stored: StoredTurn, log: bytes) -> Run:
    """A run that is over, as one to be followed. `log` may be empty."""
    run = Run(stored.turn)
    run.publish(*(unpack(log, stored) if log else retold(stored)))
    if stored.end is not None and stored.end.error is not None:
        stored.end.error.acted = bool(stored.intents)
    return run


def replayed(answer: Answer) -> Answer:
    """Say of an answer that it was given before."""
    answer.raw_headers.append((b"idempotent-replayed", b"true"))
    return answer


def broke_off(run: Run) -> bool:
    if not run.finished:
        return False
    ending = run.events[-1]
    # In the background a run is only cancelled because its client asked for that.
    return isinstance(ending, RunFailed) or (isinstance(ending, RunCancelled) and not run.turn.background)


def has_acted(run: Run) -> bool:
    ending = run.events[-1]
    if isinstance(ending, RunFailed) and ending.error.acted:
        return True
    return any(isinstance(event, CallsStarted) and event.calls for event in run.events)


def place_of(owner: str, key: IdempotencyKey) -> str:
    return f"{owner} {key.operation} {key.value}"


def digest_of(body: bytes | bytearray) -> str:
    return hashlib.sha256(body).hexdigest()
