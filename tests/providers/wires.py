"""The same short answer on four wires, for tests that hold for every lane."""

import json
from dataclasses import dataclass

OPENAI = [
    {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [{"index": 0, **choice}]}
    for choice in (
        {"delta": {"role": "assistant", "content": "Hel"}, "finish_reason": None},
        {"delta": {"content": "lo."}, "finish_reason": None},
        {"delta": {}, "finish_reason": "stop"},
    )
]

ANTHROPIC = [
    {"type": "message_start", "message": {"id": "m", "type": "message", "role": "assistant", "model": "m",
     "content": [], "usage": {"input_tokens": 3, "output_tokens": 1}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hel"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "lo."}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
    {"type": "message_stop"},
]  # fmt: skip

GEMINI = [
    {"candidates": [{"content": {"role": "model", "parts": [{"text": text}]}, "index": 0, **finish}]}
    for text, finish in (("Hel", {}), ("lo.", {}), ("", {"finishReason": "STOP"}))
]

SAID = {"type": "message", "id": "msg_v", "role": "assistant", "status": "completed",
        "content": [{"type": "output_text", "text": "Hello.", "annotations": [], "logprobs": []}]}  # fmt: skip
RESPONSES = [
    {"type": f"response.{kind}", "sequence_number": number, **fields}
    for number, (kind, fields) in enumerate(
        (
            ("created", {"response": {"id": "resp_v", "object": "response", "status": "in_progress", "output": []}}),
            ("output_item.added", {"output_index": 0, "item": {**SAID, "status": "in_progress", "content": []}}),
            ("output_text.delta", {"item_id": "msg_v", "output_index": 0, "content_index": 0, "delta": "Hel"}),
            ("output_text.delta", {"item_id": "msg_v", "output_index": 0, "content_index": 0, "delta": "lo."}),
            ("output_item.done", {"output_index": 0, "item": SAID}),
            ("completed", {"response": {"id": "resp_v", "object": "response", "status": "completed", "output": [SAID],
             "service_tier": "flex", "usage": {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}}}),
        )
    )
]  # fmt: skip


@dataclass(frozen=True)
class Leg:
    """One lane with a vendor that it is used for. `whole` is an answer; `begun` the bytes of it before its end."""

    lane: str
    vendor: str
    whole: bytes
    begun: int

    @property
    def settings(self) -> dict[str, str]:
        return {"litellm_provider": self.vendor, "lane": self.lane}


def leg(lane: str, vendor: str, events: list[dict], told: int, end: bytes = b"") -> Leg:
    """`told` is how many events make the text."""
    lines = [f"data: {json.dumps(event)}\n\n".encode() for event in events]
    return Leg(lane, vendor, b"".join(lines) + end, sum(map(len, lines[:told])))


LEGS = [
    leg("openai", "openai", OPENAI, 2, b"data: [DONE]\n\n"),
    leg("transformed", "anthropic", ANTHROPIC, 4),
    leg("litellm", "anthropic", ANTHROPIC, 4),
    leg("litellm", "openai", OPENAI, 2, b"data: [DONE]\n\n"),
    leg("litellm", "gemini", GEMINI, 2),
    leg("responses", "openai", RESPONSES, 4),
]
