"""What tests of relayed responses ask, what a vendor answers, and how its answer is read."""

import json

from tests.providers import relays

ASK = {"model": "x/m", "input": "Hi.", "store": False}
STREAM = {**ASK, "stream": True}
LANE = {"lane": "responses"}
USER = {"role": "user", "content": "Hi."}
CALL = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "clock", "arguments": "{}"}
RESULT = {"type": "function_call_output", "call_id": "call_1", "output": "noon"}
DONE = b"data: [DONE]\n\n"

RESPONSE = {
    "id": "resp_v",
    "object": "response",
    "created_at": 1,
    "model": "m-2026",
    "error": None,
    "output": [],
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
    "status": "in_progress",
    "odd": 1.0,
}
TEXT = 'He said "response.completed", "error": 1.'
PART = {"type": "output_text", "text": TEXT, "annotations": [], "logprobs": []}
MESSAGE = {"id": "msg_v", "type": "message", "role": "assistant", "status": "completed", "content": [PART]}
THOUGHT = {"id": "rs_v", "type": "reasoning", "summary": [], "encrypted_content": "gAAAA-proof"}
USAGE = {
    "input_tokens": 3,
    "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
    "output_tokens": 2,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 5,
}
ENDED = {**RESPONSE, "status": "completed", "output": [THOUGHT, MESSAGE], "usage": USAGE}
AT = {"item_id": "msg_v", "output_index": 1, "content_index": 0}
TOLD = [
    ("created", {"response": RESPONSE}),
    ("in_progress", {"response": RESPONSE}),
    ("output_item.added", {"output_index": 0, "item": {**THOUGHT, "encrypted_content": None}}),
    ("output_item.done", {"output_index": 0, "item": THOUGHT}),
    ("output_item.added", {"output_index": 1, "item": {**MESSAGE, "status": "in_progress", "content": []}}),
    ("content_part.added", {**AT, "part": {**PART, "text": ""}}),
    *[("output_text.delta", {**AT, "delta": TEXT[n : n + 9], "logprobs": []}) for n in range(0, len(TEXT), 9)],
    ("output_text.done", {**AT, "text": TEXT, "logprobs": []}),
    ("content_part.done", {**AT, "part": PART}),
    ("output_item.done", {"output_index": 1, "item": MESSAGE}),
    ("completed", {"response": ENDED}),
]


def event(kind, fields, number, gap=""):
    body = {"type": kind, "sequence_number": number, **fields}
    return f"event: {kind}\ndata: {json.dumps(body, separators=(',', ':' + gap))}\n\n".encode()


EVENTS = [
    # Whitespace where a vendor may have it, and not where the gateway would.
    event(f"response.{kind}", fields, number, " " * (number % 2))
    for number, (kind, fields) in enumerate(TOLD)
]
COMMENT = b": hm\n\n"
SSE = COMMENT + b"".join(EVENTS)
SPOKEN = len(COMMENT) + sum(map(len, EVENTS[:2]))
"""Where the stream begins to say something."""
ENDS = len(SSE) - len(EVENTS[-1])
"""Where it begins to end."""
WHOLE = json.dumps(ENDED, indent=1).encode()


def whole(body=WHOLE, status=200, **headers):
    return relays.whole(body, status, **headers)


async def ask(http, body=ASK, **more):
    return await http.post("/v1/responses", json=body, **more)


def events(answer):
    """The events of a stream, which ends with [DONE]."""
    assert answer.content.endswith(DONE)
    frames = answer.content.removesuffix(DONE).replace(b"\r", b"").split(b"\n\n")
    return [json.loads(frame.split(b"data: ", 1)[1]) for frame in frames if b"data: " in frame]


def failure(answer):
    """The response that failed at the end of a stream, after numbers without a gap."""
    read = events(answer)
    assert [one["sequence_number"] for one in read] == list(range(len(read)))
    assert read[-1]["type"] == "response.failed"
    response = read[-1]["response"]
    assert (response["id"], response["status"]) == ("resp_v", "failed")
    assert response["error"].keys() == {"code", "message"}
    return response["error"]
