"""A response that came as one JSON, as the stream of events it would have been: each part of it in one piece."""

from collections.abc import Iterator
from typing import Any, cast

import orjson

Json = dict[str, Any]
Events = Iterator[tuple[str, Json]]


def as_events(response: Json) -> bytes:
    """Raises TypeError for one that is nested deeper than the writer goes. It has an `output` and a `status`."""
    events = [
        event_frame(f"response.{kind}", {"type": f"response.{kind}", **fields, "sequence_number": number})
        for number, (kind, fields) in enumerate(told(response))
    ]
    return b"".join(events)


def event_frame(kind: str, event: Json) -> bytes:
    """Raises TypeError, as `as_events`."""
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps(event))


def told(response: Json) -> Events:
    begun: Json = {**response, "status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
    yield "created", {"response": begun}
    yield "in_progress", {"response": begun}
    for place, item in enumerate(response["output"]):
        if isinstance(item, dict):
            yield from told_item(cast(Json, item), place)
    yield response["status"], {"response": response}


def told_item(item: Json, index: int) -> Events:
    place: Json = {"item_id": item.get("id") or "", "output_index": index}
    match item:
        case {"type": "message", "content": [*parts]}:
            yield "output_item.added", {"output_index": index, "item": {**item, "status": "in_progress", "content": []}}
            for number, part in enumerate(cast(list[object], parts)):
                if isinstance(part, dict):
                    yield from told_part(cast(Json, part), {**place, "content_index": number})
        case {"type": "function_call", "arguments": str(arguments)}:
            yield "output_item.added", {"output_index": index, "item": {**item, "arguments": ""}}
            yield "function_call_arguments.delta", {**place, "delta": arguments}
            yield "function_call_arguments.done", {**place, "name": item.get("name"), "arguments": arguments}
        case {"type": "custom_tool_call", "input": str(given)}:
            yield "output_item.added", {"output_index": index, "item": {**item, "input": ""}}
            yield "custom_tool_call_input.delta", {**place, "delta": given}
            yield "custom_tool_call_input.done", {**place, "input": given}
        case _:
            yield "output_item.added", {"output_index": index, "item": item}
    yield "output_item.done", {"output_index": index, "item": item}


def told_part(part: Json, place: Json) -> Events:
    match part:
        case {"type": "output_text", "text": str(text)}:
            scores: Json = {"logprobs": part.get("logprobs") or []}
            yield "content_part.added", {**place, "part": {**part, "text": "", "annotations": [], "logprobs": []}}
            yield "output_text.delta", {**place, "delta": text, **scores}
            yield "output_text.done", {**place, "text": text, **scores}
        case {"type": "refusal", "refusal": str(text)}:
            yield "content_part.added", {**place, "part": {**part, "refusal": ""}}
            yield "refusal.delta", {**place, "delta": text}
            yield "refusal.done", {**place, "refusal": text}
        case _:
            yield "content_part.added", {**place, "part": part}
    yield "content_part.done", {**place, "part": part}
