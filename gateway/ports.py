"""The five seams. The engine knows these and nothing behind them.

Provider  where tokens come from          gateway/providers
Toolbox   where tool calls go             gateway/tools
Rule      what is allowed                 gateway/rules
Memory    what the model gets to see      gateway/memory
Store     what survives the process       gateway/stores

A provider may also be a `Relay` or an `embedding.Embedder`; neither is a turn, and the engine knows nothing of them.
"""

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol, Self

from gateway.agents.spec import WEEK, AgentSpec, Asks
from gateway.client_server import ClientServer
from gateway.errors import GatewayError
from gateway.events import ItemDone, ItemStarted, ModelEvent, Usage
from gateway.items import Answer, IdempotencyKey, Item, StoredApproval, ToolCall, ToolResult, ToolType
from gateway.model_requests import RequestLog, Requests
from gateway.steers import Steers


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSpec:
    """A tool as the model is offered it.

    `name` fits every provider (`^[A-Za-z0-9_-]{1,64}$`). `server`/`tool` are empty for the client's own
    functions, and only those may be of the type custom. `strict` is the client's wish for strict schema
    adherence; None where it said nothing.
    `read_only`, `destructive`, `idempotent`, `open_world` are MCP's annotations with MCP's defaults,
    already overridden by what the agent document says. `asks` is when a person must approve a call, and
    `approval_timeout` for how many seconds. `address` is that of a `ClientServer`, empty for others.
    """

    name: str
    description: str
    schema: dict[str, Any]
    server: str = ""
    tool: str = ""
    type: ToolType = "function"
    strict: bool | None = None
    read_only: bool = False
    destructive: bool = True
    idempotent: bool = False
    open_world: bool = True
    per_run: int | None = None
    asks: Asks = "never"
    approval_timeout: float = WEEK
    address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One exchange: what was asked, of whom, and after what. Free of any wire format.

    `parent` is the turn this one continues; turns form a tree. A conversation is a name for the newest
    turn of one branch. `instructions` are the client's for this turn only, beside the agent's.
    `options` overrides the agent's `params`. `live` is whether anybody watches the deltas. `wire` is the dialect's own
    memory of the request, stored and given back unread, but for the `metadata` in it, by which turns can be listed.
    `background`: nobody has to wait for it, and its events can be followed again from the first after it has ended.
    `owner` is the id of the API key that asked. `digest` stands for all that was said before the answer, where a client
    sends that each time: by it a later turn finds this one. With a `key` the client may ask for the answer again.

    Beyond what `ModelCall` has, `options` may hold `allowed_tools` and a `tool_choice` that names a server (see
    `tool_choice.py`), `truncation` ("auto": drop the oldest items of what is too long for the model), and
    `max_tool_calls`, the most calls of the gateway's that the run may make. With `sealed_reasoning` the client is given
    the state of Reasoning items to keep. What is longer than `compact_threshold` tokens is compacted before the model
    is asked (see `compaction.py`). `compact`: do only that, and tell the "item" or the "window", user messages included.
    """

    id: str
    agent: AgentSpec
    input: Sequence[Item]
    parent: str | None = None
    conversation: str | None = None
    instructions: str = ""
    client_tools: Sequence[ToolSpec] = ()
    servers: Sequence[ClientServer] = ()
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    stored: bool = True
    live: bool = True
    background: bool = False
    wire: Mapping[str, Any] = field(default_factory=dict[str, Any])
    owner: str = ""
    created_at: float = 0.0
    digest: str = ""
    key: IdempotencyKey | None = None

    def after(self, items: Sequence[Item]) -> Self:
        """The same turn, going on from these items, which no store has, instead of from its parent."""
        told = {**self.wire, "previous_response_id": self.parent}
        return replace(self, parent=None, input=[*items, *self.input], wire=told)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCall:
    """One request to a model.

    `models` is tried in order: the primary, then the fallbacks; an entry is a LiteLLM model id such as
    `openai/gpt-4o-mini`. `items` is what the model sees, system message included.
    Unless `live`, nobody watches the deltas, and the provider may ask for the whole answer at once. It notes requests
    in `log`, if that is there, and what it reads in `read`, shared by a run's calls: data: URLs by (URL, kind of part).

    `options` may hold: temperature, top_p, max_output_tokens, stop, seed, presence_penalty,
    frequency_penalty, logit_bias, tool_choice ("none" | "auto" | "required" | {"name": ...}), parallel_tool_calls,
    response_format ({"type": "text" | "json_object" | "json_schema", "name", "schema", "strict"}),
    reasoning_effort, verbosity, logprobs, top_logprobs, user. Nothing else is ever sent to a vendor.
    """

    models: Sequence[str]
    items: Sequence[Item]
    tools: Sequence[ToolSpec] = ()
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    live: bool = True
    log: RequestLog | None = None
    read: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])


class Provider(Protocol):
    """Where tokens come from.

    Yields each item in the order `ItemStarted`, deltas, `ItemDone`, and last exactly one `StepDone`. Raises
    `ProviderError` children and nothing else; a stream that ends without a finish reason is such an error.
    Retries and fallbacks happen inside, and only before the first event. Closing the iterator aborts the
    upstream request.
    """

    def stream(self, call: ModelCall) -> AsyncGenerator[ModelEvent]: ...


class Relayed(Protocol):
    """A vendor's answer in its own bytes. It has begun: what fails early has failed before this is there."""

    async def next(self) -> Sequence[bytes] | None:
        """What arrived, maybe nothing: whole server-sent events, or the JSON body; None after the last. Raises
        ProviderError when the answer breaks off, or ends without saying that it is whole."""
        ...

    async def close(self) -> None:
        """Abort the upstream request if it is still going on. Never raises; may be called twice."""
        ...


class Relay(Protocol):
    """What a provider may be able to do besides: pass a chat completion on, unread, in both directions."""

    async def relay(self, model: str, body: dict[str, Any]) -> Relayed | None:
        """Ask `model` with a body of OpenAI's; what it wants changed for this vendor is changed. An answer to
        `"stream": true` is events, any other one JSON. None where the model does not speak that wire. Retries as
        `Provider.stream` does, and raises ProviderError.
        """
        ...


class Toolbox(Protocol):
    """Where tool calls go. A tool that fails is a result with `is_error`, never an exception."""

    async def specs(self, agent: AgentSpec) -> Sequence[ToolSpec]:
        """What its document lists, of the servers that are up. Cheap when nothing changed."""
        ...

    def arguments(self, spec: ToolSpec, call: ToolCall) -> dict[str, Any]:
        """The call's arguments, parsed and checked against the schema. Raises `BadArguments`."""
        ...

    async def call(self, spec: ToolSpec, call: ToolCall, arguments: dict[str, Any], caller: str = "") -> ToolResult:
        """Run one call with what `arguments` returned for it. `caller` is the owner of the turn."""
        ...

    def join(self, turn: Turn, history: Sequence[Item]) -> AbstractAsyncContextManager["JoinedToolbox"]:
        """The same with the tools of the servers that the client brought, as long as the context lasts."""
        ...


class JoinedToolbox(Toolbox, Protocol):
    def lists(self) -> AsyncGenerator[ItemStarted | ItemDone]:
        """What these servers offer, a `ToolList` for each that the history has none of. Before anything else is asked.
        Raises InvalidRequest for a server that is not allowed, and ServerUnusable."""
        ...


class Memory(Protocol):
    """Chooses; never writes."""

    async def view(
        self, turn: Turn, history: Sequence[Item], log: RequestLog | None = None
    ) -> tuple[Sequence[Item], Sequence[ModelEvent]]:
        """What the model sees, and what was said to make that: items that join the history, and steps they took.

        `log` takes the requests that it sends to a provider."""
        ...


Status = Literal["in_progress", "completed", "incomplete", "failed", "cancelled", "paused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnEnd:
    """How a turn ended, as the store keeps it. `reason` is RunCompleted's; `error` is set for `failed`."""

    status: Status
    reason: str = ""
    model: str = ""
    usage: Usage = Usage()
    error: GatewayError | None = None
    ended_at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTurn:
    """A turn read back. `turn.agent` is the revision it ran on; `output` is what the run added, oldest first.

    `intents` are the call_ids of tool calls that were begun: one without a result has an unknown outcome.
    """

    turn: Turn
    end: TurnEnd | None
    output: Sequence[Item]
    intents: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
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
        self, turn: Turn, end: TurnEnd | None = None, *, output: Sequence[Item] = (), answers: Sequence[Answer] = ()
    ) -> None:
        """Save the turn and its input, status in_progress; with `end`, as one that is over, with its `output`. Raises
        `ConversationLocked` unless `turn.parent` is its conversation's newest turn, and `NotFound` for an unknown
        parent or conversation.

        With it go the `answers` to approval requests of the turn's owner; a strict one to a request that is unknown,
        answered or expired at `turn.created_at` raises `InvalidRequest`.
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
        limit: int,
        newest_first: bool,
        agent: str,
        metadata: Mapping[str, str],
    ) -> tuple[list[StoredTurn], bool]:
        """A page of at most `limit` of this owner's turns after the turn `after`, and whether more follow.

        Turns that came to an answer and whose id begins with `kind`; of the agent of this name, unless it is empty, and
        with all of this metadata. Raises `NotFound` for an unknown `after`.
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
        newest_first: bool = True,
    ) -> list[StoredApproval]:
        """This owner's approval requests whose ids begin so; those of deleted turns are gone. Raises NotFound for an
        unknown `after`.

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
        self, id: str, *, after: str | None, limit: int, newest_first: bool
    ) -> tuple[list[Item], bool]:
        """A page of at most `limit` entries after the entry `after`, and whether more follow.

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


@dataclass(frozen=True, slots=True)
class Verdict:
    """`timeout` is for how many seconds a person may answer, when the action is `ask`."""

    action: Literal["allow", "ask", "deny"] = "allow"
    reason: str = ""
    timeout: float = WEEK


class Rule:
    """What is allowed. Override what you care about; the rest allows. Deny beats ask beats allow."""

    async def check_input(self, turn: Turn) -> Verdict:
        return Verdict()

    async def check_call(self, turn: Turn, spec: ToolSpec, call: ToolCall, history: Sequence[Item]) -> Verdict:
        return Verdict()

    async def filter_result(self, turn: Turn, spec: ToolSpec, call: ToolCall, result: ToolResult) -> ToolResult:
        return result
