"""The seams. The engine knows the first four and nothing behind them; of the store it knows nothing at all.

Provider  where tokens come from          gateway/providers
Toolbox   where tool calls go             gateway/tools
Rule      what is allowed                 gateway/rules
Memory    what the model gets to see      gateway/memory
Store     what survives the process       gateway/stores (`storage.py`)

A provider may also be a `Relay` or an `embedding.Embedder`; neither is a turn, and the engine knows nothing of them.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import field, replace
from typing import Any, Literal, Protocol, Self

from gateway.agents.spec import WEEK, AgentSpec, Asks
from gateway.client_server import ClientServer
from gateway.events import ItemDone, ItemStarted, ModelEvent
from gateway.items import IdempotencyKey, Item, ToolCall, ToolResult, ToolType
from gateway.model_requests import RequestLog
from gateway.values import value


@value()
class ToolSpec:
    """A tool as the model is offered it.

    `name` fits every provider (`^[A-Za-z0-9_-]{1,64}$`). `server`/`tool` are empty for the client's own
    functions, and only those may be of the type custom. `strict` is the client's wish for strict schema
    adherence; None where it said nothing.
    `read_only`, `destructive`, `idempotent`, `open_world` are MCP's annotations with MCP's defaults,
    already overridden by what the agent document says. `asks` is when a person must approve a call, and
    `approval_timeout` for how many seconds. `address` is that of a `ClientServer`, empty for others. `fixed` are
    arguments that the agent document has a value for: the model may leave them out.
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
    fixed: Mapping[str, Any] = field(default_factory=dict[str, Any])


@value()
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
    is asked (see `compaction.py`); with `compact` the run does that and nothing else, and tells the compaction alone
    ("item") or the user's messages before it as well ("window").
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

    def after(self, parent: str | None, items: Sequence[Item]) -> Self:
        """The same turn, going on from what no store has instead of from its parent: from these items, behind another
        parent if that had one."""
        told = {**self.wire, "previous_response_id": self.parent}
        return replace(self, parent=parent, input=[*items, *self.input], wire=told)


@value()
class ModelCall:
    """One request to a model.

    `models` is tried in order: the primary, then the fallbacks; an entry is a LiteLLM model id such as
    `openai/gpt-4o-mini`. `items` is what the model sees, system message included.
    Unless `live`, nobody watches the deltas, and the provider may ask for the whole answer at once. It notes requests
    in `log`, if that is there, and what it reads in `read`, shared by a run's calls: data: URLs by (URL, kind of part).

    `options` may hold: temperature, top_p, max_output_tokens, stop, seed, presence_penalty,
    frequency_penalty, logit_bias, tool_choice ("none" | "auto" | "required" | {"name": ...}), parallel_tool_calls,
    response_format ({"type": "text" | "json_object" | "json_schema", "name", "schema", "strict"}),
    reasoning_effort, reasoning_summary, verbosity, logprobs, top_logprobs, user. Nothing else is ever sent to a vendor,
    but for service_tier, prompt_cache_key, prompt_cache_retention, safety_identifier and prediction to who takes them.
    """

    models: Sequence[str]
    items: Sequence[Item]
    tools: Sequence[ToolSpec] = ()
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    live: bool = True
    log: RequestLog | None = None
    read: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])

    def showing(self, items: Sequence[Item]) -> "ModelCall":
        """The same with these items. For each step of each turn, which `replace` takes too long for."""
        return ModelCall(
            models=self.models,
            items=items,
            tools=self.tools,
            options=self.options,
            live=self.live,
            log=self.log,
            read=self.read,
        )


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


RelayedWire = Literal["openai", "responses"]
"""What is relayed: OpenAI's chat completions, or its Responses."""


class RelayedModel(Protocol):
    """A model that speaks a wire of the clients'."""

    @property
    def openai(self) -> bool:
        """Whether it is at one of OpenAI's own hosts, whose rules for a body are known."""
        ...

    async def ask(self, body: dict[str, Any]) -> Relayed | None:
        """Ask it with a body of OpenAI's; what it wants changed for this vendor is changed. An answer to
        `"stream": true` is events, any other one JSON. None where it is not known to do what this body asks. Retries as
        `Provider.stream` does, and raises ProviderError.
        """
        ...


class Relay(Protocol):
    """What a provider may be able to do besides: pass a request on, unread, in both directions."""

    async def relayed_model(self, model: str, wire: RelayedWire) -> RelayedModel | None:
        """None where the model does not speak that wire. Raises ProviderError."""
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


@value(kw_only=False)
class Verdict:
    """`timeout` is for how many seconds a person may answer, when the action is `ask`."""

    action: Literal["allow", "ask", "deny"] = "allow"
    reason: str = ""
    timeout: float = WEEK


ALLOWED = Verdict()


class Rule:
    """What is allowed. Override what you care about; the rest allows. Deny beats ask beats allow."""

    async def check_input(self, turn: Turn) -> Verdict:
        return ALLOWED

    async def check_call(self, turn: Turn, spec: ToolSpec, call: ToolCall, history: Sequence[Item]) -> Verdict:
        return ALLOWED

    async def filter_result(self, turn: Turn, spec: ToolSpec, call: ToolCall, result: ToolResult) -> ToolResult:
        return result


def checks_input(rule: Rule) -> bool:
    """Whether it looks at what a turn begins with."""
    return type(rule).check_input is not Rule.check_input
