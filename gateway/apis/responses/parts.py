"""What the items of a stream are made of while they are open, and what is shown of them then."""

from dataclasses import dataclass

import orjson

from gateway.apis._calls import function_call
from gateway.apis._items import Wire, one_to_wire, part_to_wire
from gateway.events import ReasoningDelta, RefusalDelta, TextDelta
from gateway.items import Item, Message, Reasoning, Text, ToolCall

PARTS = {
    TextDelta: "output_text",
    RefusalDelta: "refusal",
    ReasoningDelta: "reasoning_text",
}


@dataclass(slots=True)
class Open:
    """An output item that was added and is not done. `part` is the kind of the content part that is open in it, and
    `before` what comes before the text in the frames of its deltas; `summary` is the same for a summary, empty until
    there is one."""

    index: int
    part: str = ""
    parts: int = 0
    before: bytes = b""
    summary: bytes = b""


def delta_before(fixed: Wire) -> bytes:
    """The frame of a delta as far as all deltas of a part have it in common."""
    return b'event: %b\ndata: %b,"delta":' % (fixed["type"].encode(), orjson.dumps(fixed)[:-1])


def summary_place(item_id: str, opened: Open) -> Wire:
    return {"item_id": item_id, "output_index": opened.index, "summary_index": 0}


def summary_part(text: str) -> Wire:
    return {"type": "summary_text", "text": text}


def opening(item: Item) -> Wire:
    """An item as it is when it is added: nothing in it yet."""
    match item:
        case Message(id=id, role=role):
            return {"id": id, "type": "message", "role": role, "status": "in_progress", "content": []}
        case Reasoning(id=id):
            return {"id": id, "type": "reasoning", "summary": [], "content": [], "status": "in_progress"}
        case ToolCall(type=kind):
            return {**function_call(item, "in_progress"), "input" if kind == "custom" else "arguments": ""}
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


def part_said(message: Message, index: int) -> Wire:
    """One part of it, as it is when it is done."""
    part = message.content[index] if 0 <= index < len(message.content) else Text(text="")
    return part_to_wire(part, "assistant")
