"""Agents as rows, one for each that a turn was asked of; it goes with the last of its turns."""

import hashlib
import sqlite3
import weakref

from gateway.agents.spec import AgentSpec
from gateway.stores._rows import to_json


class AgentKeys:
    """The keys of the agents that somebody holds. A catalog's are asked again and again, and are not read each time."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[weakref.ref[AgentSpec], str]] = {}

    def of(self, agent: AgentSpec) -> str:
        """sha256 of the row's body: unlike `agent.digest` it covers the name. Raises InvalidRequest like `to_json`."""
        place = id(agent)
        if known := self._known.get(place):
            return known[1]
        key = hashlib.sha256(to_json(agent).encode()).hexdigest()
        # It is let go of before another object can have its identity.
        self._known[place] = weakref.ref(agent, lambda _: self._known.pop(place)), key
        return key


def keep(db: sqlite3.Connection, key: str, agent: AgentSpec) -> None:
    if db.execute("select 1 from agents where key = ?", (key,)).fetchone() is None:
        db.execute("insert into agents (key, body) values (?, ?)", (key, to_json(agent)))


def let_go(db: sqlite3.Connection, key: str) -> None:
    """A turn with this agent was removed: what a request has put into its prompt shall not outlive it."""
    db.execute(
        "delete from agents where key = :key and not exists (select 1 from turns where agent = :key)", {"key": key}
    )
