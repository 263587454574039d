"""What is read from the database: plain functions of a connection, each done with it when it returns.

None of them writes. The several statements of one function see one state only inside `snapshot`.
"""

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from gateway.errors import NotFound
from gateway.items import Item, load
from gateway.ports import Conversation, StoredTurn
from gateway.stores._rows import TURN, load_conversation, load_turn

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
LISTED = f"""
with recursive {BRANCH},
listed(id, n) as (
    select items.id, min(items.n) from branch join items on items.turn = branch.n
    where items.hidden = 0 group by items.id
)
select items.n, items.body from listed join items on items.n = listed.n
"""
"""What a conversation lists, to be narrowed and ordered by `listed`. An item that a client sent again under the
same id is listed once, in its first place, so that a page can begin after any item."""


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


def turn(db: sqlite3.Connection, turn_id: str) -> StoredTurn:
    with snapshot(db):
        rows = db.execute(f"select {TURN} where turns.id = ? and turns.deleted = 0", (turn_id,)).fetchall()
        if not rows:
            raise no_turn(turn_id)
        return _turn(db, rows[0])


def unfinished(db: sqlite3.Connection) -> list[StoredTurn]:
    with snapshot(db):
        rows = db.execute(
            f"select {TURN} where turns.status = 'in_progress' and turns.deleted = 0 order by turns.n"
        ).fetchall()
        return [_turn(db, row) for row in rows]


def conversation(db: sqlite3.Connection, id: str) -> Conversation:
    rows = db.execute(CONVERSATION, (id,)).fetchall()
    if not rows:
        raise no_conversation(id)
    return load_conversation(rows[0])


def conversation_items(
    db: sqlite3.Connection, id: str, after: str | None, limit: int, newest_first: bool
) -> tuple[list[Item], bool]:
    """A page of the branch, and whether more follow. An unknown `after` is NotFound."""
    order, beyond = ("desc", "<") if newest_first else ("asc", ">")
    with snapshot(db):
        values: dict[str, object] = {"tip": _tip(db, id), "limit": limit + 1}
        place = ""
        if after is not None:
            values["after"] = _listed(db, values["tip"], after, "after")[0]
            place = f"where listed.n {beyond} :after"
        rows = db.execute(f"{LISTED} {place} order by listed.n {order} limit :limit", values).fetchall()
    return [load(body) for _, body in rows[:limit]], len(rows) > limit


def conversation_item(db: sqlite3.Connection, id: str, item_id: str) -> Item:
    with snapshot(db):
        return load(_listed(db, _tip(db, id), item_id)[1])


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


def no_item(id: str, param: str | None = None) -> NotFound:
    return NotFound(f"Item with id '{id}' not found.", param=param)


def _turn(db: sqlite3.Connection, row: Any) -> StoredTurn:
    n = row[-1]
    items = db.execute("select output, body from items where turn = ? order by n", (n,)).fetchall()
    intents = db.execute("select call_id from intents where turn = ?", (n,)).fetchall()
    return load_turn(row, items, frozenset(call_id for (call_id,) in intents))


def _tip(db: sqlite3.Connection, conversation: str) -> int | None:
    rows = db.execute("select newest from conversations where id = ?", (conversation,)).fetchall()
    if not rows:
        raise no_conversation(conversation)
    return rows[0][0]


def _listed(db: sqlite3.Connection, tip: object, item_id: str, param: str | None = None) -> tuple[int, str]:
    """An item's n and body. Raises NotFound."""
    rows = db.execute(f"{LISTED} where listed.id = :item", {"tip": tip, "item": item_id}).fetchall()
    if not rows:
        raise no_item(item_id, param)
    return rows[0]
