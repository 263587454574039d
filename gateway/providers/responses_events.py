"""Events of OpenAI's Responses, as dictionaries, into ours. The answer as a whole is read as its last event.

https://platform.openai.com/docs/api-reference/responses-streaming. Items are known by their place in the output: some
servers give an item another id in each event. What is not an answer (calls of tools that the vendor runs itself) is
left out. An answer is whole only if the vendor says so, else it is a ProviderError.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.errors import ProviderError
from gateway.events import (
    ArgumentsDelta,
    Finish,
    ItemDone,
    ItemStarted,
    ModelEvent,
    ReasoningDelta,
    RefusalDelta,
    ScoredDelta,
    StepDone,
    SummaryDelta,
    TextDelta,
)
from gateway.items import Item, Message, Phase, Reasoning, Refusal, Text, ToolCall, new_id
from gateway.ports import ModelCall
from gateway.providers.call_ids import CallIds
from gateway.providers.chat_chunks import LARGEST_ANSWER, PIECE
from gateway.providers.chat_ending import broken_off, is_error, response_usage, truncated
from gateway.providers.chat_shapes import Json, WrongShape, blocks_size, mapping, objects
from gateway.providers.item_ids import call_item_id
from gateway.providers.logprobs import read_scores
from gateway.providers.vendor_errors import from_body, too_large, without_secrets

CUT_OFF: Mapping[str, Finish] = {
    "max_output_tokens": "length",
    "max_tokens": "length",
    "content_filter": "content_filter",
}
"""Why an answer is incomplete. Any other reason is a failure."""
PHASES: Mapping[Any, Phase] = {"commentary": "commentary", "final_answer": "final_answer"}
BETWEEN_PARTS = "\n\n"
"""Between the parts of a summary, which are one text here."""


@dataclass(slots=True)
class Output:
    """One item of the answer while its pieces arrive. `item` is there once readers know of it; `said` are pieces of a
    message's text, of thoughts or of arguments; `part` is which part of the summary was said last."""

    kind: str
    item: Message | Reasoning | ToolCall | None = None
    said: list[str] = field(default_factory=list[str])
    refused: list[str] = field(default_factory=list[str])
    summary: list[str] = field(default_factory=list[str])
    scores: list[Json] = field(default_factory=list[Json])
    part: int = 0
    done: bool = False


class ResponsesDecoder:
    """`feed` the events until one is the last. Events of ours are appended to the list that is passed in.

    `provider`, `model` and `secrets` are as for `ChunkDecoder`.
    """

    def __init__(self, provider: str, model: str, call: ModelCall, secrets: Sequence[str] = ()) -> None:
        self._provider, self._model, self._tools, self._secrets = provider, model, call.tools, secrets
        self._scored = bool(call.options.get("logprobs"))
        self._ids = CallIds(call.items)
        self._outputs: dict[int, Output] = {}
        self._open: list[str] = []
        self._waiting: dict[str, Item] = {}
        self._answered = False
        self._called = False
        self._kept = 0
        self._readers: Mapping[Any, Callable[[Json, list[ModelEvent]], None]] = {
            "response.output_text.delta": self._text,
            "response.function_call_arguments.delta": self._arguments,
            "response.reasoning_summary_text.delta": self._summary,
            "response.reasoning_text.delta": self._thought,
            "response.refusal.delta": self._refusal,
            "response.output_item.added": self._added,
            "response.output_item.done": self._item_done,
        }

    def feed(self, event: Json, out: list[ModelEvent]) -> bool:
        """True for the last event. Raises ProviderError for one that says that the answer failed."""
        kind: Any = event.get("type")
        try:
            if isinstance(kind, str) and (read := self._readers.get(kind)):
                read(event, out)
                if self._kept > LARGEST_ANSWER:
                    raise too_large(self._provider)
                return False
            if kind in ("response.completed", "response.incomplete", "response.failed", "response.cancelled"):
                self._ended(kind, mapping(event.get("response")), out)
                return True
        except WrongShape as error:
            raise self._garbled() from error
        if is_error(event):
            raise from_body(self._provider, event, secrets=self._secrets)
        if not isinstance(kind, str):
            raise self._garbled()
        return False

    def end(self) -> None:
        """Nothing more comes. Raises ProviderError: the last event was not there."""
        raise truncated(self._provider)

    def _garbled(self) -> ProviderError:
        return ProviderError(f"{self._provider} sent something that is no response.", code="stream_garbled")

    # Pieces

    def _at(self, event: Json, kind: str) -> Output:
        """The item that an event is about, which must be of this kind. A server may not have said that it begins."""
        place = event.get("output_index")
        if type(place) is not int:
            raise WrongShape
        output = self._outputs.get(place)
        if output is None:
            output = self._outputs[place] = Output(kind)
        if output.kind != kind or output.done:
            raise WrongShape
        return output

    def _delta(self, event: Json) -> str:
        self._kept += len(text := words(event.get("delta"))) + PIECE
        return text

    def _text(self, event: Json, out: list[ModelEvent]) -> None:
        output, text = self._at(event, "message"), self._delta(event)
        scores = read_scores(event.get("logprobs")) if self._scored else []
        output.scores += scores
        self._kept += PIECE * len(scores)
        if text or scores:
            self._say(output, text, out, tuple(scores))

    def _say(self, output: Output, text: str, out: list[ModelEvent], scores: tuple[Json, ...] = ()) -> None:
        id = self._begun(output, out)
        output.said.append(text)
        out.append(ScoredDelta(id, text, scores) if scores else TextDelta(id, text))

    def _refusal(self, event: Json, out: list[ModelEvent]) -> None:
        output = self._at(event, "message")
        if text := self._delta(event):
            self._refuse(output, text, out)

    def _refuse(self, output: Output, text: str, out: list[ModelEvent]) -> None:
        id = self._begun(output, out)
        output.refused.append(text)
        out.append(RefusalDelta(id, text))

    def _thought(self, event: Json, out: list[ModelEvent]) -> None:
        output = self._at(event, "reasoning")
        if text := self._delta(event):
            self._think(output, text, out)

    def _think(self, output: Output, text: str, out: list[ModelEvent]) -> None:
        id = self._begun(output, out)
        output.said.append(text)
        out.append(ReasoningDelta(id, text))

    def _summary(self, event: Json, out: list[ModelEvent]) -> None:
        output, part = self._at(event, "reasoning"), event.get("summary_index")
        if text := self._delta(event):
            if type(part) is int and part != output.part:
                text = BETWEEN_PARTS + text if output.summary else text
                output.part = part
            self._sum_up(output, text, out)

    def _sum_up(self, output: Output, text: str, out: list[ModelEvent]) -> None:
        id = self._begun(output, out)
        output.summary.append(text)
        out.append(SummaryDelta(id, text))

    def _arguments(self, event: Json, out: list[ModelEvent]) -> None:
        output = self._at(event, "function_call")
        if text := self._delta(event):
            self._argue(output, text, out)

    def _argue(self, output: Output, text: str, out: list[ModelEvent]) -> None:
        if output.item is None:
            raise WrongShape
        output.said.append(text)
        out.append(ArgumentsDelta(output.item.id, text))

    # Items

    def _added(self, event: Json, out: list[ModelEvent]) -> None:
        raw, place = mapping(event.get("item")), event.get("output_index")
        if type(place) is not int or place in self._outputs:
            raise WrongShape
        self._kept += PIECE
        output = self._outputs[place] = Output(words(raw.get("type")))
        if output.kind == "function_call":
            self._called_for(output, raw, out)
        elif output.kind == "reasoning":
            # The first sign of life of a model that may think for minutes and tell nothing of it.
            self._begun(output, out)
        elif output.kind == "message" and (phase := PHASES.get(words(raw.get("phase") or ""))):
            output.item = Message(id="", role="assistant", content=(), phase=phase)

    def _begun(self, output: Output, out: list[ModelEvent]) -> str:
        """The id of a message or a thought. A message starts, for readers, with its first piece."""
        item = output.item
        if item is None or not item.id:
            if output.kind == "message":
                phase = item.phase if isinstance(item, Message) else ""
                item = Message(id=new_id("msg"), role="assistant", content=(), phase=phase)
                self._answered = True
            else:
                item = Reasoning(id=new_id("rs"))
            self._start(output, item, out)
        return item.id

    def _called_for(self, output: Output, raw: Json, out: list[ModelEvent]) -> None:
        name, wire_id = raw.get("name"), words(raw.get("call_id") or "")
        if not name or not isinstance(name, str):
            raise ProviderError(f"{self._provider} asked for a tool without naming it.", code="bad_tool_call")
        self._called = self._answered = True
        id, call_id = call_item_id(name, self._tools), self._ids.free(wire_id)
        self._start(output, ToolCall(id=id, call_id=call_id, name=name, arguments=""), out)

    def _start(self, output: Output, item: Message | Reasoning | ToolCall, out: list[ModelEvent]) -> None:
        output.item = item
        self._open.append(item.id)
        out.append(ItemStarted(item))

    def _item_done(self, event: Json, out: list[ModelEvent]) -> None:
        raw, place = mapping(event.get("item")), event.get("output_index")
        if type(place) is not int:
            raise WrongShape
        output = self._outputs.get(place)
        if output is None:
            output = self._outputs[place] = Output(words(raw.get("type")))
        self._close(output, raw, out)

    def _close(self, output: Output, raw: Json, out: list[ModelEvent], *, whole: bool = True) -> None:
        """The item is over. `raw` is the vendor's last word on it, empty if there is none: what of it was not streamed
        is told now."""
        if output.done or (raw and raw.get("type") != output.kind):
            raise WrongShape
        output.done = True
        match output.kind:
            case "message":
                self._close_message(output, raw, out, whole=whole)
            case "reasoning":
                self._close_reasoning(output, raw, out)
            case "function_call":
                self._close_call(output, raw, out, whole=whole)
            case _:
                pass

    def _close_message(self, output: Output, raw: Json, out: list[ModelEvent], *, whole: bool) -> None:
        parts = objects(raw.get("content") or [])
        texts = [part for part in parts if part.get("type") == "output_text"]
        if text := self._left(output.said, "".join(words(part.get("text")) for part in texts)):
            scores = [score for part in texts for score in read_scores(part.get("logprobs"))] if self._scored else []
            output.scores += scores
            self._say(output, text, out, tuple(scores))
        refusals = [words(part.get("refusal")) for part in parts if part.get("type") == "refusal"]
        if text := self._left(output.refused, "".join(refusals)):
            self._refuse(output, text, out)
        item = output.item
        if not isinstance(item, Message) or not item.id:
            # It says nothing.
            return
        notes = [note for part in texts for note in objects(part.get("annotations") or [])]
        self._kept += blocks_size(notes)
        content: list[Text | Refusal] = []
        if output.said:
            text = "".join(output.said)
            content.append(Text(text=text, annotations=tuple(notes), logprobs=tuple(output.scores)))
        if output.refused:
            content.append(Refusal(text="".join(output.refused)))
        phase = PHASES.get(words(raw.get("phase") or ""), item.phase)
        complete = whole and raw.get("status") != "incomplete"
        said = Message(id=item.id, role="assistant", content=tuple(content), complete=complete, phase=phase)
        self._done(said, out)

    def _close_reasoning(self, output: Output, raw: Json, out: list[ModelEvent]) -> None:
        summary = BETWEEN_PARTS.join(words(part.get("text")) for part in objects(raw.get("summary") or []))
        if text := self._left(output.summary, summary):
            self._sum_up(output, text, out)
        if text := self._left(output.said, "".join(words(it.get("text")) for it in objects(raw.get("content") or []))):
            self._think(output, text, out)
        state: Json = {}
        if proof := words(raw.get("encrypted_content") or ""):
            self._kept += len(proof)
            state = {"provider": self._provider, "encrypted_content": proof, "id": words(raw.get("id") or "")}
        id = self._begun(output, out)
        self._done(Reasoning(id=id, text="".join(output.said), summary="".join(output.summary), state=state), out)

    def _close_call(self, output: Output, raw: Json, out: list[ModelEvent], *, whole: bool) -> None:
        if output.item is None:
            self._called_for(output, raw, out)
        if text := self._left(output.said, words(raw.get("arguments") or "")):
            self._argue(output, text, out)
        if not output.said and whole:
            self._argue(output, "{}", out)
        item = output.item
        assert isinstance(item, ToolCall)
        call = ToolCall(id=item.id, call_id=item.call_id, name=item.name, arguments="".join(output.said))
        self._done(call, out)

    def _left(self, told: list[str], whole: str) -> str:
        """What of the whole text was not told yet. Where the two differ, what was told stands."""
        before = "".join(told)
        left = whole[len(before) :] if whole.startswith(before) else ""
        self._kept += len(left)
        if self._kept > LARGEST_ANSWER:
            raise too_large(self._provider)
        return left

    def _done(self, item: Item, out: list[ModelEvent]) -> None:
        """Items are done in the order in which they were started."""
        self._waiting[item.id] = item
        while self._open and (first := self._waiting.pop(self._open[0], None)):
            del self._open[0]
            out.append(ItemDone(first))

    # The end

    def _ended(self, kind: str, response: Json, out: list[ModelEvent]) -> None:
        """Raises ProviderError unless the answer came to a proper end, by itself or by a limit."""
        if is_error(response) or kind == "response.failed":
            raise from_body(self._provider, {"error": response.get("error") or {}}, secrets=self._secrets)
        finish = self._finish(kind, response)
        whole = finish == "stop"
        listed = objects(response.get("output") or [])
        kinds: dict[int, Any] = {place: raw.get("type") for place, raw in enumerate(listed)}
        # Where the list has other places than the stream had, what was streamed would be said, or called, twice.
        if all(kinds.get(place) == output.kind for place, output in self._outputs.items()):
            for place in kinds.keys() - self._outputs.keys():
                self._outputs[place] = Output(words(kinds[place]))
        for place, output in sorted(self._outputs.items()):
            if not output.done:
                raw = listed[place] if place < len(listed) else {}
                self._close(output, raw if raw.get("type") == output.kind else {}, out, whole=whole)
        usage = response_usage(response)
        if whole and not self._answered:
            if usage is None or usage.output_tokens <= usage.reasoning_tokens:
                raise ProviderError(f"{self._provider} sent an empty answer.", code="empty_answer")
            self._say(empty := Output("message"), "", out)
            self._close(empty, {}, out)
        called: Finish = "tool_calls" if self._called else "stop"
        out.append(StepDone(model=self._model, finish=called if whole else finish, usage=usage))

    def _finish(self, kind: str, response: Json) -> Finish:
        """By the event, and by the response in it, of which some servers have only one right."""
        status = words(response.get("status") or kind.removeprefix("response."))
        if kind == "response.completed" and status == "completed":
            return "stop"
        details = response.get("incomplete_details")
        reason = words(mapping(details).get("reason") or status) if details else status
        if "incomplete" in (status, kind.removeprefix("response.")) and (finish := CUT_OFF.get(reason)):
            return finish
        raise broken_off(self._provider, without_secrets(reason, self._secrets))


def words(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise WrongShape
