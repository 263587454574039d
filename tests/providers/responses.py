"""What a provider says that speaks OpenAI's Responses: items, and the events that they come in."""

import json

from tests.providers.replay import Answer
from tests.providers.wires import SAID as SAID

USAGE = {
    "input_tokens": 9,
    "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 1},
    "output_tokens": 7,
    "output_tokens_details": {"reasoning_tokens": 5},
    "total_tokens": 16,
}
THOUGHT = {
    "type": "reasoning",
    "id": "rs_v",
    "summary": [{"type": "summary_text", "text": "Look it up."}, {"type": "summary_text", "text": "Say it."}],
    "encrypted_content": "proof",
}
CLOCK = {"type": "function", "name": "clock", "parameters": {"type": "object", "properties": {}}}


def called(number):
    place = {"type": "function_call", "id": f"fc_v{number}", "call_id": f"call_v{number}"}
    return {**place, "name": "clock", "arguments": json.dumps({"zone": number}), "status": "completed"}


def streamed(*items, status="completed", **fields):
    """The events of these items, each in small pieces, and of an ending."""
    events = [("created", {"response": {"id": "resp_v", "object": "response", "status": "in_progress", "output": []}})]
    for index, item in enumerate(items):
        place = {"item_id": item["id"], "output_index": index}
        bare = {name: [] if isinstance(value, list) else value for name, value in item.items()}
        bare = {name: value for name, value in bare.items() if name != "encrypted_content"}
        events.append(("output_item.added", {"output_index": index, "item": {**bare, "status": "in_progress"}}))
        for number, part in enumerate(item.get("summary", ())):
            part_place = {**place, "summary_index": number}
            events.append(("reasoning_summary_part.added", {**part_place, "part": {**part, "text": ""}}))
            events += [("reasoning_summary_text.delta", {**part_place, "delta": piece}) for piece in cut(part["text"])]
            events.append(("reasoning_summary_text.done", {**part_place, "text": part["text"]}))
        for number, part in enumerate(item.get("content", ())):
            kind = part["type"]
            name = "refusal" if kind == "refusal" else "text"
            part_place = {**place, "content_index": number}
            events += [(f"{kind}.delta", {**part_place, "delta": piece}) for piece in cut(part[name])]
            events.append((f"{kind}.done", {**part_place, name: part[name]}))
        for piece in cut(item.get("arguments", "")):
            events.append(("function_call_arguments.delta", {**place, "delta": piece}))
        events.append(("output_item.done", {"output_index": index, "item": item}))
    response = {"id": "resp_v", "object": "response", "status": status, "output": list(items), "usage": USAGE}
    events.append((status, {"response": {**response, "service_tier": "flex", "error": None, **fields}}))
    return [{"type": f"response.{kind}", "sequence_number": n, **rest} for n, (kind, rest) in enumerate(events)]


def cut(text):
    return [text[start : start + 5] for start in range(0, len(text), 5)]


def sse(events):
    return Answer("".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events).encode())


def whole(event):
    return Answer(json.dumps(event["response"]).encode(), content_type="application/json")
