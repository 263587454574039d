"""What the served operations answer, as JSON schemas for the OpenAPI document: what a client may rely on, no more.

The names of the fields are OpenAI's (https://platform.openai.com/docs/api-reference); which of them a response must
have is the list of Open Responses (https://www.openresponses.org).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.prompt_tokens import SECTIONS

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
WHOLE: Schema = {"type": "integer", "minimum": 0}
NUMBER: Schema = {"type": "number"}
YES_NO: Schema = {"type": "boolean"}
ANY: Schema = {}
METADATA: Schema = {"type": "object", "additionalProperties": TEXT, "maxProperties": 16}


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def maybe(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def listed(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


def either(*values: str) -> Schema:
    return {"type": "string", "enum": list(values)}


def record(fields: Mapping[str, Schema], optional: Sequence[str] = ()) -> Schema:
    """An object with these fields; all but the `optional` ones are there. More may come."""
    required = [name for name in fields if name not in optional]
    return {"type": "object", "properties": dict(fields), "required": required}


def page(of: Schema) -> Schema:
    """A list as the SDKs page through it: they go on with `last_id` while `has_more`."""
    ends = maybe(TEXT)
    return record({"object": either("list"), "data": listed(of), "first_id": ends, "last_id": ends, "has_more": YES_NO})


def deleted(kind: str) -> Schema:
    return record({"id": TEXT, "object": either(kind), "deleted": {"const": True}})


STATUSES = ("in_progress", "completed", "incomplete", "failed", "cancelled", "queued")
FINISHES = ("stop", "length", "tool_calls", "function_call", "content_filter")

SCHEMAS: dict[str, Schema] = {
    "Error": record(
        {"error": record({"message": TEXT, "type": TEXT, "param": maybe(TEXT), "code": maybe(TEXT)})},
    ),
    "ServerSentEvent": record({"event": TEXT, "data": TEXT}, optional=("event",)),
    "Health": record({"status": TEXT}),
    "Model": record({"id": TEXT, "object": either("model"), "created": WHOLE, "owned_by": TEXT}),
    "ModelList": record({"object": either("list"), "data": listed(ref("Model"))}),
    "Item": record({"id": TEXT, "type": TEXT}),
    "ItemList": page(ref("Item")),
    "Conversation": record(
        {"id": TEXT, "object": either("conversation"), "created_at": WHOLE, "metadata": maybe(METADATA)}
    ),
    "ConversationDeleted": deleted("conversation.deleted"),
    "ResponseDeleted": deleted("response.deleted"),
    "ResponseUsage": record(
        {
            "input_tokens": WHOLE,
            "input_tokens_details": record({"cached_tokens": WHOLE, "cache_write_tokens": WHOLE}),
            "output_tokens": WHOLE,
            "output_tokens_details": record({"reasoning_tokens": WHOLE}),
            "total_tokens": WHOLE,
        }
    ),
    "Response": record(
        {
            "id": TEXT,
            "object": either("response"),
            "created_at": WHOLE,
            "completed_at": maybe(WHOLE),
            "status": either(*STATUSES),
            "incomplete_details": maybe(record({"reason": either("max_output_tokens", "content_filter", "steered")})),
            "model": TEXT,
            "previous_response_id": maybe(TEXT),
            "conversation": maybe(record({"id": TEXT})),
            "instructions": ANY,
            "output": listed(ref("Item")),
            "error": maybe(record({"code": TEXT, "message": TEXT})),
            "tools": listed(record({"type": TEXT})),
            "tool_choice": {"type": ["string", "object"]},
            "truncation": either("auto", "disabled"),
            "parallel_tool_calls": YES_NO,
            "text": record({"format": record({"type": TEXT})}),
            "top_p": NUMBER,
            "presence_penalty": NUMBER,
            "frequency_penalty": NUMBER,
            "top_logprobs": WHOLE,
            "temperature": NUMBER,
            "reasoning": maybe(record({"effort": maybe(TEXT), "summary": maybe(TEXT)})),
            "usage": maybe(ref("ResponseUsage")),
            "max_output_tokens": maybe(WHOLE),
            "max_tool_calls": maybe(WHOLE),
            "store": YES_NO,
            "background": YES_NO,
            "service_tier": TEXT,
            "metadata": maybe(METADATA),
            "safety_identifier": maybe(TEXT),
            "prompt_cache_key": maybe(TEXT),
            "user": TEXT,
        },
        optional=("user",),
    ),
    "Prompt": record(
        {
            "id": TEXT,
            "object": either("response.prompt", "chat.completion.prompt"),
            "data": listed(
                record(
                    {
                        "index": WHOLE,
                        "created_at": WHOLE,
                        "model": TEXT,
                        "url": TEXT,
                        "status": either("completed", "failed", "cancelled"),
                        "error": maybe(record({"code": TEXT, "message": TEXT})),
                        "body": TEXT,
                        "body_sha256": TEXT,
                        "exact": YES_NO,
                        "redacted": YES_NO,
                        "tokens": record(dict.fromkeys((*SECTIONS, "total"), WHOLE)),
                        "tokens_counted": either("scaled_to_usage", "estimate"),
                        "usage": maybe(ref("ResponseUsage")),
                    }
                )
            ),
        }
    ),
    "ResponseCompaction": record(
        {
            "id": TEXT,
            "object": either("response.compaction"),
            "created_at": WHOLE,
            "output": listed(ref("Item")),
            "usage": ref("ResponseUsage"),
        }
    ),
    "ResponseInputTokens": record({"object": either("response.input_tokens"), "input_tokens": WHOLE}),
    "CompletionUsage": record({"prompt_tokens": WHOLE, "completion_tokens": WHOLE, "total_tokens": WHOLE}),
    "ToolCall": record(
        {"id": TEXT, "type": TEXT, "function": record({"name": TEXT, "arguments": TEXT})}, optional=("function",)
    ),
    "ChatMessage": record(
        {
            "role": either("assistant"),
            "content": maybe(TEXT),
            "refusal": maybe(TEXT),
            "tool_calls": listed(ref("ToolCall")),
        },
        optional=("tool_calls",),
    ),
    "ChatCompletion": record(
        {
            "id": TEXT,
            "object": either("chat.completion"),
            "created": WHOLE,
            "model": TEXT,
            "choices": listed(
                record(
                    {
                        "index": WHOLE,
                        "message": ref("ChatMessage"),
                        "logprobs": maybe({"type": "object"}),
                        "finish_reason": either(*FINISHES),
                    }
                )
            ),
            "usage": ref("CompletionUsage"),
        }
    ),
    "EmbeddingList": record(
        {
            "object": either("list"),
            "data": listed(
                record(
                    {
                        "object": either("embedding"),
                        "index": WHOLE,
                        "embedding": {"anyOf": [TEXT, listed(NUMBER)]},
                    }
                )
            ),
            "model": TEXT,
            "usage": record({"prompt_tokens": WHOLE, "total_tokens": WHOLE}),
        }
    ),
    "Completion": record(
        {
            "id": TEXT,
            "object": either("text_completion"),
            "created": WHOLE,
            "model": TEXT,
            "choices": listed(
                record({"index": WHOLE, "text": TEXT, "logprobs": maybe({"type": "object"}), "finish_reason": TEXT})
            ),
            "usage": ref("CompletionUsage"),
        }
    ),
    "Approval": record(
        {
            "id": TEXT,
            "object": either("approval"),
            "status": either("pending", "approved", "denied", "expired"),
            "code": TEXT,
            "server_label": TEXT,
            "name": TEXT,
            "arguments": TEXT,
            "model": TEXT,
            "requested_by": TEXT,
            "created_at": WHOLE,
            "expires_at": WHOLE,
            "answered_at": maybe(WHOLE),
            "reason": maybe(TEXT),
            "response_id": maybe(TEXT),
        }
    ),
    "ApprovalList": page(ref("Approval")),
    "ChatCompletionDeleted": deleted("chat.completion.deleted"),
    "ChatCompletionList": page(ref("ChatCompletion")),
    "ChatMessageList": page(record({"id": TEXT, "role": TEXT})),
}
