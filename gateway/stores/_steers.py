"""The table of what waits for the next request that continues a turn. See `gateway/steers.py`."""

import sqlite3
from collections.abc import Sequence

import orjson

from gateway.steers import Steer


def keep(db: sqlite3.Connection, steer: Steer, input: str) -> None:
    db.execute(
        "insert or replace into steers (id, turn, input) values (?, ?, ?)",
        (steer.id, steer.previous_response_id, input),
    )


def steers(db: sqlite3.Connection, turn_id: str) -> list[Steer]:
    rows = db.execute("select id, input from steers where turn = ? order by rowid", (turn_id,)).fetchall()
    return [Steer(id=id, previous_response_id=turn_id, input=orjson.loads(input)) for id, input in rows]


def steered(db: sqlite3.Connection) -> set[str]:
    """The turns that something waits for."""
    return {turn for (turn,) in db.execute("select distinct turn from steers").fetchall()}


def drop(db: sqlite3.Connection, ids: Sequence[str]) -> set[str]:
    """What `steered` is afterwards."""
    db.executemany("delete from steers where id = ?", [(id,) for id in ids])
    return steered(db)


def forget(db: sqlite3.Connection, turn_id: str) -> None:
    db.execute("delete from steers where turn = ?", (turn_id,))
