"""What the writer does to the database: plain functions of its connection, each run inside a transaction.

They may be run twice (see `_writer.py`), and check before they write.
"""

import sqlite3
from collections.abc import Collection, Sequence

from gateway.errors import ConversationLocked, InvalidRequest, NotFound
from gateway.items import Answer, IdempotencyKey
from gateway.ports import Turn
from gateway.storage import Conversation, TurnEnd
from gateway.stores import _agents, _requests, _steers
from gateway.stores._reads import BRANCH, CONVERSATION, no_approval, no_conversation, no_item, no_turn
from gateway.stores._rows import load_conversation

BEGIN = """
insert into turns (id, parent, conversation, agent, owner, created_at, request, digest, stored)
values (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
END = """
update turns set status = ?, ended_at = ?, ending = ?, log = ? where id = ? and status = 'in_progress'
returning n, deleted, exists (select 1 from steers where told_in = turns.id)
"""
ADD = "insert into items (turn, id, output, body) values (?, ?, ?, ?)"
ASK = """
insert into approvals (id, expires_at, body, turn, owner) select ?, ?, ?, n, owner from turns where n = ?
on conflict (id) do update set turn = excluded.turn where approved is null
"""
ANSWER = """
update approvals set approved = ?, reason = ?, answered_at = ?, answer = ?
where id = ? and owner = ? and approved is null and expires_at > ?
and exists (select 1 from turns where n = approvals.turn and deleted = 0)
"""
ANSWERED = """
select approved from approvals join turns on turns.n = approvals.turn
where approvals.id = ? and approvals.owner = ? and turns.deleted = 0
"""
FORGOTTEN = """
select n from turns where stored = 0 and deleted = 0 and status <> 'in_progress'
and not exists (select 1 from approvals where approvals.turn = turns.n and approvals.expires_at > ?) order by n desc
"""
REMEMBERED = 86400.0
"""Seconds for which an approval request of a turn that is not `Turn.stored` is kept after it expired."""
KEPT = 86400.0
"""Seconds for which it is known what was made with an idempotency key."""
MADE = "insert or replace into keys (owner, operation, value, digest, made, created_at) values (?, ?, ?, ?, ?, ?)"
PURGEABLE = """
select parent from turns where n = ? and deleted = 1 and status <> 'in_progress'
and not exists (select 1 from turns as later where later.parent = turns.n)
and not exists (select 1 from conversations where newest = turns.n)
"""
CALL_ID = "coalesce(items.body ->> '$.call_id', items.body ->> '$.told[0].call_id')"
"""Of a call or a result; what tools elsewhere did has it in what a model is told of it."""
HIDE = f"""
update items set hidden = 1 where n in (
    with recursive {BRANCH}
    select items.n from branch join items on items.turn = branch.n
    where items.hidden = 0 and (
        items.id = :item or {CALL_ID} in (
            select {CALL_ID} from branch join items on items.turn = branch.n
            where items.id = :item and items.hidden = 0
        )
    )
)
"""

Row = tuple[str, str]
"""An item's id and body."""
Request = tuple[str, float, str]
"""An approval request's id, when it expires, and body."""


def begin(
    db: sqlite3.Connection,
    turn: Turn,
    agent: str,
    request: str,
    items: Sequence[Row],
    output: Sequence[Row],
    requests: Sequence[Request],
    over: tuple[TurnEnd, str] | None,
    answers: Sequence[Answer],
    told: Collection[str],
    passed_on: Collection[str],
) -> tuple[bool, list[str]]:
    """`agent` is its key. `over`: the ending of a turn that nobody runs, and its `dump_end`. `requests` are among the
    `output`. Whether steers still wait for the parent, if some were `told` or `passed_on`; and the turns that some wait
    for again.

    A deleted turn cannot be continued, unless by the conversation whose newest it is: the conversation lives on.
    """
    newest = None if turn.conversation is None else _newest(db, turn.conversation)
    parent = None if turn.parent is None else _parent(db, turn.parent, newest)
    if turn.conversation is not None and parent != newest:
        raise ConversationLocked(param="conversation")
    _agents.keep(db, agent, turn.agent)
    row = (turn.id, parent, turn.conversation, agent, turn.owner, turn.created_at, request, turn.digest or None)
    n = db.execute(BEGIN, (*row, turn.stored)).lastrowid
    if turn.conversation is not None:
        db.execute("update conversations set newest = ? where id = ?", (n, turn.conversation))
    _add(db, n, 0, items)
    _add(db, n, 1, output, requests)
    for answer in answers:
        _answer(db, turn, answer)
    if told or passed_on:
        _steers.use(db, parent, told, passed_on, n, turn.id)
    again = [] if over is None else _end(db, turn.id, *over)[2]
    if turn.key is not None:
        _made(db, turn.key, turn.owner, turn.id, turn.created_at)
    if not turn.stored:
        _forget(db, turn.created_at - REMEMBERED)
    return bool(told or passed_on) and _steers.waits(db, parent), again


def append(
    db: sqlite3.Connection,
    turn_id: str,
    items: Sequence[Row],
    requests: Sequence[Request],
    begun: Sequence[str],
    sent: Sequence[_requests.Row],
) -> list[int]:
    """The n of what was `sent`."""
    n, _ = _running(db, turn_id)
    _add(db, n, 1, items, requests)
    if begun:
        db.executemany(
            "insert into intents (turn, call_id) values (?, ?) on conflict do nothing", [(n, c) for c in begun]
        )
    return _requests.add(db, n, sent)


def end(
    db: sqlite3.Connection,
    turn_id: str,
    end: TurnEnd,
    ending: str,
    items: Sequence[Row],
    requests: Sequence[Request],
    log: bytes,
    sent: Sequence[_requests.Row],
) -> tuple[bool, list[int], list[str]]:
    """`ending` is `dump_end(end)`. Whether the turn was deleted while it ran, the n of what was `sent`, and the turns
    that steers wait for again."""
    n, deleted, again = _end(db, turn_id, end, ending, log)
    _add(db, n, 1, items, requests)
    ns = _requests.add(db, n, sent)
    if deleted:
        _purge(db, n)
    return bool(deleted), ns, again


def rewire(db: sqlite3.Connection, turn_id: str, wire: str) -> None:
    rewired = "update turns set request = json_set(request, '$.wire', json(?)) where id = ? and deleted = 0"
    if not db.execute(rewired, (wire, turn_id)).rowcount:
        raise no_turn(turn_id)


def delete(db: sqlite3.Connection, turn_id: str) -> None:
    rows = db.execute("update turns set deleted = 1 where id = ? and deleted = 0 returning n", (turn_id,)).fetchall()
    if not rows:
        raise no_turn(turn_id)
    _steers.forget(db, rows[0][0])
    _steers.settle(db, turn_id, failed=False)
    _purge(db, rows[0][0])


def create_conversation(
    db: sqlite3.Connection, conversation: Conversation, metadata: str, key: IdempotencyKey | None
) -> None:
    newest = None if conversation.newest is None else _parent(db, conversation.newest, None)
    db.execute(
        "insert into conversations (id, created_at, metadata, newest, owner) values (?, ?, ?, ?, ?)",
        (conversation.id, conversation.created_at, metadata, newest, conversation.owner),
    )
    if key is not None:
        _made(db, key, conversation.owner, conversation.id, conversation.created_at)


def update_conversation(db: sqlite3.Connection, id: str, metadata: str) -> Conversation:
    db.execute("update conversations set metadata = ? where id = ?", (metadata, id))
    rows = db.execute(CONVERSATION, (id,)).fetchall()
    if not rows:
        raise no_conversation(id)
    return load_conversation(rows[0])


def delete_conversation(db: sqlite3.Connection, id: str) -> None:
    newest = _newest(db, id)
    db.execute("delete from conversations where id = ?", (id,))
    _purge(db, newest)


def delete_conversation_item(db: sqlite3.Connection, id: str, item_id: str) -> None:
    """A tool call goes with its result: half of the pair would read as a call that nobody answered."""
    tip = _newest(db, id)
    if not db.execute(HIDE, {"tip": tip, "item": item_id}).rowcount:
        raise no_item(item_id)


def _newest(db: sqlite3.Connection, conversation: str) -> int | None:
    rows = db.execute("select newest from conversations where id = ?", (conversation,)).fetchall()
    if not rows:
        raise no_conversation(conversation)
    return rows[0][0]


def _parent(db: sqlite3.Connection, turn_id: str, newest: int | None) -> int:
    """The turn to go on from. One that still runs is locked: its later items would mix into what continues it."""
    rows = db.execute("select n, deleted, status from turns where id = ?", (turn_id,)).fetchall()
    if not rows or (rows[0][1] and rows[0][0] != newest):
        raise NotFound(
            f"Previous response with id '{turn_id}' not found.",
            code="previous_response_not_found",
            param="previous_response_id",
        )
    n, _, status = rows[0]
    if status == "in_progress":
        raise ConversationLocked(param="conversation" if newest == n else "previous_response_id")
    return n


def _running(db: sqlite3.Connection, turn_id: str) -> tuple[int, int]:
    """(n, deleted) of a turn that may be added to; a deleted one may, so that its run comes to an end."""
    rows = db.execute("select n, deleted, status from turns where id = ?", (turn_id,)).fetchall()
    if not rows:
        raise no_turn(turn_id)
    n, deleted, status = rows[0]
    if status != "in_progress":
        raise ValueError(f"Turn '{turn_id}' has already ended.")
    return n, deleted


def _end(
    db: sqlite3.Connection, turn_id: str, end: TurnEnd, ending: str, log: bytes = b""
) -> tuple[int, int, list[str]]:
    """(n, deleted) of the turn that has ended with this, and the turns that steers wait for again."""
    rows = db.execute(END, (end.status, end.ended_at, ending, log or None, turn_id)).fetchall()
    # If there is none, this says why.
    n, deleted, told = rows[0] if rows else (*_running(db, turn_id), False)
    return n, deleted, _steers.settle(db, turn_id, end.status == "failed") if told else []


def _add(
    db: sqlite3.Connection, turn: int | None, output: int, items: Sequence[Row], requests: Sequence[Request] = ()
) -> None:
    for id, body in items:
        db.execute(ADD, (turn, id, output, body))
    for request in requests:
        db.execute(ASK, (*request, turn))


def _answer(db: sqlite3.Connection, turn: Turn, answer: Answer) -> None:
    """Here and nowhere else an approval request is used up. Raises InvalidRequest for a strict one that cannot be."""
    now = turn.created_at
    values = (answer.approved, answer.reason, now, turn.id, answer.id, turn.owner, now)
    if db.execute(ANSWER, values).rowcount or not answer.strict:
        return
    rows = db.execute(ANSWERED, (answer.id, turn.owner)).fetchall()
    if not rows:
        raise no_approval(answer.id)
    code = "approval_expired" if rows[0][0] is None else "approval_already_used"
    said = "has expired" if rows[0][0] is None else "was answered already"
    raise InvalidRequest(f"The approval request '{answer.id}' {said}.", param="input", code=code)


def _made(db: sqlite3.Connection, key: IdempotencyKey, owner: str, id: str, now: float) -> None:
    db.execute("delete from keys where created_at < ?", (now - KEPT,))
    db.execute(MADE, (owner, key.operation, key.value, key.digest, id, now))


def _forget(db: sqlite3.Connection, expired_before: float) -> None:
    """Let go of the turns that were kept only until their approval requests were answered or expired."""
    for (n,) in db.execute(FORGOTTEN, (expired_before,)).fetchall():
        db.execute("update turns set deleted = 1 where n = ?", (n,))
        _purge(db, n)


def _purge(db: sqlite3.Connection, n: int | None) -> None:
    """Remove this turn, and what it continued, as far as they are deleted and nothing needs them any more."""
    while n is not None:
        rows = db.execute(PURGEABLE, (n,)).fetchall()
        if not rows:
            return
        db.execute("delete from items where turn = ?", (n,))
        db.execute("delete from intents where turn = ?", (n,))
        db.execute("delete from approvals where turn = ?", (n,))
        _steers.forget(db, n)
        _requests.remove(db, n)
        (agent,) = db.execute("delete from turns where n = ? returning agent", (n,)).fetchone()
        _agents.let_go(db, agent)
        n = rows[0][0]
