"""A run's events as chat completion chunks, and folded as one completion."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from gateway.apis._approval_text import question
from gateway.apis._calls import free_text
from gateway.apis._wire import DONE, error_body, frame
from gateway.apis.chat.messages import answer_of, said_in, to_tool_call
from gateway.errors import RunInterrupted
from gateway.events import (
    ArgumentsDelta,
    Event,
    ItemDone,
    ItemStarted,
    RefusalDelta,
    RunCancelled,
    RunCompleted,
    RunFailed,
    RunPaused,
    RunStarted,
    ScoredDelta,
    TextDelta,
    Usage,
)
from gateway.items import ApprovalRequest, Item, Message, Text, ToolCall
from gateway.ports import Turn
from gateway.recorder import to_end
from gateway.storage import TurnEnd

FINISH = {"stop": "stop", "length": "length", "content_filter": "content_filter", "max_steps": "length"}
ROLE = {"role": "assistant", "content": "", "refusal": None}

Wire = dict[str, Any]


class Chunks:
    """Renders one run, event by event. Only the client's own calls are shown; the gateway answers the others itself.

    The run is the choice number `index` of the completion with this `id`. `ended` gives what follows the choice's last
    chunk, from what the run has used.
    """

    def __init__(
        self,
        turn: Turn,
        *,
        include_usage: bool,
        id: str = "",
        index: int = 0,
        ended: Callable[[Usage], bytes] | None = None,
    ) -> None:
        head = {"id": id or turn.id, "object": "chat.completion.chunk", "created": int(turn.created_at)}
        self._head = {**head, "model": turn.agent.name}
        self._index = index
        self._usage = {"usage": None} if include_usage else {}
        self._ended = ended or self.tail
        # What is the same in every text frame is encoded once: a token then costs one small string.
        before = orjson.dumps({**self._head, **self._usage})[:-1]
        self._before = b'data: %b,"choices":[{"index":%d,"delta":{' % (before, index)
        self._after = b'},"logprobs":null,"finish_reason":null}]}\n\n'
        self._say = self._scored if turn.wire.get("logprobs") else self._text
        self._legacy = bool(turn.wire.get("legacy"))
        self._calls: dict[str, int] = {}
        self._custom: set[str] = set()
        self._said = False
        self._gap = False

    def render(self, event: Event) -> bytes:
        match event:
            case TextDelta():
                return self._say(event)
            case ArgumentsDelta(item_id=item_id, text=text):
                return self._arguments(item_id, text)
            case RefusalDelta(text=text):
                return self._delta(b'"refusal":', text)
            case RunStarted():
                return self._chunk(ROLE)
            case ItemDone(item=ToolCall(type="custom") as call):
                return self._input(call)
            case ItemDone(item=ApprovalRequest() as request):
                self._gap = self._said
                return self._text(TextDelta(request.id, question(request)))
            case ItemStarted(item=Message()):
                self._gap = self._said
                return b""
            case ItemStarted(item=ToolCall() as call) if not call.server:
                return self._call(call)
            case RunPaused() | RunCompleted() | RunFailed() | RunCancelled():
                return self._ending(event)
            case _:
                return b""

    def tail(self, usage: Usage) -> bytes:
        """What ends the stream."""
        last = frame({**self._head, "choices": [], "usage": to_usage(usage)}) if self._usage else b""
        return last + DONE

    def _text(self, delta: TextDelta) -> bytes:
        """Two messages of one run are one message here; a blank line keeps apart what they say."""
        text = delta.text
        if not text:
            return b""
        if self._gap:
            text, self._gap = f"\n\n{text}", False
        self._said = True
        return self._delta(b'"content":', text)

    def _scored(self, delta: TextDelta) -> bytes:
        if not isinstance(delta, ScoredDelta):
            return self._text(delta)
        text = f"\n\n{delta.text}" if self._gap else delta.text
        self._gap, self._said = False, True
        return self._chunk({"content": text}, logprobs=to_logprobs(delta.logprobs))

    def _delta(self, key: bytes, text: str) -> bytes:
        return self._before + key + orjson.dumps(text) + self._after

    def _call(self, call: ToolCall) -> bytes:
        index = self._calls[call.id] = len(self._calls)
        if call.type == "custom":
            self._custom.add(call.id)
            begun = {"id": call.call_id, "type": "custom", "custom": {"name": call.name, "input": ""}}
            return self._chunk({"tool_calls": [{"index": index, **begun}]})
        if not self._legacy:
            return self._chunk({"tool_calls": [{"index": index, **to_tool_call(call)}]})
        # There is no place for a second one.
        return b"" if index else self._chunk({"function_call": to_function_call(call)})

    def _input(self, call: ToolCall) -> bytes:
        """What a custom tool is called with: known only when the JSON around it is whole."""
        if call.id not in self._custom:
            return b""
        return self._chunk({"tool_calls": [{"index": self._calls[call.id], "custom": {"input": free_text(call)}}]})

    def _arguments(self, item_id: str, text: str) -> bytes:
        if (index := self._calls.get(item_id)) is None or item_id in self._custom:
            return b""
        if not self._legacy:
            return self._chunk({"tool_calls": [{"index": index, "function": {"arguments": text}}]})
        return b"" if index else self._chunk({"function_call": {"arguments": text}})

    def _chunk(self, delta: Wire, finish: str | None = None, logprobs: Wire | None = None) -> bytes:
        choice = {"index": self._index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        return frame({**self._head, **self._usage, "choices": [choice]})

    def _ending(self, event: RunPaused | RunCompleted | RunFailed | RunCancelled) -> bytes:
        match event:
            case RunFailed(error=error):
                # No [DONE]: the SDKs raise on the error, and nothing may look like a proper end.
                return frame({"error": error_body(error)})
            case RunCancelled():
                return b""
            case RunPaused() | RunCompleted():
                finish = to_finish(to_end(event), called=bool(self._calls), legacy=self._legacy)
                if tier := event.usage.service_tier:
                    self._head["service_tier"] = tier
                return self._chunk({}, finish) + self._ended(event.usage)


@dataclass(frozen=True, slots=True)
class Answer:
    """A run that has come to its end, and what it said."""

    turn: Turn
    output: Sequence[Item]
    end: TurnEnd


def to_answer(turn: Turn, events: Iterable[Event]) -> Answer:
    """A finished run as an answer. Raises the error of one that failed or was cancelled."""
    output: list[Item] = []
    for event in events:
        match event:
            case ItemDone(item=item):
                output.append(item)
            case RunPaused() | RunCompleted():
                return Answer(turn, output, to_end(event))
            case RunFailed(error=error):
                raise error
            case _:
                pass
    raise RunInterrupted("The completion was cancelled.", code="cancelled")


def to_completion(answers: Sequence[Answer]) -> Wire:
    """The completion that the chunks of the same runs would add up to; one choice for each of them."""
    turn = answers[0].turn
    return {
        "id": turn.id,
        "object": "chat.completion",
        "created": int(turn.created_at),
        "model": turn.agent.name,
        "choices": [to_choice(answer, index) for index, answer in enumerate(answers)],
        "usage": to_usage(together([answer.end.usage for answer in answers])),
        "service_tier": answers[-1].end.usage.service_tier or None,
        "system_fingerprint": None,
    }


def to_choice(answer: Answer, index: int) -> Wire:
    wire = answer.turn.wire
    legacy = bool(wire.get("legacy"))
    messages, calls = answer_of(answer.output)
    text, refusal = said_in(messages)
    annotations: list[Wire] = []
    scores: list[Wire] = []
    for message in messages:
        for part in message.content:
            if isinstance(part, Text):
                annotations += part.annotations
                scores += part.logprobs if wire.get("logprobs") else ()
    said: Wire = {
        "role": "assistant",
        "content": text or None,
        "refusal": refusal or None,
        "annotations": annotations,
    }
    if calls and legacy:
        said["function_call"] = to_function_call(calls[0])
    elif calls:
        said["tool_calls"] = [to_tool_call(call) for call in calls]
    return {
        "index": index,
        "message": said,
        "logprobs": to_logprobs(scores) if scores else None,
        "finish_reason": to_finish(answer.end, called=bool(calls), legacy=legacy),
    }


def to_finish(end: TurnEnd, *, called: bool, legacy: bool) -> str:
    """Of a run that waits for an approval there is no more to come: the question is its text."""
    if end.status != "paused":
        return FINISH.get(end.reason, "stop")
    if not called:
        return "stop"
    return "function_call" if legacy else "tool_calls"


def to_function_call(call: ToolCall) -> Wire:
    """A call in the shape that came before tools."""
    return {"name": call.name, "arguments": call.arguments}


def to_logprobs(scores: Sequence[Wire]) -> Wire:
    return {"content": list(scores), "refusal": None}


def together(usages: Sequence[Usage]) -> Usage:
    """What the choices of one completion used: the prompt, which they share, counts once."""
    if len(usages) == 1:
        return usages[0]
    prompt = max(usages, key=lambda usage: usage.input_tokens)
    return Usage(
        input_tokens=prompt.input_tokens,
        cached_tokens=prompt.cached_tokens,
        cache_write_tokens=prompt.cache_write_tokens,
        output_tokens=sum(usage.output_tokens for usage in usages),
        reasoning_tokens=sum(usage.reasoning_tokens for usage in usages),
    )


def to_usage(usage: Usage) -> Wire:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
