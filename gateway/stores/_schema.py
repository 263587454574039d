"""The tables of the SQLite store and the named steps that led to them, oldest first.

A step that was released is never edited: a change is a new function below the last. What the columns mean is
said here; reading and writing them is in `_reads.py` and `_writes.py`.

Along one branch `items.n` rises with time, because a turn can only be continued once it has ended. So the
order of a history is the order of `items.n`, and an item's `n` is a page cursor.
"""

from sqlite_utils import Database, Migrations

MIGRATIONS = Migrations("homeport-store")


def migrate(db: Database) -> None:
    """Bring the database to the newest schema. Raises ValueError when a newer Homeport has written it."""
    MIGRATIONS.apply(db)
    # Names the database knows and this code does not: after `apply` nothing of ours can be missing.
    ours = {step.name for step in MIGRATIONS.pending(Database(memory=True))}
    foreign = sorted({step.name for step in MIGRATIONS.applied(db)} - ours)
    if foreign:
        raise ValueError(f"The database was written by a newer Homeport ({', '.join(foreign)}).")


@MIGRATIONS()
def m001_turns(db: Database) -> None:
    """Turns, their items, and the agent revisions they ran on.

    agents.key     sha256 of `body`; `body` is the AgentSpec as JSON
    turns.request  what else was asked, as JSON: instructions, client_tools, options, stored, wire
    turns.status   TurnEnd.status, or in_progress; `ending` is the rest of TurnEnd as JSON
    turns.deleted  1: gone for callers, kept because another turn or a conversation continues it
    items.output   0: part of the turn's input, 1: added by the run
    items.hidden   1: deleted from its conversation; still part of the turn as it was
    """
    db.table("agents").create({"key": str, "body": str}, pk="key", not_null={"body"}, strict=True)
    db.table("turns").create(
        {
            "n": int,
            "id": str,
            "parent": int,
            "conversation": str,
            "agent": str,
            "owner": str,
            "created_at": float,
            "request": str,
            "deleted": int,
            "status": str,
            "ended_at": float,
            "ending": str,
        },
        pk="n",
        not_null={"id", "agent", "owner", "created_at", "request", "deleted", "status"},
        defaults={"deleted": 0, "status": "in_progress"},
        foreign_keys=[("parent", "turns", "n"), ("agent", "agents", "key")],
        strict=True,
    )
    db.table("items").create(
        {"n": int, "turn": int, "id": str, "output": int, "hidden": int, "body": str},
        pk="n",
        not_null={"turn", "id", "output", "hidden", "body"},
        defaults={"hidden": 0},
        foreign_keys=[("turn", "turns", "n")],
        strict=True,
    )
    db.conn.execute("create unique index turns_id on turns (id)")
    db.conn.execute("create index turns_parent on turns (parent) where parent is not null")
    db.conn.execute("create index turns_unfinished on turns (n) where status = 'in_progress'")
    db.conn.execute("create index items_turn on items (turn)")


@MIGRATIONS()
def m002_conversations(db: Database) -> None:
    """Names for the newest turn of a branch; `metadata` is a JSON object."""
    db.table("conversations").create(
        {"id": str, "created_at": float, "metadata": str, "newest": int, "owner": str},
        pk="id",
        not_null={"created_at", "metadata", "owner"},
        foreign_keys=[("newest", "turns", "n")],
        strict=True,
    )
    db.conn.execute("create index conversations_newest on conversations (newest) where newest is not null")


@MIGRATIONS()
def m003_intents(db: Database) -> None:
    """Tool calls that were begun."""
    db.table("intents").create(
        {"turn": int, "call_id": str}, pk=("turn", "call_id"), foreign_keys=[("turn", "turns", "n")], strict=True
    )


@MIGRATIONS()
def m004_digests(db: Database) -> None:
    """turns.digest  `Turn.digest`; null for a turn that is not looked for by it"""
    db.conn.execute("alter table turns add column digest text")
    db.conn.execute("create index turns_digest on turns (owner, digest) where digest is not null")
    db.conn.execute("create index turns_owner on turns (owner, n, id)")


@MIGRATIONS()
def m005_logs(db: Database) -> None:
    """turns.log: the events of a background run, as `event_log.pack` makes them."""
    db.conn.execute("alter table turns add column log blob")


@MIGRATIONS()
def m006_item_ids(db: Database) -> None:
    """Items are found by their ids: a client may refer to one instead of sending it again."""
    db.conn.execute("create index items_id on items (id)")


@MIGRATIONS()
def m007_approvals(db: Database) -> None:
    """Approval requests by their id, so that each is answered once; and turns that are kept only because of one.

    approvals.turn      the turn that asked, and asked last if it asked again
    approvals.body      the ApprovalRequest as JSON
    approvals.approved  null while nobody has answered; `answer` is the id of the turn that did
    turns.stored        0: `Turn.stored` is false
    """
    db.table("approvals").create(
        {
            "id": str,
            "turn": int,
            "owner": str,
            "body": str,
            "expires_at": float,
            "approved": int,
            "reason": str,
            "answered_at": float,
            "answer": str,
        },
        pk="id",
        not_null={"turn", "owner", "body", "expires_at", "reason"},
        defaults={"reason": ""},
        foreign_keys=[("turn", "turns", "n")],
        strict=True,
    )
    db.conn.execute("create index approvals_turn on approvals (turn)")
    db.conn.execute("create index approvals_open on approvals (owner) where approved is null")
    db.conn.execute("alter table turns add column stored integer not null default 1")
    db.conn.execute("create index turns_kept on turns (n) where stored = 0")


@MIGRATIONS()
def m008_requests(db: Database) -> None:
    """What was sent to providers.

    requests.n       turns.n times 2**20, and one more for each further request: no index is needed to find a turn's
    requests.head    ModelRequest without its body, as JSON
    requests.digest  sha256 of the body, and `size` its length
    requests.base    another request, of this turn or one that it continues; null: the body stands alone
    requests.first   so many bytes of the base begin the body, `last` so many end it, and `rest` is in between, as
                     raw deflate if it is shorter than that
    """
    columns = {"n": int, "head": str, "digest": bytes, "base": int, "first": int, "last": int, "size": int}
    db.table("requests").create(
        {**columns, "rest": bytes},
        pk="n",
        not_null={"head", "digest", "first", "last", "size", "rest"},
        strict=True,
    )


@MIGRATIONS()
def m009_keys(db: Database) -> None:
    """Idempotency keys, each with what was last made with it.

    keys.digest  of the request's body
    keys.made    the id of a turn or a conversation, which may be gone
    """
    db.table("keys").create(
        {"owner": str, "operation": str, "value": str, "digest": str, "made": str, "created_at": float},
        pk=("owner", "operation", "value"),
        not_null={"digest", "made", "created_at"},
        strict=True,
    )
    db.conn.execute("create index keys_created_at on keys (created_at)")


@MIGRATIONS()
def m010_steers(db: Database) -> None:
    """Items that were said to a turn while it ran, until a turn that continues it has them in its input.

    steers.id       of the submission, which may be several items
    steers.body     the item as JSON
    steers.told_in  id of the turn under way that has it in its input, which may not be stored; null while it waits
    """
    db.table("steers").create(
        {"n": int, "id": str, "turn": int, "body": str, "told_in": str},
        pk="n",
        not_null={"id", "turn", "body"},
        foreign_keys=[("turn", "turns", "n")],
        strict=True,
    )
    db.conn.execute("create index steers_turn on steers (turn)")
    db.conn.execute("create index steers_told_in on steers (told_in) where told_in is not null")


@MIGRATIONS()
def m011_agents(db: Database) -> None:
    """An agent goes with the last of its turns."""
    db.conn.execute("create index turns_agent on turns (agent)")
    db.conn.execute("delete from agents where not exists (select 1 from turns where turns.agent = agents.key)")
