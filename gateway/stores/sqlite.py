"""Turns, items and conversations in one SQLite file. Not for several processes: a second one is refused.

One thread writes, many operations to a commit, and a call returns only after its COMMIT (`_writer.py`); reads go
to read-only connections (`_readers.py`); the conversations and the histories of the branches in use are kept in memory
(`_conversations.py`, `_histories.py`).
"""

import os
import sqlite3
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

from gateway.errors import GatewayError, StorageFull
from gateway.items import Answer, IdempotencyKey, Item, StoredApproval
from gateway.model_requests import Requests
from gateway.ports import Turn
from gateway.steers import Steer
from gateway.storage import Conversation, StoredTurn, TurnEnd
from gateway.stores import _reads, _requests, _steers, _writes
from gateway.stores._agents import AgentKeys
from gateway.stores._conversations import Conversations
from gateway.stores._histories import Histories
from gateway.stores._lock import lock
from gateway.stores._readers import Readers
from gateway.stores._requests import Bodies
from gateway.stores._rows import dump_end, dump_items, dump_request, dump_requests, to_json
from gateway.stores._writer import Writer

SCHEME = "sqlite:///"


class SQLiteStore:
    """`storage.Store` at `sqlite:////absolute/path.db` or `sqlite:///relative/path.db`.

    Entering creates the file and its folder if need be and brings the schema up to date. It raises ValueError
    when another process has the database open or a newer Homeport has written it, StorageFull when it cannot
    be opened. A call that is cancelled while it waits may still have been stored.

    Beyond the port: a turn whose parent has not ended raises ConversationLocked; ending a turn twice, or using
    an id twice, raises ValueError; deleting a tool call or its result from a conversation hides both.
    """

    def __init__(self, url: str) -> None:
        path = url.removeprefix(SCHEME)
        if path == url or not path or path.startswith(":"):
            raise ValueError(
                f"'{url}' is not a SQLite URL: write sqlite:////absolute/path.db or sqlite:///relative.db."
            )
        self._path = Path(path).absolute()
        self._histories = Histories()
        self._bodies = Bodies()
        self._conversations = Conversations()
        self._agents = AgentKeys()
        self._steered: set[str] = set()
        self._telling: set[str] = set()

    async def __aenter__(self) -> Self:
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = lock(self._path.with_name(self._path.name + ".lock"))
        except OSError as error:
            raise StorageFull(f"The database {self._path} cannot be opened: {error}") from error
        try:
            self._writer = Writer(self._path)
            await self._writer.start()
            self._readers = Readers(self._path)
            try:
                await self._writer.write(_steers.recover)
                self._steered = await self._readers.read(_steers.steered)
            except BaseException:
                await self._readers.close()
                raise
        except BaseException:
            await self._writer.stop()
            os.close(self._lock)
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        # The writer closes last: the last connection to close empties the log, and a reader may not.
        await self._readers.close()
        await self._writer.stop()
        os.close(self._lock)

    async def begin(
        self,
        turn: Turn,
        end: TurnEnd | None = None,
        *,
        output: Sequence[Item] = (),
        answers: Sequence[Answer] = (),
        told: Collection[str] = (),
        passed_on: Collection[str] = (),
    ) -> None:
        rows, size = dump_items(turn.input)
        added, more = dump_items(output)
        operation = partial(
            _writes.begin,
            turn=turn,
            agent=self._agents.of(turn.agent),
            request=dump_request(turn),
            items=rows,
            output=added,
            requests=dump_requests(output),
            over=None if end is None else (end, dump_end(end)),
            answers=answers,
            told=told,
            passed_on=passed_on,
        )

        def committed(outcome: tuple[bool, list[str]]) -> None:
            more_wait, again = outcome
            self._histories.begun(turn.id, turn.parent, [*turn.input, *output], size + more)
            self._bodies.begun(turn.id, turn.parent)
            if turn.conversation is not None:
                self._conversations.moved(turn.conversation, turn.id)
            if (told or passed_on) and not more_wait:
                self._steered.discard(turn.parent or "")
            if passed_on:
                self._steered.add(turn.id)
            self._steered.update(again)

        await self._writer.write(operation, committed)

    async def append(self, turn_id: str, *items: Item, begun: Sequence[str] = (), requests: Requests = ()) -> None:
        rows, size = dump_items(items)
        asked, sent = dump_requests(items), await self._bodies.packed(turn_id, requests)
        operation = partial(_writes.append, turn_id=turn_id, items=rows, requests=asked, begun=begun, sent=sent)

        def committed(ns: list[int]) -> None:
            self._histories.added(turn_id, items, size)
            self._bodies.stored(turn_id, requests, sent, ns)

        await self._writer.write(operation, committed)

    async def end(self, turn_id: str, end: TurnEnd, *items: Item, log: bytes = b"", requests: Requests = ()) -> None:
        rows, size = dump_items(items)
        asked, ending, sent = dump_requests(items), dump_end(end), await self._bodies.packed(turn_id, requests)
        operation = partial(
            _writes.end, turn_id=turn_id, end=end, ending=ending, items=rows, requests=asked, log=log, sent=sent
        )

        def committed(outcome: tuple[bool, list[int], list[str]]) -> None:
            deleted, ns, again = outcome
            self._histories.added(turn_id, items, size)
            self._bodies.stored(turn_id, requests, sent, ns)
            self._steered.update(again)
            if deleted:
                self._histories.forget(turn_id)

        await self._writer.write(operation, committed)

    async def log(self, turn_id: str) -> bytes:
        return await self._readers.read(partial(_reads.log, turn_id=turn_id))

    async def requests(self, turn_id: str) -> Requests:
        return await self._readers.read(partial(_requests.requests, turn_id=turn_id))

    async def history(self, turn_id: str) -> list[Item]:
        """As the port says; NotFound for an unknown turn and for a deleted one that has ended."""
        cached = self._histories.get(turn_id)
        if cached is not None:
            return cached
        token = self._histories.reading(turn_id)
        items: list[Item] = []
        size = 0
        try:
            items, size = await self._readers.read(partial(_reads.history, turn_id=turn_id))
        finally:
            self._histories.read(turn_id, token, items, size)
        return items

    async def owner(self, turn_id: str) -> str:
        return self._readers.read_here(partial(_reads.owner, turn_id=turn_id))

    async def get(self, turn_id: str) -> StoredTurn:
        """Sequences come back as tuples, whatever was given."""
        return await self._readers.read(partial(_reads.turn, turn_id=turn_id))

    async def turns(
        self,
        owner: str,
        kind: str,
        *,
        after: str | None,
        before: str | None = None,
        limit: int,
        newest_first: bool,
        agent: str,
        metadata: Mapping[str, str],
    ) -> tuple[list[StoredTurn], bool]:
        return await self._readers.read(
            partial(
                _reads.turns,
                owner=owner,
                kind=kind,
                after=after,
                before=before,
                limit=limit,
                newest_first=newest_first,
                agent=agent,
                metadata=to_json(metadata),
            )
        )

    async def by_digest(self, owner: str, digests: Sequence[str]) -> list[tuple[str, str]]:
        return await self._readers.read(partial(_reads.by_digest, owner=owner, digests=digests))

    async def rewire(self, turn_id: str, wire: Mapping[str, Any]) -> None:
        await self._writer.write(partial(_writes.rewire, turn_id=turn_id, wire=to_json(wire)))

    async def items(self, ids: Collection[str], owner: str) -> dict[str, list[Item]]:
        return await self._readers.read(partial(_reads.items, ids=tuple(ids), owner=owner))

    async def delete(self, turn_id: str) -> None:
        def committed(_: None) -> None:
            self._histories.forget(turn_id)
            self._steered.discard(turn_id)

        await self._writer.write(partial(_writes.delete, turn_id=turn_id), committed)

    async def keep_steer(self, steer: Steer) -> None:
        rows, _ = dump_items(steer.items)
        keep = partial(_steers.keep, id=steer.id, turn_id=steer.turn, bodies=[body for _, body in rows])
        await self._writer.write(keep, lambda _: self._steered.add(steer.turn))

    async def steers(self, turn_id: str) -> Sequence[Steer]:
        if turn_id not in self._steered:
            return ()
        return await self._readers.read(partial(_steers.steers, turn_id=turn_id))

    async def tell_steers(self, turn_id: str, ids: Collection[str], teller: str) -> Collection[str]:
        # First, as whoever stops waiting for this may end it.
        self._telling.add(teller)
        return await self._take(turn_id, partial(_steers.tell, turn_id=turn_id, ids=tuple(ids), teller=teller))

    async def end_telling(self, teller: str, *, failed: bool) -> None:
        if teller in self._telling:
            settle = partial(_steers.settle, teller=teller, failed=failed)
            await self._writer.write(settle, self._steered.update)
            self._telling.discard(teller)

    async def drop_steers(self, turn_id: str, ids: Collection[str]) -> Collection[str]:
        return await self._take(turn_id, partial(_steers.drop, turn_id=turn_id, ids=tuple(ids)))

    async def _take(
        self, turn_id: str, take: Callable[[sqlite3.Connection], tuple[list[str], bool]]
    ) -> Collection[str]:
        def committed(outcome: tuple[list[str], bool]) -> None:
            if not outcome[1]:
                self._steered.discard(turn_id)

        taken, _ = await self._writer.write(take, committed)
        return taken

    async def unfinished(self) -> list[StoredTurn]:
        """As the port says. One that cannot be read back, on a damaged disk perhaps, is ended as failed."""
        turns, broken = await self._readers.read(_reads.unfinished)
        for id in broken:
            await self.end(id, TurnEnd(status="failed", error=GatewayError(), ended_at=time.time()))
        return turns

    async def approvals(
        self,
        owner: str,
        *,
        begins: str = "",
        open_at: float | None = None,
        limit: int = 1,
        after: str | None = None,
        before: str | None = None,
        newest_first: bool = True,
    ) -> list[StoredApproval]:
        asked = _reads.ApprovalQuery(owner, begins, open_at, limit, after, before, newest_first)
        return await self._readers.read(partial(_reads.approvals, asked=asked))

    async def made_with(self, key: IdempotencyKey, owner: str, now: float) -> tuple[str, str] | None:
        read = partial(_reads.made_with, key=key, owner=owner, since=now - _writes.KEPT)
        return self._readers.read_here(read)

    async def create_conversation(self, conversation: Conversation, key: IdempotencyKey | None = None) -> None:
        metadata = to_json(conversation.metadata)
        create = partial(_writes.create_conversation, conversation=conversation, metadata=metadata, key=key)
        await self._writer.write(create, lambda _: self._conversations.put(conversation))

    async def conversation(self, id: str) -> Conversation:
        known = self._conversations.get(id)
        if known is None:
            known = self._readers.read_here(partial(_reads.conversation, id=id))
            self._conversations.put(known)
        return known

    async def update_conversation(self, id: str, metadata: Mapping[str, str]) -> Conversation:
        update = partial(_writes.update_conversation, id=id, metadata=to_json(metadata))
        return await self._writer.write(update, self._conversations.put)

    async def delete_conversation(self, id: str) -> None:
        await self._writer.write(partial(_writes.delete_conversation, id=id), lambda _: self._conversations.forget(id))

    async def conversation_items(
        self, id: str, *, after: str | None, before: str | None = None, limit: int, newest_first: bool
    ) -> tuple[list[Item], bool]:
        """`after` and `before` are entries' ids; an unknown one is NotFound."""
        page = partial(_reads.conversation_items, id=id, after=after, before=before)
        return await self._readers.read(partial(page, limit=limit, newest_first=newest_first))

    async def conversation_item(self, id: str, item_id: str) -> list[Item]:
        return await self._readers.read(partial(_reads.conversation_item, id=id, item_id=item_id))

    async def delete_conversation_item(self, id: str, item_id: str) -> None:
        """The item, and its other half if it is a tool call or result, leaves the conversation and its history."""
        await self._writer.write(
            partial(_writes.delete_conversation_item, id=id, item_id=item_id), lambda _: self._histories.clear()
        )
