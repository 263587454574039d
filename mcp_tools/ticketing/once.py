"""Making a thing exactly once, whatever dies in between: the process, the connection or the tracker.

The rules, in order, for a call with a key:
 1. it was done: nothing is sent, the known id is the answer;
 2. it was never begun, or only prepared (nothing visible was sent): the steps are done, `begun` is written before
    the one with the effect and `done` after it;
 3. it was begun and the effect can be repeated (a once-only address, a set): it is sent again; an address that
    was used before means: look for the thing;
 4. it was begun and cannot be repeated: look for the thing; not found means that the outcome is unknown, and so
    says the error. It is never sent a second time, unless the preset knows when not being found is proof.
"""

import hashlib
import json
import logging
import re
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import anyio

from mcp_tools.ticketing.errors import OutcomeUnknown, Refused, TicketingError
from mcp_tools.ticketing.ledger import Entry, Ledger
from mcp_tools.ticketing.mapping import Json, Mapper
from mcp_tools.ticketing.preset import Operation, Step, ToolName
from mcp_tools.ticketing.steps import Names, run_steps
from mcp_tools.ticketing.template import find
from mcp_tools.ticketing.tracker import Tracker

log = logging.getLogger(__name__)

SKEW = 120.0  # seconds by which the tracker's clock and ours may differ
KEYS_KEPT = 30 * 24 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """`new` is False when an equal call had made it before; `names` is what the steps left, if they were done now."""

    id: str
    new: bool
    names: Names | None = None


@dataclass(slots=True)
class _Attempt:
    """One call on its way: the entry as it was last written, and whether it was begun before this call."""

    tool: ToolName
    operation: Operation
    args: Json
    entry: Entry
    recovering: bool = False

    @property
    def effect(self) -> Step:
        return next(step for step in self.operation.steps if step.effect)


class Once:
    """Makes things once per key. Equal calls at the same time wait for each other; others do not."""

    def __init__(self, tracker: Tracker, ledger: Ledger, remember_hours: float) -> None:
        self._tracker = tracker
        self._mapper = Mapper(tracker.preset, tracker.names, sys.maxsize)  # whole texts: they are compared
        self._ledger = ledger
        self._remember = remember_hours * 3600.0
        options = tracker.names["options"]
        self._scope = json.dumps([tracker.preset.name, tracker.base, options, tracker.names["user"]], sort_keys=True)
        self._locks: dict[str, tuple[anyio.Lock, int]] = {}

    async def make(self, tool: ToolName, args: Json, key: str | None, caller: str) -> Made:
        """Raises `OutcomeUnknown` where only a person can tell, other `TicketingError`s where nothing was made.

        Calls of different callers are never equal; an empty `caller` is one whom nobody named.
        """
        whose = [caller] if caller else []
        digest = hashlib.sha256(json.dumps([tool, args, *whose], sort_keys=True).encode()).hexdigest()
        named = json.dumps([tool, caller, key]) if caller else f"{tool} {key}"
        name = digest if key is None else named
        async with self._alone(name):
            now = time.time()
            kept = max(KEYS_KEPT, self._remember)
            await self._ledger.forget(digests_before=now - self._remember, keys_before=now - kept)
            entry = await self._ledger.find(self._scope, name)
            if entry is None:
                entry = Entry(scope=self._scope, key=name, digest=digest, stage="prepared", begun=now)
            elif entry.digest != digest:
                made = f" It made {entry.made}." if entry.made else ""
                raise TicketingError(f"This idempotency_key was used with other arguments.{made} Use a new key.")
            if entry.stage == "done":
                return Made(id=entry.made, new=False)
            begun = entry.stage == "begun"
            attempt = _Attempt(tool, self._tracker.preset.tools[tool], args, entry, recovering=begun)
            if begun and not attempt.effect.repeatable:
                return await self._look_up(attempt)
            return await self._carry_out(attempt)

    async def _carry_out(self, attempt: _Attempt) -> Made:
        async def before(step: Step) -> None:
            if step.effect:
                now = time.time()
                await self._write(attempt, stage="begun", sent=now)

        async def after(step: Step, taken: Mapping[str, Any]) -> None:
            if step.remember:
                await self._write(attempt, saved={**attempt.entry.saved, step.id: dict(taken)})

        steps = attempt.operation.steps
        end = steps.index(attempt.effect) + 1
        names = self._names(attempt) | {step: dict(taken) for step, taken in attempt.entry.saved.items()}
        try:
            names = await run_steps(self._tracker, steps[:end], names, before=before, after=after)
        except Refused as error:
            if _was_spent(attempt.effect, error):
                return await self._look_up(attempt)
            if not (attempt.recovering or error.doubtful):
                await self._ledger.drop(attempt.entry)
                raise
            raise self._unknown(attempt, str(error)) from error
        except OutcomeUnknown as error:
            if attempt.entry.stage == "begun":
                if not attempt.effect.repeatable:
                    return await self._look_up(attempt, str(error))
                raise self._unknown(attempt, str(error)) from error
            raise TicketingError(f"{error} Nothing was made yet: call {attempt.tool} again.") from error
        made = self._id_of(attempt, names)
        await self._finish(attempt, made)
        return Made(id=made, new=True, names=names)

    async def _look_up(self, attempt: _Attempt, trouble: str = "") -> Made:
        """Find out what became of a request whose answer was lost."""
        lookup = attempt.operation.lookup
        if lookup is None:
            raise self._unknown(attempt, trouble)
        try:
            names = await run_steps(self._tracker, lookup.steps, self._names(attempt))
        except TicketingError as error:
            raise self._unknown(attempt, f"{trouble} It could not be looked up: {error}") from error
        known = await self._ledger.made(self._scope)
        kind = self._mapper.ticket if attempt.tool == "open_ticket" else self._mapper.comment
        found: list[Json] = []
        for item in self._mapper.several(names, lookup.items):
            if lookup.skip_if and isinstance(item, Mapping) and lookup.skip_if in item:
                continue
            thing = kind(item, lookup.items)
            if thing["id"] not in known and self._same(thing, attempt):
                found.append(thing)
        if len(found) == 1:
            await self._finish(attempt, found[0]["id"])
            return Made(id=found[0]["id"], new=not attempt.recovering)
        if not found and lookup.settled_after and time.time() - attempt.entry.sent > lookup.settled_after:
            await self._ledger.drop(attempt.entry)
            fresh = replace(attempt.entry, stage="prepared", begun=time.time(), saved={})
            return await self._carry_out(replace(attempt, entry=fresh, recovering=False))
        ids = ", ".join(thing["id"] for thing in found)
        raise self._unknown(attempt, f"{trouble} It could be any of these: {ids}." if ids else trouble)

    async def _finish(self, attempt: _Attempt, made: str) -> None:
        try:
            await self._write(attempt, stage="done", made=made, saved={})
        except TicketingError as error:  # it was made: saying otherwise would make the model try again
            log.warning("%s was made, but that could not be recorded: %s", made, error)

    async def _write(self, attempt: _Attempt, **changes: Any) -> None:
        attempt.entry = replace(attempt.entry, **changes)
        await self._ledger.put(attempt.entry)

    def _names(self, attempt: _Attempt) -> Names:
        return {**self._tracker.names, "args": attempt.args, "begun": attempt.entry.begun - SKEW}

    def _id_of(self, attempt: _Attempt, names: Names) -> str:
        path = attempt.operation.result.id or ""
        found = find(names, path)
        if found is None:
            raise self._unknown(attempt, str(self._mapper.unexpected(path, "id")))
        return str(found)

    def _unknown(self, attempt: _Attempt, trouble: str) -> OutcomeUnknown:
        what = "ticket was opened" if attempt.tool == "open_ticket" else "comment was added"
        look = "search_tickets" if attempt.tool == "open_ticket" else "read_ticket"
        return OutcomeUnknown(
            f"Outcome unknown: the tracker may or may not have done it, so it is not certain that the {what}. "
            f"{trouble} Calling {attempt.tool} again with exactly the same arguments is safe: it finds out and makes "
            f"no second one. If {look} does not show it after some minutes, and only then, use a new idempotency_key."
        )

    def _same(self, thing: Json, attempt: _Attempt) -> bool:
        """Whether what was found is what was asked for: same texts, and not older than the first try."""
        preset = self._tracker.preset
        texts = ("title", "body") if attempt.tool == "open_ticket" else ("body",)
        for name in texts:
            comparable = attempt.tool == "add_comment" or getattr(preset.ticket, name) is not None
            if comparable and _plain(thing.get(name)) != _plain(attempt.args.get(name)):
                return False
        created = thing.get("created_at")
        try:
            return created is None or datetime.fromisoformat(created).timestamp() >= attempt.entry.begun - SKEW
        except ValueError:
            return True

    @asynccontextmanager
    async def _alone(self, key: str) -> AsyncIterator[None]:
        lock, users = self._locks.get(key, (anyio.Lock(), 0))
        self._locks[key] = (lock, users + 1)
        try:
            async with lock:
                yield
        finally:
            lock, users = self._locks.pop(key)
            if users > 1:
                self._locks[key] = (lock, users - 1)


def _was_spent(effect: Step, error: Refused) -> bool:
    spent = effect.spent
    return spent is not None and error.status == spent.status and bool(re.search(spent.reason, error.reason))


def _plain(text: str | None) -> str:
    return "\n".join((text or "").split("\r\n")).strip()
