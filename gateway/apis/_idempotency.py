"""`Idempotency-Key`: a request that is sent again with its key gets its answer again, and nothing is done twice.

A key belongs to its owner and to one URL, for 24 hours. What is stored is found in the store; the newest answers that
are not are held in memory, where no owner can crowd out another and a run that goes on is never forgotten: a request
that finds no room is refused before it begins. An answer that failed before any tool was called is not kept: to try
again is what the key is for.
"""

import asyncio
import hashlib
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response

from gateway.apis._wire import LARGE_BODY, header_of, owner_of
from gateway.errors import InvalidRequest, NotFound, StorageFull, TooManyKeys
from gateway.event_log import retold, unpack
from gateway.events import CallsStarted, ItemDone, RunCancelled, RunFailed
from gateway.item_sizes import size_of
from gateway.items import IdempotencyKey
from gateway.ports import Turn
from gateway.runs import Run, Runs
from gateway.storage import Store, StoredTurn
from gateway.turnstile import Turnstile

HEADER = b"idempotency-key"
LONGEST_KEY = 255
"""Characters, as Stripe has it."""
MOST_HELD = 64 * 2**20
"""Bytes of the requests of one dialect whose answers are in no store and can be given again."""
MOST_OF_ONE = MOST_HELD // 4
"""Of these, those of one owner. A single request may be larger."""
LEAST = 2**16
"""Bytes that a request counts for at least: a quarter of its owner's is 256 answers, and all owners' are 1024."""
EVENT = 256
"""Bytes that an event of an answer counts for beside its text."""
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


WITHOUT_KEY = nullcontext(Asked())
"""One for all requests: a context manager made for each costs as much as a look at its body."""


@dataclass(slots=True)
class Held:
    """An answer, or the room for it as long as it has no `runs`. `said` are the bytes of the request."""

    owner: str
    digest: str
    until: float
    said: int
    size: int
    runs: Sequence[Run] = ()
    over: bool = False

    def look(self) -> None:
        """See whether it is over: from then on it counts with what was said."""
        if not self.over and self.runs and all(run.finished for run in self.runs):
            self.over = True
            self.size = max(LEAST, self.said + sum(map(size_of_run, self.runs)))


class IdempotencyKeys:
    """The keys of one dialect."""

    def __init__(self, runs: Runs, store: Store) -> None:
        self._runs = runs
        self._store = store
        self._turnstile = Turnstile()
        # The oldest first.
        self._held: dict[str, Held] = {}

    def asked(self, request: Request, body: bytes | bytearray) -> AbstractAsyncContextManager[Asked]:
        """What is known of this request. In this block no other with its key is looked at: what it makes is begun here.

        Raises InvalidRequest for a key that is none, or that another body was sent with.
        """
        value = header_of(request, HEADER)
        return WITHOUT_KEY if value is None else self._asked(value, request, body)

    @asynccontextmanager
    async def _asked(self, value: str, request: Request, body: bytes | bytearray) -> AsyncGenerator[Asked]:
        if not value.strip() or len(value) > LONGEST_KEY:
            raise InvalidRequest(
                f"Invalid 'Idempotency-Key': 1 to {LONGEST_KEY} characters.", code="invalid_idempotency_key"
            )
        digest = await asyncio.to_thread(digest_of, body) if len(body) > LARGE_BODY else digest_of(body)
        key = IdempotencyKey(value=value, operation=request.scope["path"], digest=digest)
        place = place_of(owner_of(request), key)
        await self._turnstile.enter(place)
        try:
            yield replace(await self._known(key, owner_of(request)), size=len(body))
        finally:
            if (held := self._held.get(place)) is not None and not held.runs:
                del self._held[place]
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

    def reserve(self, asked: Asked, turn: Turn) -> None:
        """Make room for the answer to this turn, which is about to begin, if its request has a key and no store keeps
        it. Raises TooManyKeys: without room it must not begin, or the request sent again would begin it again."""
        if asked.key is None or turn.stored:
            return
        place = place_of(turn.owner, asked.key)
        self._held.pop(place, None)
        # What it names without sending it is held as well.
        said = max(asked.size, sum(map(size_of, turn.input)))
        size = max(said, LEAST)
        self._make_room(turn.owner, size)
        self._held[place] = Held(turn.owner, asked.key.digest, time.time() + HELD_FOR, said, size)

    def _make_room(self, owner: str, size: int) -> None:
        """Drop answers, the oldest of whoever holds most first."""
        sizes = Counter({owner: size})
        over: dict[str, list[str]] = {}
        for place, held in reversed(self._held.items()):
            held.look()
            sizes[held.owner] += held.size
            if held.over:
                over.setdefault(held.owner, []).append(place)
        while (too_many := sizes[owner] > max(MOST_OF_ONE, size)) or sizes.total() > MOST_HELD:
            whose = [owner] if too_many else sorted(over, key=lambda one: sizes[one])
            if not whose or not over.get(whose[-1]):
                raise TooManyKeys(retry_after=1)
            places = over[whose[-1]]
            sizes[whose[-1]] -= self._held.pop(places.pop()).size
            if not places:
                del over[whose[-1]]

    def hold(self, asked: Asked, runs: Sequence[Run]) -> None:
        """Keep in mind what this request has begun, where `reserve` has made room for it."""
        turn = runs[0].turn
        if asked.key is not None and not turn.stored:
            self._held[place_of(turn.owner, asked.key)].runs = runs

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
        return again(await self._store.get(id), await self._store.log(id))


def again(stored: StoredTurn, log: bytes) -> Run:
    """A run that is over, as one to be followed. `log` may be empty.

    The turn must have been read after it was known that nothing runs it: who follows one without an ending waits for
    ever. Raises StorageFull when the ending is not in the store yet, because the disk was full.
    """
    if stored.end is None:
        raise StorageFull
    run = Run(stored.turn)
    run.publish(*(unpack(log, stored) if log else retold(stored)))
    if stored.end.error is not None:
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


def size_of_run(run: Run) -> int:
    said = sum(size_of(event.item) for event in run.events if isinstance(event, ItemDone))
    return said + EVENT * len(run.events)


def place_of(owner: str, key: IdempotencyKey) -> str:
    return f"{owner} {key.operation} {key.value}"


def digest_of(body: bytes | bytearray) -> str:
    return hashlib.sha256(body).hexdigest()
