"""What a client sees on the wire, without an SDK in between."""

import json
from typing import Any

Wire = dict[str, Any]

KEYS = frozenset(
    "id object created_at completed_at status incomplete_details model previous_response_id instructions output error "
    "tools tool_choice truncation parallel_tool_calls text top_p presence_penalty frequency_penalty top_logprobs "
    "temperature reasoning usage max_output_tokens max_tool_calls store background service_tier metadata "
    "safety_identifier prompt_cache_key".split()
)
"""What Open Responses requires of every response object."""
USAGE = {
    "input_tokens": int,
    "input_tokens_details": {"cached_tokens": int, "cache_write_tokens": int},
    "output_tokens": int,
    "output_tokens_details": {"reasoning_tokens": int},
    "total_tokens": int,
}
WEATHER = {
    "type": "function",
    "name": "weather",
    "description": "The weather in a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}
CHAT_WEATHER = {"type": "function", "function": {key: value for key, value in WEATHER.items() if key != "type"}}


def asks(text: Any, **more: Any) -> Wire:
    return {"model": "helper", "input": text, **more}


def chats(text: Any, **more: Any) -> Wire:
    return {"model": "helper", "messages": [{"role": "user", "content": text}], **more}


async def events(gateway: Any, body: Wire) -> list[Wire]:
    """The events of a streamed response, whose frames must be well formed and end with [DONE]."""
    async with gateway.http.stream("POST", "/v1/responses", json={**body, "stream": True}) as answer:
        assert answer.status_code == 200, await answer.aread()
        text = "".join([piece async for piece in answer.aiter_text()])
    *frames, last, rest = text.split("\n\n")
    assert (last, rest) == ("data: [DONE]", "")
    seen = []
    for frame in frames:
        name, data = frame.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        seen.append(event)
    return seen


async def chunks(gateway: Any, body: Wire) -> list[Wire]:
    """The chunks of a streamed chat completion."""
    answer = await gateway.http.post("/v1/chat/completions", json={**body, "stream": True})
    *frames, last, rest = answer.text.split("\n\n")
    assert (last, rest) == ("data: [DONE]", "")
    return [json.loads(frame.removeprefix("data: ")) for frame in frames]


async def respond(gateway: Any, body: Wire, status: int = 200) -> Wire:
    answer = await gateway.http.post("/v1/responses", json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


def error_of(answer: Any) -> Wire:
    """The error of an answer, which must have OpenAI's four keys and nothing else, and a request id."""
    body = answer.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert answer.headers["x-request-id"].startswith("req_")
    return body["error"]


def of(events: list[Wire], kind: str) -> list[Wire]:
    return [event for event in events if event["type"] == f"response.{kind}"]


def shape(value: Any, expected: Any) -> bool:
    """Whether a JSON value has this shape: types for numbers, all keys of objects."""
    if isinstance(expected, dict):
        return isinstance(value, dict) and all(shape(value.get(key), one) for key, one in expected.items())
    return isinstance(value, expected) and not isinstance(value, bool)
