"""Answers on six wires as their vendors document them, written by hand: text, thoughts, parallel calls, an error.

The contract that recorded traffic is held to runs over these where no recordings are.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from tests.providers.replay import Answer, Recording
from tests.providers.responses import SAID, THOUGHT, called, streamed

Json = dict[str, Any]

TEXT = ("The ", "answer is ", "42.")
THOUGHTS = ("Six by ", "nine.")
CITIES = ("Paris", "Lyon")
USAGE = {"prompt_tokens": 9, "completion_tokens": 7, "total_tokens": 16}


def chat(*deltas: Json, finish: str = "stop") -> list[Json]:
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    said = [{**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    end = {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}
    return [*said, end, {**head, "choices": [], "usage": USAGE}]


def fragments() -> list[Json]:
    """Two calls, a piece of each at a time."""
    begun = [
        {"index": n, "id": f"call_{n}", "type": "function", "function": {"name": "weather", "arguments": ""}}
        for n, _ in enumerate(CITIES)
    ]
    pieces = [
        {"index": n, "function": {"arguments": piece}}
        for n, city in enumerate(CITIES)
        for piece in ('{"city": ', f'"{city}"}}')
    ]
    return [{"tool_calls": [one]} for one in (*begun, *pieces)]


def openai(*thoughts: Json) -> dict[str, list[Json]]:
    text = [{"role": "assistant", "content": ""}, *thoughts, *({"content": piece} for piece in TEXT)]
    return {"text": chat(*text), "parallel calls": chat(*thoughts, *fragments(), finish="tool_calls")}


def mistral() -> dict[str, list[Json]]:
    thinking = [{"content": [{"type": "thinking", "thinking": [{"type": "text", "text": it}]}]} for it in THOUGHTS]
    whole = [
        {"id": f"abcdefgh{n}", "index": n, "function": {"name": "weather", "arguments": json.dumps({"city": city})}}
        for n, city in enumerate(CITIES)
    ]
    text = chat(*thinking, *({"content": piece} for piece in TEXT))
    return {"text": text, "parallel calls": chat({"content": "", "tool_calls": whole}, finish="tool_calls")}


def block(index: int, start: Json, kind: str, name: str, pieces: Sequence[str], *more: Json) -> list[Json]:
    deltas = [*({"type": kind, name: piece} for piece in pieces), *more]
    return [
        {"type": "content_block_start", "index": index, "content_block": start},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def anthropic() -> dict[str, list[Json]]:
    proof = {"type": "signature_delta", "signature": "cHJvb2Y="}
    thinking = block(
        0, {"type": "thinking", "thinking": "", "signature": ""}, "thinking_delta", "thinking", THOUGHTS, proof
    )
    text = block(1, {"type": "text", "text": ""}, "text_delta", "text", TEXT)
    calls = [
        event
        for n, city in enumerate(CITIES, 1)
        for event in block(
            n, {"type": "tool_use", "id": f"toolu_{n}", "name": "weather", "input": {}},
            "input_json_delta", "partial_json", ('{"city": ', f'"{city}"}}'),
        )
    ]  # fmt: skip
    return {"text": claude(thinking + text, "end_turn"), "parallel calls": claude(thinking + calls, "tool_use")}


def claude(blocks: list[Json], reason: str) -> list[Json]:
    usage = {"input_tokens": 9, "output_tokens": 1}
    message = {"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [], "usage": usage}
    end = {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 7}}
    return [{"type": "message_start", "message": message}, *blocks, end, {"type": "message_stop"}]


def gemini() -> dict[str, list[Json]]:
    calls = [{"functionCall": {"name": "weather", "args": {"city": city}}} for city in CITIES]
    thoughts = [{"text": piece, "thought": True} for piece in THOUGHTS]
    return {
        "text": [google([part]) for part in thoughts] + [google([{"text": it}]) for it in TEXT] + [google([], "STOP")],
        "parallel calls": [google(thoughts), google(calls, "STOP")],
    }


def google(parts: list[Json], finish: str = "") -> Json:
    ending = {"finishReason": finish} if finish else {}
    counts = {"promptTokenCount": 9, "candidatesTokenCount": 7, "totalTokenCount": 16}
    return {
        "candidates": [{"content": {"role": "model", "parts": parts or [{"text": ""}]}, "index": 0, **ending}],
        "usageMetadata": counts,
    }


ANSWERS: dict[str, dict[str, list[Json]]] = {
    "openai": openai(),
    "ollama": openai(*({"reasoning": piece} for piece in THOUGHTS)),
    "mistral": mistral(),
    "anthropic": anthropic(),
    "gemini": gemini(),
    "responses": {"text": streamed(THOUGHT, SAID), "parallel calls": streamed(THOUGHT, called(1), called(2))},
}
BUSY: dict[str, tuple[int, Json]] = {
    "anthropic": (529, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
    "gemini": (503, {"error": {"code": 503, "message": "Overloaded.", "status": "UNAVAILABLE"}}),
}
LIMITED = (429, {"error": {"message": "Slow down.", "type": "requests", "code": "rate_limit_exceeded"}})


def written() -> Iterator[Recording]:
    for vendor, answers in ANSWERS.items():
        end = b"data: [DONE]\n\n" if vendor in ("openai", "ollama", "mistral") else b""
        for name, events in answers.items():
            body = "".join(f"data: {json.dumps(event)}\n\n" for event in events).encode() + end
            yield Recording(f"written/{vendor}/{name}", vendor, "m", Answer(body))
        status, error = BUSY.get(vendor, LIMITED)
        answer = Answer(json.dumps(error).encode(), status, "application/json")
        yield Recording(f"written/{vendor}/error", vendor, "m", answer)


def text_of(vendor: str) -> str:
    return "Hello." if vendor == "responses" else "".join(TEXT)


def arguments_of(vendor: str) -> list[Json]:
    return [{"zone": 1}, {"zone": 2}] if vendor == "responses" else [{"city": city} for city in CITIES]
