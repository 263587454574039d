"""The table of what waits for a turn that continues another. See `gateway/steers.py`."""

import sqlite3
from collections.abc import Collection, Sequence
from itertools import groupby

from gateway.items import load
from gateway.steers import Steer, SteersTaken
from gateway.stores._reads import no_turn


def keep(db: sqlite3.Connection, id: str, turn_id: str, bodies: Sequence[str]) -> None:
    turn = _turn(db, turn_id)
    db.executemany("insert into steers (id, turn, body) values (?, ?, ?)", [(id, turn, body) for body in bodies])


def steers(db: sqlite3.Connection, turn_id: str) -> list[Steer]:
    rows = db.execute(
        "select steers.id, body from turns join steers on turn = turns.n where turns.id = ? order by steers.n",
        (turn_id,),
    ).fetchall()
    return [
        Steer(id=id, turn=turn_id, items=tuple(load(body) for _, body in items))
        for id, items in groupby(rows, key=lambda row: row[0])
    ]


def steered(db: sqlite3.Connection) -> set[str]:
    """The turns that something waits for."""
    rows = db.execute("select id from turns where n in (select turn from steers)").fetchall()
    return {id for (id,) in rows}


def drop(db: sqlite3.Connection, turn_id: str, ids: Collection[str]) -> tuple[list[str], bool]:
    """Those that were there, and whether others still are."""
    turn = _turn(db, turn_id)
    return _gone(db, turn, ids), _any(db, turn)


def use(
    db: sqlite3.Connection, parent: int | None, told: Collection[str], passed_on: Collection[str], turn: int | None
) -> bool:
    """Remove what was told in this turn from what waits for its parent, and let the rest wait for the turn itself.
    Whether something still waits for the parent."""
    moved = [
        db.execute("update steers set turn = ? where turn = ? and id = ?", (turn, parent, id)).rowcount
        for id in passed_on
    ]
    if len(_gone(db, parent, told)) < len(told) or not all(moved):
        raise SteersTaken
    return _any(db, parent)


def forget(db: sqlite3.Connection, turn: int) -> None:
    db.execute("delete from steers where turn = ?", (turn,))


def _turn(db: sqlite3.Connection, turn_id: str) -> int:
    rows = db.execute("select n from turns where id = ? and deleted = 0", (turn_id,)).fetchall()
    if not rows:
        raise no_turn(turn_id)
    return rows[0][0]


def _gone(db: sqlite3.Connection, turn: int | None, ids: Collection[str]) -> list[str]:
    delete = "delete from steers where turn = ? and id = ?"
    return [id for id in ids if db.execute(delete, (turn, id)).rowcount]


def _any(db: sqlite3.Connection, turn: int | None) -> bool:
    return bool(db.execute("select 1 from steers where turn = ? limit 1", (turn,)).fetchall())
