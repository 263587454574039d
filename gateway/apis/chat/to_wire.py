"""A run's events as chat completion chunks, and folded as one completion."""

from collections.abc import Iterable
from typing import Any

import orjson

from gateway.apis._wire import DONE, error_body, frame
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
    TextDelta,
    Usage,
)
from gateway.items import Message, Refusal, Text, ToolCall
from gateway.ports import Turn

FINISH = {"stop": "stop", "length": "length", "content_filter": "content_filter", "max_steps": "length"}


class Chunks:
    """Renders one run, event by event. Only the client's own calls are shown; the gateway answers the others itself."""

    def __init__(self, turn: Turn, *, include_usage: bool) -> None:
        head = {"id": turn.id, "object": "chat.completion.chunk", "created": int(turn.created_at)}
        self._head = {**head, "model": turn.agent.name}
        self._usage = {"usage": None} if include_usage else {}
        # What is the same in every text frame is encoded once: a token then costs one small string.
        before = orjson.dumps({**self._head, **self._usage})[:-1]
        self._before = b'data: %b,"choices":[{"index":0,"delta":{' % before
        self._after = b'},"logprobs":null,"finish_reason":null}]}\n\n'
        self._calls: dict[str, int] = {}
        self._said = False
        self._gap = False

    def render(self, event: Event) -> bytes:
        match event:
            case TextDelta(text=text):
                return self._text(text)
            case ArgumentsDelta(item_id=item_id, text=text):
                return self._arguments(item_id, text)
            case RefusalDelta(text=text):
                return self._delta(b'"refusal":', text)
            case RunStarted():
                return self._chunk({"role": "assistant", "content": "", "refusal": None})
            case ItemStarted(item=Message()):
                self._gap = self._said
                return b""
            case ItemStarted(item=ToolCall() as call) if not call.server:
                self._calls[call.id] = len(self._calls)
                opening = {"index": self._calls[call.id], **to_tool_call(call)}
                return self._chunk({"tool_calls": [opening]})
            case RunPaused() | RunCompleted() | RunFailed() | RunCancelled():
                return self._ending(event)
            case _:
                return b""

    def _text(self, text: str) -> bytes:
        """Two messages of one run are one message here; a blank line keeps apart what they say."""
        if not text:
            return b""
        if self._gap:
            text, self._gap = f"\n\n{text}", False
        self._said = True
        return self._delta(b'"content":', text)

    def _delta(self, key: bytes, text: str) -> bytes:
        return self._before + key + orjson.dumps(text) + self._after

    def _arguments(self, item_id: str, text: str) -> bytes:
        if (index := self._calls.get(item_id)) is None:
            return b""
        return self._chunk({"tool_calls": [{"index": index, "function": {"arguments": text}}]})

    def _chunk(self, delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return frame({**self._head, **self._usage, "choices": [choice]})

    def _ending(self, event: RunPaused | RunCompleted | RunFailed | RunCancelled) -> bytes:
        match event:
            case RunFailed(error=error):
                # No [DONE]: the SDKs raise on the error, and nothing may look like a proper end.
                return frame({"error": error_body(error)})
            case RunCancelled():
                return b""
            case RunPaused() | RunCompleted():
                last = self._chunk({}, to_finish(event))
                if self._usage:
                    last += frame({**self._head, "choices": [], "usage": to_usage(event.usage)})
                return last + DONE


def to_completion(turn: Turn, events: Iterable[Event]) -> dict[str, Any]:
    """The completion that the chunks of the same events would add up to. Raises the error of a failed run."""
    messages: list[Message] = []
    calls: list[ToolCall] = []
    finish, usage = "stop", Usage()
    for event in events:
        match event:
            case ItemDone(item=Message() as message):
                messages.append(message)
            case ItemDone(item=ToolCall() as call) if not call.server:
                calls.append(call)
            case RunPaused() | RunCompleted():
                finish, usage = to_finish(event), event.usage
            case RunFailed(error=error):
                raise error
            case _:
                pass
    text = "\n\n".join(message.text for message in messages if message.text)
    refusal = "".join(part.text for message in messages for part in message.content if isinstance(part, Refusal))
    annotations = [
        note for message in messages for part in message.content if isinstance(part, Text) for note in part.annotations
    ]
    message = {"role": "assistant", "content": text or None, "refusal": refusal or None, "annotations": annotations}
    if calls:
        message["tool_calls"] = [to_tool_call(call) for call in calls]
    return {
        "id": turn.id,
        "object": "chat.completion",
        "created": int(turn.created_at),
        "model": turn.agent.name,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish}],
        "usage": to_usage(usage),
        "service_tier": "default",
        "system_fingerprint": None,
    }


def to_finish(ending: RunPaused | RunCompleted) -> str:
    """Of a run that waits for an approval, which this dialect cannot ask for, there is no more to come."""
    if isinstance(ending, RunPaused):
        return "tool_calls" if ending.client_calls else "stop"
    return FINISH[ending.reason]


def to_tool_call(call: ToolCall) -> dict[str, Any]:
    return {"id": call.call_id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def to_usage(usage: Usage) -> dict[str, Any]:
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
