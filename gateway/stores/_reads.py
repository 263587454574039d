"""What is read from the database: plain functions of a connection, each done with it when it returns.

None of them writes. The several statements of one function see one state only inside `snapshot`.
"""

import logging
import sqlite3
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from gateway.errors import InvalidRequest, NotFound
from gateway.items import IdempotencyKey, Item, StoredApproval, load
from gateway.storage import Conversation, StoredTurn
from gateway.stores._rows import APPROVAL, TURN, load_approval, load_conversation, load_turn

logger = logging.getLogger(__name__)

BRANCH = """
branch(n, parent) as (
    select n, parent from turns where n = :tip
    union all
    select turns.n, turns.parent from turns join branch on turns.n = branch.parent
)
"""
"""The turn :tip and all it continues."""
CONVERSATION = """
select conversations.id, conversations.created_at, metadata, turns.id, conversations.owner
from conversations left join turns on turns.n = conversations.newest where conversations.id = ?
"""
HISTORY = f"""
with recursive {BRANCH}
select items.body from branch join items on items.turn = branch.n where items.hidden = 0 order by items.n
"""
OUTLINE = f"""
with recursive {BRANCH}
select items.n, items.id, items.output, body ->> '$.kind', body ->> '$.call_id', body ->> '$.server'
from branch join items on items.turn = branch.n where items.hidden = 0 order by items.n
"""
"""What `entries` reads of a conversation."""
ANSWERED = "turns.deleted = 0 and turns.stored = 1 and turns.status in ('completed', 'incomplete', 'paused')"
LISTED = f"""
select {TURN} where turns.owner = :owner and turns.id >= :kind and turns.id < :beyond and {ANSWERED}
and (:agent = '' or agents.body ->> '$.name' = :agent)
and not exists (
    select 1 from json_each(:metadata) as wanted where not exists (
        select 1 from json_each(turns.request, '$.wire.metadata') as kept
        where kept.key = wanted.key and kept.value = wanted.value
    )
)
"""
ITEMS = "select output, body from items where turn = ? order by n"
OUTPUT = "select output, body from items where turn = ? and output = 1 order by n"
SAME = 64
"""Turns of one digest that are looked at: many conversations may begin with the same word."""


BY_ID = """
select items.n, items.turn, body ->> '$.call_id', body ->> '$.server' from items join turns on turns.n = items.turn
where items.id = ? and items.hidden = 0 and turns.owner = ? and turns.deleted = 0 order by items.n desc limit 1
"""
RESULT = """
select n from items where turn = ? and n > ? and body ->> '$.kind' = 'tool_result' and body ->> '$.call_id' = ? limit 1
"""
APPROVALS = f"""
select {APPROVAL} where approvals.owner = :owner and asking.deleted = 0 and approvals.id >= :first
and approvals.id < :last{{}}
order by approvals.rowid {{order}} limit :limit
"""
"""Not by the turn: a question that is asked again keeps its place."""
PLACE = """
select approvals.rowid from approvals join turns as asking on asking.n = approvals.turn
where approvals.id = ? and approvals.owner = ? and asking.deleted = 0
"""


@dataclass(slots=True)
class Entry:
    """A line of a conversation's listing: an item, and the result if it is a call of the gateway's. Both by their n."""

    n: int
    ours: bool
    result: int | None = None


def history(db: sqlite3.Connection, turn_id: str) -> tuple[list[Item], int]:
    """The items of the branch that ends in this turn, and their size in characters. Raises NotFound."""
    with snapshot(db):
        # A run whose turn is deleted meanwhile still reads what it goes on from.
        rows = db.execute(
            "select n from turns where id = ? and (deleted = 0 or status = 'in_progress')", (turn_id,)
        ).fetchall()
        if not rows:
            raise no_turn(turn_id)
        bodies = db.execute(HISTORY, {"tip": rows[0][0]}).fetchall()
    return [load(body) for (body,) in bodies], sum(len(body) for (body,) in bodies)


def owner(db: sqlite3.Connection, turn_id: str) -> str:
    rows = db.execute("select owner from turns where id = ? and deleted = 0", (turn_id,)).fetchall()
    if not rows:
        raise no_turn(turn_id)
    return rows[0][0]


def log(db: sqlite3.Connection, turn_id: str) -> bytes:
    rows = db.execute("select log from turns where id = ? and deleted = 0", (turn_id,)).fetchall()
    if not rows:
        raise no_turn(turn_id)
    return rows[0][0] or b""


def turn(db: sqlite3.Connection, turn_id: str) -> StoredTurn:
    with snapshot(db):
        rows = db.execute(f"select {TURN} where turns.id = ? and turns.deleted = 0", (turn_id,)).fetchall()
        if not rows:
            raise no_turn(turn_id)
        return _turn(db, rows[0])


def turns(
    db: sqlite3.Connection,
    owner: str,
    kind: str,
    after: str | None,
    before: str | None,
    limit: int,
    newest_first: bool,
    agent: str,
    metadata: str,
) -> tuple[list[StoredTurn], bool]:
    """`metadata` is a JSON object."""
    asked = {"owner": owner, "kind": kind, "beyond": kind[:-1] + chr(ord(kind[-1]) + 1), "agent": agent}
    with snapshot(db):
        ends = _ends(db, "select n from turns where id = ? and owner = ?", owner, after, before)
        place, order = _stretch("turns.n", *ends, newest_first=newest_first)
        rows = db.execute(
            f"{LISTED} {place} order by turns.n {order} limit :limit",
            {**asked, "metadata": metadata, "limit": limit + 1},
        ).fetchall()
        page = [_turn(db, row, OUTPUT) for row in rows[:limit]]
        return page[::-1] if before and not after else page, len(rows) > limit


def by_digest(db: sqlite3.Connection, owner: str, digests: Sequence[str]) -> list[tuple[str, str]]:
    same = f"select id from turns where owner = ? and digest = ? and {ANSWERED} order by n desc limit {SAME}"
    return [(digest, id) for digest in digests for (id,) in db.execute(same, (owner, digest))]


def unfinished(db: sqlite3.Connection) -> tuple[list[StoredTurn], list[str]]:
    """The turns without an end, and the ids of those that cannot be read."""
    turns: list[StoredTurn] = []
    broken: list[str] = []
    with snapshot(db):
        rows = db.execute(
            f"select {TURN} where turns.status = 'in_progress' and turns.deleted = 0 order by turns.n"
        ).fetchall()
        for row in rows:
            try:
                turns.append(_turn(db, row))
            except (ValueError, KeyError, TypeError):
                logger.exception("turn %s cannot be read", row[0])
                broken.append(row[0])
    return turns, broken


@dataclass(frozen=True, slots=True)
class ApprovalQuery:
    """See `storage.Store.approvals`."""

    owner: str
    begins: str
    open_at: float | None
    limit: int
    after: str | None
    before: str | None
    newest_first: bool


def approvals(db: sqlite3.Connection, asked: ApprovalQuery) -> list[StoredApproval]:
    named: dict[str, Any] = {"owner": asked.owner, "first": asked.begins, "last": asked.begins + "\U0010ffff"}
    named |= {"open_at": asked.open_at, "limit": asked.limit}
    only = "" if asked.open_at is None else " and approvals.approved is null and approvals.expires_at > :open_at"
    with snapshot(db):
        ends = _ends(db, PLACE, asked.owner, asked.after, asked.before)
        place, order = _stretch("approvals.rowid", *ends, newest_first=asked.newest_first)
        rows = db.execute(APPROVALS.format(only + place, order=order), named).fetchall()
    found = [load_approval(row) for row in rows]
    return found[::-1] if asked.before and not asked.after else found


def made_with(db: sqlite3.Connection, key: IdempotencyKey, owner: str, since: float) -> tuple[str, str] | None:
    sql = "select digest, made from keys where owner = ? and operation = ? and value = ? and created_at >= ?"
    return next(iter(db.execute(sql, (owner, key.operation, key.value, since)).fetchall()), None)


def conversation(db: sqlite3.Connection, id: str) -> Conversation:
    rows = db.execute(CONVERSATION, (id,)).fetchall()
    if not rows:
        raise no_conversation(id)
    return load_conversation(rows[0])


def conversation_items(
    db: sqlite3.Connection, id: str, after: str | None, before: str | None, limit: int, newest_first: bool
) -> tuple[list[Item], bool]:
    """A page of the branch, and whether there are more. An unknown `after` or `before` is NotFound."""
    with snapshot(db):
        listed = entries(db, _tip(db, id))
        for end, param in ((after, "after"), (before, "before")):
            if end is not None and end not in listed:
                raise no_item(end, param)
        ids = list(reversed(listed)) if newest_first else list(listed)
        between = ids[ids.index(after) + 1 if after else 0 : ids.index(before) if before else None]
        page = between[-limit:] if before and not after else between[:limit]
        return _items(db, [listed[entry] for entry in page]), len(between) > limit


def conversation_item(db: sqlite3.Connection, id: str, item_id: str) -> list[Item]:
    with snapshot(db):
        listed = entries(db, _tip(db, id))
        if item_id not in listed:
            raise no_item(item_id)
        return _items(db, [listed[item_id]])


def items(db: sqlite3.Connection, ids: Sequence[str], owner: str) -> dict[str, list[Item]]:
    """See `storage.Store.items`."""
    with snapshot(db):
        found: dict[str, list[Item]] = {}
        for id in ids:
            for n, turn, call_id, server in db.execute(BY_ID, (id, owner)).fetchall():
                entry = Entry(n, bool(server))
                if server:
                    rows = db.execute(RESULT, (turn, n, call_id)).fetchall()
                    entry.result = rows[0][0] if rows else None
                found[id] = _items(db, [entry])
        return found


def entries(db: sqlite3.Connection, tip: int | None) -> dict[str, Entry]:
    """What a conversation lists, oldest first, by id. See `storage.Store.conversation_items`.

    An item that a client sent again under the same id is listed once, in its first place, so that a page can begin
    after any entry. A call that a person is asked about is listed where its result comes: until then it is a request.
    """
    listed: dict[str, Entry] = {}
    calls: dict[str, tuple[str, Entry]] = {}
    for n, id, output, kind, call_id, server in db.execute(OUTLINE, {"tip": tip}):
        if kind == "tool_result" and call_id in calls and (calls[call_id][1].ours or output):
            named, call = calls[call_id]
            call.result = call.result or (n if call.ours else None)
            listed.setdefault(named, call)
            continue
        if kind == "approval_request" and call_id in calls:
            named, call = calls[call_id]
            if call.result is None:
                listed.pop(named, None)
        # The server of a request is that of its call, which is an entry of its own.
        entry = listed.setdefault(id, Entry(n, bool(server) and kind == "tool_call"))
        if kind == "tool_call":
            calls[call_id] = id, entry
    return listed


@contextmanager
def snapshot(db: sqlite3.Connection) -> Generator[None]:
    """One state of the database for several statements."""
    db.execute("begin")
    try:
        yield
    finally:
        db.execute("rollback")


def no_turn(id: str) -> NotFound:
    return NotFound(f"Response with id '{id}' not found.")


def no_conversation(id: str) -> NotFound:
    return NotFound(f"Conversation with id '{id}' not found.")


def no_approval(id: str) -> InvalidRequest:
    return InvalidRequest(f"Approval request with id '{id}' not found.", param="input", code="approval_not_found")


def no_item(id: str, param: str | None = None) -> NotFound:
    return NotFound(f"Item with id '{id}' not found.", param=param)


def _ends(
    db: sqlite3.Connection, place: str, owner: str, after: str | None, before: str | None
) -> tuple[int | None, int | None]:
    """The numbers of the rows that a page lies between, by the statement `place`. Raises NotFound."""
    found: list[int | None] = []
    for id, param in ((after, "after"), (before, "before")):
        rows = db.execute(place, (id, owner)).fetchall() if id else [(None,)]
        if not rows:
            raise NotFound(f"'{id}' not found.", param=param)
        found.append(rows[0][0])
    return found[0], found[1]


def _stretch(column: str, after: int | None, before: int | None, *, newest_first: bool) -> tuple[str, str]:
    """The condition for the rows between these two, and the order to read them in.

    With `before` alone those right before it are wanted: they are read from there on, and so the wrong way round.
    """
    onwards, back = ("<", ">") if newest_first else (">", "<")
    bounds = [(onwards, after), (back, before)]
    where = "".join(f" and {column} {sign} {row}" for sign, row in bounds if row is not None)
    backwards = before is not None and after is None
    return where, "desc" if newest_first != backwards else "asc"


def _turn(db: sqlite3.Connection, row: Any, items_of: str = ITEMS) -> StoredTurn:
    n = row[-1]
    items = db.execute(items_of, (n,)).fetchall()
    intents = db.execute("select call_id from intents where turn = ?", (n,)).fetchall()
    return load_turn(row, items, frozenset(call_id for (call_id,) in intents))


def _tip(db: sqlite3.Connection, conversation: str) -> int | None:
    rows = db.execute("select newest from conversations where id = ?", (conversation,)).fetchall()
    if not rows:
        raise no_conversation(conversation)
    return rows[0][0]


def _items(db: sqlite3.Connection, listed: Sequence[Entry]) -> list[Item]:
    """The items of these entries, each result behind its call."""
    wanted = [n for entry in listed for n in (entry.n, entry.result) if n is not None]
    marks = ",".join("?" * len(wanted))
    bodies = dict(db.execute(f"select n, body from items where n in ({marks})", wanted).fetchall())
    return [load(bodies[n]) for n in wanted]
