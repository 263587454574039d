"""The table of what waits for a turn that continues another. See `gateway/steers.py`."""

import sqlite3
from collections.abc import Collection, Sequence
from itertools import groupby

from gateway.items import load
from gateway.steers import Steer, SteersTaken
from gateway.stores._reads import no_turn

WAITING = """
select steers.id, body from turns join steers on turn = turns.n
where turns.id = ? and told_in is null order by steers.n
"""


def keep(db: sqlite3.Connection, id: str, turn_id: str, bodies: Sequence[str]) -> None:
    turn = _turn(db, turn_id)
    db.executemany("insert into steers (id, turn, body) values (?, ?, ?)", [(id, turn, body) for body in bodies])


def steers(db: sqlite3.Connection, turn_id: str) -> list[Steer]:
    rows = db.execute(WAITING, (turn_id,)).fetchall()
    return [
        Steer(id=id, turn=turn_id, items=tuple(load(body) for _, body in items))
        for id, items in groupby(rows, key=lambda row: row[0])
    ]


def steered(db: sqlite3.Connection) -> set[str]:
    """The turns that something waits for."""
    rows = db.execute("select id from turns where n in (select turn from steers where told_in is null)").fetchall()
    return {id for (id,) in rows}


def recover(db: sqlite3.Connection) -> None:
    """What was told in turns that were not stored waits again: they ended with the process."""
    running = "select id from turns where status = 'in_progress'"
    db.execute(f"update steers set told_in = null where told_in is not null and told_in not in ({running})")


def tell(db: sqlite3.Connection, turn_id: str, ids: Collection[str], teller: str) -> tuple[list[str], bool]:
    """Those that waited, and whether others still do."""
    turn = _turn(db, turn_id)
    return _told(db, turn, ids, teller), waits(db, turn)


def settle(db: sqlite3.Connection, teller: str, failed: bool) -> list[str]:
    """What was told in this turn has gone, or waits again. The turns that it waits for."""
    if not failed:
        db.execute("delete from steers where told_in = ?", (teller,))
        return []
    rows = db.execute("update steers set told_in = null where told_in = ? returning turn", (teller,)).fetchall()
    return [db.execute("select id from turns where n = ?", turn).fetchone()[0] for turn in set(rows)]


def drop(db: sqlite3.Connection, turn_id: str, ids: Collection[str]) -> tuple[list[str], bool]:
    """Those that waited, and whether others still do."""
    turn = _turn(db, turn_id)
    return _gone(db, turn, ids), waits(db, turn)


def use(
    db: sqlite3.Connection,
    parent: int | None,
    told: Collection[str],
    passed_on: Collection[str],
    turn: int | None,
    turn_id: str,
) -> None:
    """Note what of all that waits for its parent is told in this turn, and let the rest wait for the turn itself."""
    move = "update steers set turn = ? where turn = ? and id = ? and told_in is null"
    moved = [db.execute(move, (turn, parent, id)).rowcount for id in passed_on]
    if len(_told(db, parent, told, turn_id)) < len(told) or not all(moved):
        raise SteersTaken


def waits(db: sqlite3.Connection, turn: int | None) -> bool:
    """Whether something waits for this turn."""
    return bool(db.execute("select 1 from steers where turn = ? and told_in is null limit 1", (turn,)).fetchall())


def forget(db: sqlite3.Connection, turn: int) -> None:
    db.execute("delete from steers where turn = ?", (turn,))


def _turn(db: sqlite3.Connection, turn_id: str) -> int:
    rows = db.execute("select n from turns where id = ? and deleted = 0", (turn_id,)).fetchall()
    if not rows:
        raise no_turn(turn_id)
    return rows[0][0]


def _gone(db: sqlite3.Connection, turn: int | None, ids: Collection[str]) -> list[str]:
    delete = "delete from steers where turn = ? and id = ? and told_in is null"
    return [id for id in ids if db.execute(delete, (turn, id)).rowcount]


def _told(db: sqlite3.Connection, turn: int | None, ids: Collection[str], teller: str) -> list[str]:
    tell = "update steers set told_in = ? where turn = ? and id = ? and told_in is null"
    return [id for id in ids if db.execute(tell, (teller, turn, id)).rowcount]
