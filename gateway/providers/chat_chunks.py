"""Chunks of a streamed chat completion, as dictionaries, into events.

One decoder a step, for all lanes: LiteLLM's chunks have this shape too. It is tolerant of what vendors do differently
(fragments of tool calls without an index, reasoning under three names, content as parts) and strict about the end:
without a finish reason there is no StepDone but a ProviderError.
"""

from collections.abc import Sequence
from typing import Any

import orjson

from gateway.errors import ProviderError
from gateway.events import (
    ArgumentsDelta,
    ItemDone,
    ItemStarted,
    ModelEvent,
    ReasoningDelta,
    RefusalDelta,
    StepDone,
    TextDelta,
)
from gateway.items import Item, Message, Reasoning, Refusal, Text, ToolCall, new_id
from gateway.ports import ToolSpec
from gateway.providers.call_ids import LONGEST_CALL_ID, CallIds
from gateway.providers.chat_ending import FINISHES, broken_off, is_error, read_usage, truncated
from gateway.providers.chat_shapes import WrongShape, delta_size, joined_blocks
from gateway.providers.item_ids import call_item_id
from gateway.providers.vendor_errors import from_body, too_large, without_secrets

SERVER_SIDE = "srvtoolu_"
"""Anthropic's prefix for calls that it runs itself."""

LARGEST_ANSWER = 64 * 1024 * 1024
PIECE = 64
"""Roughly the bytes that one answer may take, and that each piece of it takes beside its characters."""

Json = dict[str, Any]


class CallFragments:
    """One tool call while its pieces arrive. It starts, for readers, with its first piece of arguments."""

    __slots__ = ("item", "name", "pieces", "state", "wire_id")

    def __init__(self, wire_id: str) -> None:
        self.wire_id = wire_id
        self.name = ""
        self.pieces: list[str] = []
        self.state: Json = {}
        self.item: ToolCall | None = None


class ChunkDecoder:
    """`feed` the chunks, then `end` once. Events are appended to the list that is passed in.

    `model` is the id that StepDone names, `provider` whose opaque state it is, `items` the history (new call ids must
    differ from those in it), `secrets` what no error may show, `tools` what the model was offered.

    An answer with neither text nor calls that claims to be whole is an error (it is how a failed tool call looks with
    some vendors), unless a stop sequence may have ended it (`stops`) or the vendor counted tokens for it; `trusted`
    is whether that count is worth anything.
    """

    __slots__ = (
        "_annotations",
        "_by_index",
        "_call",
        "_calls",
        "_details",
        "_field",
        "_ids",
        "_kept",
        "_message_id",
        "_model",
        "_open",
        "_output",
        "_provider",
        "_reasoning_id",
        "_refused",
        "_secrets",
        "_stops",
        "_text",
        "_thoughts",
        "_tier",
        "_tools",
        "_trusted",
        "_usage",
        "_waiting",
        "finish",
    )

    def __init__(
        self,
        provider: str,
        model: str,
        items: Sequence[Item],
        *,
        stops: bool = False,
        trusted: bool = True,
        secrets: Sequence[str] = (),
        tools: Sequence[ToolSpec] = (),
    ) -> None:
        self.finish: str | None = None
        self._provider, self._model, self._ids = provider, model, CallIds(items)
        self._stops, self._trusted, self._secrets, self._tools = stops, trusted, secrets, tools
        self._message_id = self._reasoning_id = self._field = ""
        self._text: list[str] = []
        self._refused: list[str] = []
        self._annotations: list[Json] = []
        self._thoughts: list[str] = []
        self._details: Json = {}
        self._calls: list[CallFragments] = []
        self._by_index: dict[int, CallFragments] = {}
        self._call: CallFragments | None = None
        self._usage: Json | None = None
        self._tier: Any = None
        self._output = False
        self._kept = 0
        self._open: list[str] = []
        self._waiting: dict[str, Item] = {}

    def feed(self, chunk: Json, out: list[ModelEvent]) -> None:
        """Raises ProviderError when the chunk is an error, or not what a chunk is made of."""
        choices = chunk.get("choices")
        if choices:
            choice: Any = choices[0] if choices.__class__ is list else None
            if choice.__class__ is not dict:
                raise self._garbled()
            self._choice(choice, out)
            if self.finish is not None and "error" in chunk:
                self._aside(chunk)
        else:
            self._aside(chunk)
        if isinstance(usage := chunk.get("usage"), dict) and usage:
            self._usage, self._tier = usage, chunk.get("service_tier")

    def _choice(self, choice: Json, out: list[ModelEvent]) -> None:
        finish = choice.get("finish_reason")
        if finish and not isinstance(finish, str):
            raise self._garbled()
        delta = choice.get("delta") or choice.get("message")
        if delta:
            text = delta.get("content") if delta.__class__ is dict else None
            # The common chunk first: nothing but a piece of text, after other pieces of text.
            if text.__class__ is str and text and self._text and len(delta) == 1:
                self._kept += len(text) + PIECE
                self._text.append(text)
                out.append(TextDelta(self._message_id, text))
            else:
                self._delta(delta, out)
            if self._kept > LARGEST_ANSWER:
                raise too_large(self._provider)
        if finish:
            self.finish = str(finish)

    def _garbled(self) -> ProviderError:
        return ProviderError(f"{self._provider} sent something that is no chat completion.", code="stream_garbled")

    def _aside(self, chunk: Json) -> None:
        """A chunk with neither choices nor usage: an error, a note, or nothing."""
        if is_error(chunk):
            raise from_body(self._provider, chunk, secrets=self._secrets)

    def _delta(self, delta: Json, out: list[ModelEvent]) -> None:
        # Before anything of it is told: what was told cannot be asked for again.
        try:
            self._kept += delta_size(delta) + PIECE
        except WrongShape as error:
            raise self._garbled() from error
        self._think(delta, out)
        content = delta.get("content")
        if content:
            if isinstance(content, str):
                self._say(content, out)
            else:
                self._parts(content, out)
        if refusal := delta.get("refusal"):
            self._refuse(refusal, out)
        if annotations := delta.get("annotations"):
            self._annotations.extend(annotations)
        if calls := delta.get("tool_calls"):
            for fragment in calls:
                self._fragment(fragment, out)

    def _parts(self, parts: list[Json], out: list[ModelEvent]) -> None:
        """Mistral's content is a list when it thinks."""
        for part in parts:
            if part.get("type") == "thinking":
                inner = part.get("thinking") or ""
                words = inner if isinstance(inner, str) else "".join(piece.get("text") or "" for piece in inner)
                if words:
                    self._ponder(words, out)
            elif text := part.get("text"):
                self._say(text, out)

    def _started(self, item: Item, out: list[ModelEvent]) -> None:
        self._open.append(item.id)
        out.append(ItemStarted(item))

    def _done(self, item: Item, out: list[ModelEvent]) -> None:
        """Items are done in the order in which they were started: a call is open to the end, what came later waits."""
        self._waiting[item.id] = item
        while self._open and (first := self._waiting.pop(self._open[0], None)):
            del self._open[0]
            out.append(ItemDone(first))

    # Text

    def _open_message(self, out: list[ModelEvent]) -> None:
        self._close_reasoning(out)
        if not self._message_id:
            self._message_id = new_id("msg")
            self._started(Message(id=self._message_id, role="assistant", content=()), out)
            self._output = True

    def _say(self, text: str, out: list[ModelEvent]) -> None:
        self._open_message(out)
        self._text.append(text)
        out.append(TextDelta(self._message_id, text))

    def _refuse(self, text: str, out: list[ModelEvent]) -> None:
        self._open_message(out)
        self._refused.append(text)
        out.append(RefusalDelta(self._message_id, text))

    def _close_message(self, out: list[ModelEvent], *, complete: bool = True) -> None:
        if not self._message_id:
            return
        parts: list[Text | Refusal] = []
        if self._text or self._annotations:
            parts.append(Text(text="".join(self._text), annotations=tuple(self._annotations)))
        if self._refused:
            parts.append(Refusal(text="".join(self._refused)))
        self._done(Message(id=self._message_id, role="assistant", content=tuple(parts), complete=complete), out)
        self._message_id = ""
        self._text, self._refused, self._annotations = [], [], []

    # Reasoning

    def _think(self, delta: Json, out: list[ModelEvent]) -> None:
        if words := delta.get("reasoning_content"):
            self._field = "reasoning_content"
            self._ponder(words, out)
        elif (words := delta.get("reasoning")) and isinstance(words, str):
            self._ponder(words, out)
        for name in ("reasoning_details", "thinking_blocks"):
            if blocks := delta.get(name):
                self._open_reasoning(out)
                self._details.setdefault(name, []).extend(blocks)

    def _open_reasoning(self, out: list[ModelEvent]) -> None:
        if not self._reasoning_id:
            self._close_message(out)
            self._reasoning_id = new_id("rs")
            self._started(Reasoning(id=self._reasoning_id), out)

    def _ponder(self, words: str, out: list[ModelEvent]) -> None:
        self._open_reasoning(out)
        self._thoughts.append(words)
        out.append(ReasoningDelta(self._reasoning_id, words))

    def _close_reasoning(self, out: list[ModelEvent]) -> None:
        if not self._reasoning_id:
            return
        state: Json = {"provider": self._provider}
        for name, blocks in self._details.items():
            state[name] = joined_blocks(blocks)
        # Signed thoughts carry their own text; unsigned ones go back under the name they came with.
        if not self._details and self._field:
            state["field"] = self._field
        self._done(Reasoning(id=self._reasoning_id, text="".join(self._thoughts), state=state), out)
        self._reasoning_id = self._field = ""
        self._thoughts, self._details = [], {}

    # Tool calls

    def _fragment(self, fragment: Json, out: list[ModelEvent]) -> None:
        function: Json = fragment.get("function") or {}
        call = self._call_of(fragment, function)
        if call is None:
            return
        if extra := fragment.get("extra_content"):
            call.state["extra_content"] = extra
        if name := function.get("name"):
            # Some vendors repeat the name in every fragment, some send it in pieces.
            if call.item is None and name != call.name:
                call.name += name
        arguments = function.get("arguments")
        if arguments:
            if not isinstance(arguments, str):
                arguments = orjson.dumps(arguments).decode()
            item = call.item or self._start(call, out)
            call.pieces.append(arguments)
            out.append(ArgumentsDelta(item.id, arguments))

    def _call_of(self, fragment: Json, function: Json) -> CallFragments | None:
        """Which call a fragment belongs to: by index, by id, or the last one. None for a vendor's own tools."""
        wire_id = fragment.get("id") or ""
        index = fragment.get("index")
        known = self._by_index.get(index) if isinstance(index, int) else self._call
        if known is not None:
            other = wire_id and known.wire_id and wire_id != known.wire_id
            begun = known.name and function.get("name") and (other or (index is None and known.pieces and not wire_id))
            if not (begun or (other and index is None)):
                known.wire_id = known.wire_id or wire_id
                self._call = known
                return None if known.wire_id.startswith(SERVER_SIDE) else known
        call = CallFragments(wire_id)
        if isinstance(index, int):
            self._by_index[index] = call
        self._call = call
        if wire_id.startswith(SERVER_SIDE):
            return None
        self._calls.append(call)
        return call

    def _start(self, call: CallFragments, out: list[ModelEvent]) -> ToolCall:
        self._close_reasoning(out)
        self._close_message(out)
        item_id, call_id = call_item_id(call.name, self._tools), self._ids.free(call.wire_id)
        state = {"provider": self._provider, **call.state} if call.state else {}
        if len(call.wire_id) > LONGEST_CALL_ID:
            state = {"provider": self._provider, **state, "wire_id": call.wire_id}
        call.item = ToolCall(id=item_id, call_id=call_id, name=call.name, arguments="", state=state)
        self._started(call.item, out)
        self._output = True
        return call.item

    def _close_calls(self, out: list[ModelEvent], *, complete: bool) -> None:
        for call in self._calls:
            if not call.name:
                raise ProviderError(f"{self._provider} asked for a tool without naming it.", code="bad_tool_call")
            item = call.item or self._start(call, out)
            arguments = "".join(call.pieces)
            if not arguments and complete:
                arguments = "{}"
                out.append(ArgumentsDelta(item.id, arguments))
            state = {"provider": self._provider, **item.state, **call.state} if call.state else item.state
            done = ToolCall(id=item.id, call_id=item.call_id, name=item.name, arguments=arguments, state=state)
            self._done(done, out)

    # The end

    def end(self, out: list[ModelEvent]) -> None:
        """Close what is open and say how the step ended. Raises ProviderError unless the vendor said so too."""
        if self.finish is None:
            raise truncated(self._provider)
        finish = FINISHES.get(self.finish.lower())
        if finish is None:
            raise broken_off(self._provider, without_secrets(self.finish, self._secrets))
        usage = read_usage(self._usage, self._tier) if self._usage else None
        whole = finish in ("stop", "tool_calls")
        self._close_reasoning(out)
        if not self._output and whole and not self._calls:
            counted = usage is not None and usage.output_tokens > usage.reasoning_tokens
            if not self._stops and not (counted and self._trusted):
                raise ProviderError(f"{self._provider} sent an empty answer.", code="empty_answer")
            self._open_message(out)
        self._close_message(out, complete=whole)
        self._close_calls(out, complete=whole)
        if whole:
            finish = "tool_calls" if self._calls else "stop"
        out.append(StepDone(model=self._model, finish=finish, usage=usage))
