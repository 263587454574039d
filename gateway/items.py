"""What a conversation is made of.

Items are plain frozen values. They say what was said and done, never who is listening: nothing here
knows about HTTP, a database or an API dialect. `dump`/`load` are the one serialization, used by every
store; wire shapes live in gateway/apis and gateway/providers.
"""

import os
import time
from dataclasses import field
from typing import Annotated, Any, Literal, get_args

import orjson
from pydantic import Field, TypeAdapter

from gateway.values import value

_random: list[str] = []
os.register_at_fork(after_in_child=_random.clear)
DIGITS = 21
"""Random hex digits of an id: 84 bits."""


def random_id(prefix: str) -> str:
    """A fresh id such as `mcpr_3f…`, of which even a part cannot be guessed: 128 random bits as 32 hex digits."""
    return f"{prefix}_{os.urandom(16).hex()}"


def new_id(prefix: str) -> str:
    """A fresh opaque id such as `msg_01…`: the prefix, an underscore and 32 hex digits. Safe from any thread.

    The first eleven are the milliseconds since 1970, so that what is stored together is close together in an index by
    id: a commit then writes a few pages and not one for each row. The random bits come from the system in blocks: a
    turn makes five ids, and a system call for each was 5 % of its CPU.
    """
    try:
        bits = _random.pop()
    except IndexError:
        block = os.urandom(4096).hex()
        _random.extend(block[start : start + DIGITS] for start in range(DIGITS, len(block) - DIGITS, DIGITS))
        bits = block[:DIGITS]
    return f"{prefix}_{time.time_ns() // 1_000_000:011x}{bits}"


@value()
class Text:
    """`annotations` are citations in the shape the model or a tool gave them, kept as they came.

    `logprobs` are the tokens of the text with their probabilities, for who asked for them: `token`, `logprob`, `bytes`
    and `top_logprobs` of each, as OpenAI has it.
    """

    text: str
    annotations: tuple[dict[str, Any], ...] = ()
    logprobs: tuple[dict[str, Any], ...] = ()
    kind: Literal["text"] = "text"


@value()
class Image:
    """`url` is an http(s) or data: URL; `detail` is OpenAI's low | high | auto | original."""

    url: str
    detail: str = "auto"
    kind: Literal["image"] = "image"


@value()
class File:
    """A document given inline (`data`: a data: URL) or by reference (`url`, `file_id`)."""

    name: str = ""
    data: str = ""
    url: str = ""
    file_id: str = ""
    kind: Literal["file"] = "file"


@value()
class Refusal:
    """The model declined, in its own words."""

    text: str
    kind: Literal["refusal"] = "refusal"


ToolType = Literal["function", "custom", "file_search"]
"""How a tool is shown to the client. A `custom` tool of the client's takes one free text, which models that know only
functions give as the argument `input`; `file_search` is a search of knowledge bases that the client asked for."""

NO_SERVER = "unknown"
"""Where a call of a tool that nobody has is said to go."""

Part = Text | Image | File | Refusal
Role = Literal["system", "developer", "user", "assistant"]
Phase = Literal["", "commentary", "final_answer"]
_ROLES = get_args(Role)
_PHASES = get_args(Phase)


@value()
class Message:
    """`complete` is False when the model was cut off (token limit, content filter, a broken stream). `name` tells
    apart several who speak in one role. `phase` says of an assistant's message whether it was the answer or said on the
    way to it, where the model or the client told."""

    id: str
    role: Role
    content: tuple[Part, ...]
    complete: bool = True
    name: str = ""
    phase: Phase = ""
    kind: Literal["message"] = "message"

    @property
    def text(self) -> str:
        """All text parts joined; refusals, images and files are not text."""
        return text_of(self.content)


@value()
class Reasoning:
    """What the model thought. `state` is the provider's own opaque proof of it (a signature, encrypted
    content, a thought signature), to be handed back to the same provider unchanged and never shown. `sealed` is the
    state for a client to keep that keeps the conversation itself, or what such a client brought back."""

    id: str
    text: str = ""
    summary: str = ""
    state: dict[str, Any] = field(default_factory=dict[str, Any])
    sealed: str = ""
    kind: Literal["reasoning"] = "reasoning"


@value()
class ToolCall:
    """The model asks for a tool.

    `name` is the name the model was offered. `server` and `tool` say where the gateway sends it; both are
    empty for a function the client runs itself, and a call of a tool that nobody has is for the server NO_SERVER:
    the gateway answers it, with an error. `arguments` is the model's text, valid JSON or not.
    `state` is opaque provider data to hand back (Gemini's thought signature). `type` is the tool's, see `ToolSpec`.
    """

    id: str
    call_id: str
    name: str
    arguments: str
    server: str = ""
    tool: str = ""
    type: ToolType = "function"
    state: dict[str, Any] = field(default_factory=dict[str, Any])
    kind: Literal["tool_call"] = "tool_call"


@value()
class ToolResult:
    """The answer to the call with this `call_id`, from a tool server or from the client.

    `structured` is the same in the server's own shape, kept for a `file_search` only: what it found is cited.
    `approval` is the id of the ApprovalRequest that a person was asked about the call; empty if nobody was.
    """

    id: str
    call_id: str
    content: tuple[Part, ...]
    is_error: bool = False
    type: ToolType = "function"
    structured: dict[str, Any] = field(default_factory=dict[str, Any])
    approval: str = ""
    kind: Literal["tool_result"] = "tool_result"

    @property
    def text(self) -> str:
        return text_of(self.content)


def code_of(request_id: str) -> str:
    """See `ApprovalRequest.code`."""
    digits = request_id.partition("_")[2][:8].upper()
    return f"{digits[:4]}-{digits[4:]}"


@value()
class ApprovalRequest:
    """A rule wants a person to allow this very call: this server, this tool and these arguments, to the letter.

    It may be answered once, before `expires_at` (Unix seconds). `address` is that of a client's server, see `ToolSpec`.
    """

    id: str
    call_id: str
    server: str
    tool: str
    arguments: str
    expires_at: float = 0.0
    address: str = ""
    kind: Literal["approval_request"] = "approval_request"

    @property
    def code(self) -> str:
        """What a person types to name this request: `3F9A-C21B`, the first 32 of the id's 128 random bits."""
        return code_of(self.id)


@value()
class Approval:
    """A person's answer to an ApprovalRequest.

    `call_id` is empty until the gateway has made sure that the answer counts: only then does it allow a call.
    """

    id: str
    call_id: str
    approved: bool
    reason: str = ""
    request_id: str = ""
    kind: Literal["approval"] = "approval"


@value()
class IdempotencyKey:
    """A client's name for a request, by which it may send it again: its `value`, the `operation` (path of the URL) that
    it belongs to, and the `digest` of the body."""

    value: str
    operation: str
    digest: str


@value()
class Compaction:
    """What stands for the conversation before it. `text` is the model's summary, for models only; `sealed` is the same
    for a client to keep, or what such a client brought back, whose `text` is empty until it is opened.
    """

    id: str
    text: str = ""
    sealed: str = ""
    kind: Literal["compaction"] = "compaction"


@value()
class Answer:
    """Uses up the approval request with this id. `strict`: the turn does not begin unless the request is open."""

    id: str
    approved: bool
    reason: str = ""
    strict: bool = True


@value()
class StoredApproval:
    """An approval request with its answer, None while nobody has given one. Times are Unix seconds.

    `turn` is the id of the turn that asked, `agent` the name of its agent, `continued_by` the turn that answered, if it
    can be read.
    """

    request: ApprovalRequest
    turn: str
    agent: str
    created_at: float
    approved: bool | None = None
    reason: str = ""
    answered_at: float | None = None
    continued_by: str | None = None


@value()
class ToolListing:
    """One tool of a `ToolList`. `annotations` are MCP's, in the shape of its wire."""

    name: str
    schema: dict[str, Any]
    description: str = ""
    annotations: dict[str, Any] = field(default_factory=dict[str, Any])


@value()
class ToolList:
    """What a server that the client brought has to offer; `error` says why it could not be asked. While the list is in
    the history, the server is not asked again. No model sees it.

    `address` is the server's, see `ToolSpec`; empty in a list that a client brought back.
    """

    id: str
    server: str
    tools: tuple[ToolListing, ...] = ()
    error: str = ""
    address: str = ""
    kind: Literal["tool_list"] = "tool_list"


@value()
class Summary:
    """What stands for the oldest part of a conversation where an agent's context has no room for it.

    The items stay where they are. `digest` says which these are: it is that of what they say, from the first one on.
    """

    id: str
    text: str
    digest: str = ""
    kind: Literal["summary"] = "summary"


@value()
class Foreign:
    """What a tool did that ran elsewhere, as the client has it. `wire` is the item in the client's shape, kept
    for the client; `told` is what a model is shown in its place, nothing of an item that tells it nothing.
    """

    id: str
    wire: dict[str, Any]
    told: tuple[ToolCall | ToolResult, ...] = ()
    kind: Literal["foreign"] = "foreign"


Item = (
    Message | Reasoning | ToolCall | ToolResult | ApprovalRequest | Approval | ToolList | Compaction | Summary | Foreign
)

# Told by `kind` which one it is, it does not try them all: reading takes a fifth of the time.
_item: TypeAdapter[Item] = TypeAdapter(Annotated[Item, Field(discriminator="kind")])


def dump(item: Item) -> bytes:
    """One item as JSON bytes. Raises ValueError for one that `load` would not take back."""
    if isinstance(item, Message) and _is_plain(item):
        # Nearly every item, and orjson takes a quarter of the time.
        try:
            return orjson.dumps(item)
        except orjson.JSONEncodeError as error:
            raise ValueError(str(error)) from error
    return _item.dump_json(item, exclude_defaults=False, warnings="error")


def _is_plain(message: Message) -> bool:
    """Whether it holds nothing but text, and that `load` would take it back. Any other is looked at closely."""
    typed = type(message.id) is type(message.name) is str and type(message.complete) is bool
    named = message.role in _ROLES and message.phase in _PHASES
    return typed and named and type(message.content) is tuple and all(map(_is_plain_text, message.content))


def _is_plain_text(part: Part) -> bool:
    return type(part) is Text and type(part.text) is str and part.annotations == part.logprobs == ()


def load(body: bytes | str) -> Item:
    """The item that `dump` wrote."""
    return _item.validate_json(body)


def text_of(parts: tuple[Part, ...]) -> str:
    """All texts among them joined."""
    if len(parts) == 1 and type(only := parts[0]) is Text:
        return only.text
    return "".join([part.text for part in parts if isinstance(part, Text)])
