"""How a chat completion ends: why, and what it cost, in every vendor's words."""

from typing import Any

from gateway.errors import ProviderError, ProviderOverloaded
from gateway.events import Finish, Usage
from gateway.providers.chat_shapes import counted

FINISHES: dict[str, Finish] = {
    "stop": "stop",
    "stop_sequence": "stop",
    "end_turn": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "complete": "stop",
    "tool_calls": "tool_calls",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "content_filter": "content_filter",
    "content_filtered": "content_filter",
    "refusal": "content_filter",
    "guardrail_intervened": "content_filter",
    "safety": "content_filter",
    "recitation": "content_filter",
    "blocklist": "content_filter",
    "prohibited_content": "content_filter",
    "spii": "content_filter",
    "model_context_window_exceeded": "length",
    # Anthropic's own tools took too long for one answer; it could be asked to go on.
    "pause_turn": "length",
}
"""Reasons to finish by vendors' names, lower case. Any other is a failure: nobody knows that the answer is whole."""


TIERS = {name: name for name in ("auto", "default", "flex", "scale", "priority", "fast")} | {"ultrafast": "fast"}
"""Service tiers by the names that OpenAI's clients take in an answer. Only 3.x takes `ultrafast`, in responses."""


def is_error(chunk: dict[str, Any]) -> bool:
    """Whether a chunk, or a whole answer, is an error though it came with status 200."""
    return bool(chunk.get("error")) or chunk.get("type") == "error" or chunk.get("object") == "error"


def truncated(provider: str) -> ProviderError:
    """An answer that nobody said was whole."""
    return ProviderError(
        f"{provider} ended its answer without a finish reason: it is not whole.", code="stream_truncated"
    )


def broken_off(provider: str, reason: str) -> ProviderError:
    """An answer whose finish reason is none of `FINISHES`."""
    kind = ProviderOverloaded if reason == "insufficient_system_resource" else ProviderError
    return kind(f"{provider} broke off its answer: {reason}.", code="stream_broken_off")


def read_usage(usage: dict[str, Any], service_tier: Any = None) -> Usage:
    """Token counts under the names that OpenAI, DeepSeek, OpenRouter and LiteLLM give them."""
    prompt, completion = details(usage, "prompt_tokens_details"), details(usage, "completion_tokens_details")
    input_tokens, output_tokens = counted(usage.get("prompt_tokens")), counted(usage.get("completion_tokens"))
    reasoning = counted(completion.get("reasoning_tokens"))
    # xAI leaves reasoning out of `completion_tokens`, which its total shows.
    if reasoning and usage.get("total_tokens") == input_tokens + output_tokens + reasoning:
        output_tokens += reasoning
    written = counted(
        prompt.get("cache_write_tokens"),
        prompt.get("cache_creation_tokens"),
        usage.get("cache_creation_input_tokens"),
    )
    return Usage(
        input_tokens=input_tokens,
        cached_tokens=counted(prompt.get("cached_tokens"), usage.get("prompt_cache_hit_tokens")),
        cache_write_tokens=written,
        output_tokens=output_tokens,
        reasoning_tokens=reasoning,
        service_tier=tier(service_tier),
    )


def response_usage(response: dict[str, Any]) -> Usage | None:
    """What a response says that it took, under the names of OpenAI's Responses."""
    usage: dict[str, Any] = details(response, "usage")
    if not usage:
        return None
    given, made = details(usage, "input_tokens_details"), details(usage, "output_tokens_details")
    return Usage(
        input_tokens=counted(usage.get("input_tokens")),
        cached_tokens=counted(given.get("cached_tokens")),
        cache_write_tokens=counted(given.get("cache_write_tokens")),
        output_tokens=counted(usage.get("output_tokens")),
        reasoning_tokens=counted(made.get("reasoning_tokens")),
        service_tier=tier(response.get("service_tier")),
    )


def tier(value: Any) -> str:
    """The service tier that a provider names; empty for one that OpenAI's clients do not know."""
    return TIERS.get(value, "") if isinstance(value, str) else ""


def details(usage: dict[str, Any], name: str) -> dict[str, Any]:
    found: Any = usage.get(name)
    # Not `cast`, which is a call.
    return found if isinstance(found, dict) else {}  # pyright: ignore[reportUnknownVariableType]
