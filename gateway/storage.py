"""The fifth seam: what survives the process, and the values that a store keeps and gives back."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal, Protocol, Self

from gateway.errors import GatewayError
from gateway.events import NO_USAGE, Usage
from gateway.items import Answer, IdempotencyKey, Item, StoredApproval
from gateway.model_requests import Requests
from gateway.ports import Turn
from gateway.steers import Steers
from gateway.values import value

Status = Literal["in_progress", "completed", "incomplete", "failed", "cancelled", "paused"]


@value()
class TurnEnd:
    """How a turn ended, as the store keeps it. `reason` is RunCompleted's; `error` is set for `failed`."""

    status: Status
    reason: str = ""
    model: str = ""
    usage: Usage = NO_USAGE
    error: GatewayError | None = None
    ended_at: float = 0.0


@value()
class StoredTurn:
    """A turn read back. `turn.agent` is the revision it ran on; `output` is what the run added, oldest first.

    `intents` are the call_ids of tool calls that were begun: one without a result has an unknown outcome.
    """

    turn: Turn
    end: TurnEnd | None
    output: Sequence[Item]
    intents: frozenset[str] = frozenset()


@value()
class Conversation:
    """A name for the newest turn of one branch. `created_at` is Unix seconds."""

    id: str
    created_at: float
    metadata: Mapping[str, str]
    newest: str | None = None
    owner: str = ""


class Store(Steers, Protocol):
    """What survives. Every write is durable when the call returns, or raises and wrote nothing.

    Raises `StorageFull` when the disk is full or the database cannot be written.
    """

    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, *exc: object) -> None: ...

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
        """Save the turn and its input, status in_progress; with `end`, as one that is over, with its `output`. Raises
        `ConversationLocked` unless `turn.parent` is its conversation's newest turn, and `NotFound` for an unknown
        parent or conversation.

        With it go the `answers` to approval requests of the turn's owner; a strict one to a request that is unknown,
        answered or expired at `turn.created_at` raises `InvalidRequest`.

        Of the submissions that wait for the parent (see `Steers`), those that are `told` in the input wait no more,
        unless this turn fails, and those that are `passed_on` wait for this turn instead. If one of them has gone,
        `SteersTaken` is raised.
        """
        ...

    async def append(self, turn_id: str, *items: Item, begun: Sequence[str] = (), requests: Requests = ()) -> None:
        """Add output items, the call_ids of the tool calls that are about to be `begun`, and the requests that were
        sent meanwhile: all or none."""
        ...

    async def end(self, turn_id: str, end: TurnEnd, *items: Item, log: bytes = b"", requests: Requests = ()) -> None:
        """Add the last items, the last requests and the ending in one transaction, and the `log` of its events if that
        is kept."""
        ...

    async def log(self, turn_id: str) -> bytes:
        """The log that `end` was given; empty if none was. Raises `NotFound`."""
        ...

    async def requests(self, turn_id: str) -> Requests:
        """Those that `append` and `end` were given, oldest first. Raises `NotFound`."""
        ...

    async def history(self, turn_id: str) -> list[Item]:
        """Everything up to and including this turn, oldest first: for each turn its input, then its output."""
        ...

    async def owner(self, turn_id: str) -> str:
        """Whose turn it is. Raises `NotFound` for one that cannot be continued."""
        ...

    async def get(self, turn_id: str) -> StoredTurn:
        """Raises `NotFound`."""
        ...

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
        """A page of at most `limit` of this owner's turns between the turns `after` and `before`, and whether there are
        more between them. With `before` alone it is those right before it. Their inputs are left out, as they may
        be large.

        Turns that came to an answer and whose id begins with `kind`; of the agent of this name, unless it is empty, and
        with all of this metadata. Raises `NotFound` for an unknown `after` or `before`.
        """
        ...

    async def by_digest(self, owner: str, digests: Sequence[str]) -> list[tuple[str, str]]:
        """(digest, id) of this owner's turns that came to an answer and have one of these digests: digest by digest,
        the newest first, and of each only the newest few."""
        ...

    async def rewire(self, turn_id: str, wire: Mapping[str, Any]) -> None:
        """Replace `Turn.wire`. Raises `NotFound`."""
        ...

    async def items(self, ids: Collection[str], owner: str) -> dict[str, list[Item]]:
        """The items with these ids in turns of this owner, as entries (see `conversation_items`); those that are not
        there are left out. Of several with one id the newest is meant."""
        ...

    async def delete(self, turn_id: str) -> None:
        """The turn can no longer be read or continued; turns that already continue it keep their history."""
        ...

    async def unfinished(self) -> list[StoredTurn]:
        """Turns without an end, oldest first: what a crash left behind."""
        ...

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
        """This owner's approval requests whose ids begin so, `after` and `before` as in `turns`; those of deleted turns
        are gone.

        With `open_at`, only those that may be answered at that time. Every ApprovalRequest among a turn's output is
        one. Those of turns that are not `Turn.stored` are forgotten some time after they expired, and the turns too.
        """
        ...

    async def made_with(self, key: IdempotencyKey, owner: str, now: float) -> tuple[str, str] | None:
        """The digest of the request that this owner last made with this key for this operation, in the 24 hours before
        `now`, and the id of what it made: a turn with that `Turn.key`, or a conversation."""
        ...

    async def create_conversation(self, conversation: Conversation, key: IdempotencyKey | None = None) -> None: ...
    async def conversation(self, id: str) -> Conversation:
        """Raises `NotFound`."""
        ...

    async def update_conversation(self, id: str, metadata: Mapping[str, str]) -> Conversation: ...

    async def delete_conversation(self, id: str) -> None:
        """The name goes; the turns under it stay readable by their own ids."""
        ...

    async def conversation_items(
        self, id: str, *, after: str | None, before: str | None = None, limit: int, newest_first: bool
    ) -> tuple[list[Item], bool]:
        """A page of at most `limit` entries, `after` and `before` as in `turns`, and whether there are more.

        An entry is an item, except that a call of the gateway's (`ToolCall.server`) and its result are one, known by
        the call's id: the result stands right behind the call, in either order. A result that a run made up for a
        function of the client's is no entry.
        """
        ...

    async def conversation_item(self, id: str, item_id: str) -> list[Item]:
        """One entry: the item, and its result if it is a call of the gateway's. Raises `NotFound`."""
        ...

    async def delete_conversation_item(self, id: str, item_id: str) -> None:
        """A call leaves with its result."""
        ...
