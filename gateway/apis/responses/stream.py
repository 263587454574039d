"""A run's events as the Responses stream: numbered from 0, every item opened and closed, ids the same throughout."""

from dataclasses import dataclass

import orjson

from gateway.apis._items import Wire, function_call, mcp_call, one_to_wire
from gateway.apis._wire import DONE
from gateway.apis.responses.to_wire import client_tools, to_ending, to_response
from gateway.events import (
    ArgumentsDelta,
    CallsStarted,
    Ending,
    Event,
    ItemDone,
    ItemStarted,
    ReasoningDelta,
    RefusalDelta,
    RunCancelled,
    RunCompleted,
    RunFailed,
    RunPaused,
    RunStarted,
    TextDelta,
)
from gateway.items import Item, Message, Reasoning, Refusal, Text, ToolCall, ToolResult
from gateway.ports import Turn
from gateway.recorder import to_end


@dataclass(slots=True)
class Open:
    """An output item that was added and is not done. `part` is the kind of the content part that is open in it."""

    index: int
    call: ToolCall | None = None
    part: str = ""
    parts: int = 0
    before: bytes = b""


class ResponseStream:
    """Renders one run, event by event."""

    def __init__(self, turn: Turn) -> None:
        self._response = to_response(turn)
        self._client_tools = client_tools(turn)
        self._number = 0
        self._output: list[Wire] = []
        self._open: dict[str, Open] = {}
        self._calls: dict[str, ToolCall] = {}
        self._added = 0

    def render(self, event: Event) -> bytes:
        """The frames of one event, `b""` for none."""
        match event:
            case TextDelta(item_id=item_id, text=text):
                return self._delta(item_id, text, "output_text")
            case RefusalDelta(item_id=item_id, text=text):
                return self._delta(item_id, text, "refusal")
            case ReasoningDelta(item_id=item_id, text=text):
                return self._delta(item_id, text, "reasoning_text")
            case ArgumentsDelta(item_id=item_id, text=text):
                return self._arguments(item_id, text)
            case RunStarted():
                return self._lifecycle("created") + self._lifecycle("in_progress")
            case ItemStarted(item=item):
                return b"" if self._is_ours(item) else self._add(item)
            case CallsStarted(calls=calls):
                return b"".join(self._begin_call(call) for call in calls)
            case ItemDone(item=item):
                return self._done(item)
            case RunPaused() | RunCompleted() | RunFailed() | RunCancelled():
                return self._ending(event)
            case _:
                return b""

    def _is_ours(self, item: Item) -> bool:
        """A call the gateway answers is shown once it is decided that it runs, not while the model writes it."""
        return isinstance(item, ToolCall) and item.name not in self._client_tools

    def _event(self, kind: str, fields: Wire) -> bytes:
        number, self._number = self._number, self._number + 1
        body = {"type": f"response.{kind}", **fields, "sequence_number": number}
        return b"event: response.%b\ndata: %b\n\n" % (kind.encode(), orjson.dumps(body))

    def _lifecycle(self, kind: str) -> bytes:
        return self._event(kind, {"response": self._response})

    def _add(self, item: Item, wire: Wire | None = None) -> bytes:
        opened = Open(index=self._added, call=item if isinstance(item, ToolCall) else None)
        self._added += 1
        self._open[item.id] = opened
        self._output.append({})  # Its place; `_close` fills it.
        shown = wire or opening(item)
        return self._event("output_item.added", {"output_index": opened.index, "item": shown})

    def _close(self, item: Item, wire: Wire) -> bytes:
        opened = self._open.pop(item.id)
        self._output[opened.index] = wire
        return self._event("output_item.done", {"output_index": opened.index, "item": wire})

    def _delta(self, item_id: str, text: str, part: str) -> bytes:
        opened = self._open[item_id]
        begin = b""
        if opened.part != part:
            begin = self._close_part(item_id, opened, "") + self._open_part(item_id, opened, part)
        number, self._number = self._number, self._number + 1
        return begin + b'%b%b,"sequence_number":%d}\n\n' % (opened.before, orjson.dumps(text), number)

    def _open_part(self, item_id: str, opened: Open, part: str) -> bytes:
        """Start a content part; what is the same in all of its deltas is encoded here, once."""
        opened.part = part
        place = {"item_id": item_id, "output_index": opened.index, "content_index": opened.parts}
        opened.parts += 1
        fixed: Wire = {"type": f"response.{part}.delta", **place}
        if part == "output_text":
            fixed["logprobs"] = []
        opened.before = b'event: response.%b.delta\ndata: %b,"delta":' % (part.encode(), orjson.dumps(fixed)[:-1])
        return self._event("content_part.added", {**place, "part": content_part(part, "")})

    def _close_part(self, item_id: str, opened: Open, text: str) -> bytes:
        """End the part that is open, whose whole text is `text`."""
        if not (part := opened.part):
            return b""
        opened.part = ""
        place = {"item_id": item_id, "output_index": opened.index, "content_index": opened.parts - 1}
        key = "refusal" if part == "refusal" else "text"
        logprobs: Wire = {"logprobs": []} if part == "output_text" else {}
        done = self._event(f"{part}.done", {**place, key: text, **logprobs})
        return done + self._event("content_part.done", {**place, "part": content_part(part, text)})

    def _arguments(self, item_id: str, text: str) -> bytes:
        if (opened := self._open.get(item_id)) is None:
            return b""
        return self._event(
            "function_call_arguments.delta", {"item_id": item_id, "output_index": opened.index, "delta": text}
        )

    def _begin_call(self, call: ToolCall) -> bytes:
        """A call the gateway runs: all of its arguments at once, since they were checked before it was shown."""
        added = self._add(call, {**mcp_call(call, None), "arguments": ""})
        place = {"item_id": call.id, "output_index": self._open[call.id].index}
        return b"".join(
            (
                added,
                self._event("mcp_call.in_progress", place),
                self._event("mcp_call_arguments.delta", {**place, "delta": call.arguments}),
                self._event("mcp_call_arguments.done", {**place, "arguments": call.arguments}),
            )
        )

    def _done(self, item: Item) -> bytes:
        match item:
            case ToolCall():
                return self._call_done(item)
            case ToolResult(call_id=call_id):
                return self._result_done(item, self._calls.get(call_id))
            case Message():
                begin = b"" if item.id in self._open else self._add(item)
                return begin + self._message_done(item) + self._close(item, one_to_wire(item))
            case Reasoning():
                begin = b"" if item.id in self._open else self._add(item)
                opened = self._open[item.id]
                return begin + self._close_part(item.id, opened, item.text) + self._close(item, one_to_wire(item))
            case _:
                return self._add(item) + self._close(item, one_to_wire(item))

    def _message_done(self, item: Message) -> bytes:
        """Close the open part with its text; parts that never streamed are opened and closed here."""
        opened = self._open[item.id]
        frames = [self._close_part(item.id, opened, part_text(item, opened.parts - 1))]
        for part in item.content[opened.parts :]:
            kind = "refusal" if isinstance(part, Refusal) else "output_text"
            said = part.text if isinstance(part, Text | Refusal) else ""
            frames += [self._open_part(item.id, opened, kind), self._close_part(item.id, opened, said)]
        return b"".join(frames)

    def _call_done(self, call: ToolCall) -> bytes:
        self._calls[call.call_id] = call
        if self._is_ours(call):
            return b""
        begin = b"" if call.id in self._open else self._add(call)
        place = {"item_id": call.id, "output_index": self._open[call.id].index}
        # `name` is required by openai 2.x and gone in 3.x, which ignores it.
        done = self._event("function_call_arguments.done", {**place, "name": call.name, "arguments": call.arguments})
        return begin + done + self._close(call, function_call(call, "completed"))

    def _result_done(self, result: ToolResult, call: ToolCall | None) -> bytes:
        if call is None or not self._is_ours(call):
            return b""
        begin = b"" if call.id in self._open else self._begin_call(call)
        place = {"item_id": call.id, "output_index": self._open[call.id].index}
        kind = "mcp_call.failed" if result.is_error else "mcp_call.completed"
        return begin + self._event(kind, place) + self._close(call, mcp_call(call, result))

    def _ending(self, event: Ending) -> bytes:
        self._output = [wire for wire in self._output if wire]
        self._response |= {"output": self._output, **to_ending(to_end(event), self._output)}
        # There is no `response.cancelled` in the protocol; a reader of a cancelled run gets the end of the stream.
        last = b"" if isinstance(event, RunCancelled) else self._lifecycle(self._response["status"])
        return last + DONE


def opening(item: Item) -> Wire:
    """An item as it is when it is added: nothing in it yet."""
    match item:
        case Message(id=id, role=role):
            return {"id": id, "type": "message", "role": role, "status": "in_progress", "content": []}
        case Reasoning(id=id):
            return {"id": id, "type": "reasoning", "summary": [], "content": [], "status": "in_progress"}
        case ToolCall():
            return {**function_call(item, "in_progress"), "arguments": ""}
        case _:
            return one_to_wire(item)


def content_part(kind: str, text: str) -> Wire:
    match kind:
        case "refusal":
            return {"type": "refusal", "refusal": text}
        case "reasoning_text":
            return {"type": "reasoning_text", "text": text}
        case _:
            return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def part_text(message: Message, index: int) -> str:
    part = message.content[index] if 0 <= index < len(message.content) else None
    return part.text if isinstance(part, Text | Refusal) else ""
