"""How a chat completion ends: why, and what it cost, in every vendor's words."""

from typing import Any

from gateway.events import Finish, Usage

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


def read_usage(usage: dict[str, Any]) -> Usage:
    """Token counts under the names that OpenAI, DeepSeek, OpenRouter and LiteLLM give them."""
    prompt: dict[str, Any] = usage.get("prompt_tokens_details") or {}
    completion: dict[str, Any] = usage.get("completion_tokens_details") or {}
    input_tokens, output_tokens = usage.get("prompt_tokens") or 0, usage.get("completion_tokens") or 0
    reasoning = completion.get("reasoning_tokens") or 0
    # xAI leaves reasoning out of `completion_tokens`, which its total shows.
    if reasoning and usage.get("total_tokens") == input_tokens + output_tokens + reasoning:
        output_tokens += reasoning
    written = prompt.get("cache_write_tokens") or prompt.get("cache_creation_tokens")
    return Usage(
        input_tokens=input_tokens,
        cached_tokens=prompt.get("cached_tokens") or usage.get("prompt_cache_hit_tokens") or 0,
        cache_write_tokens=written or usage.get("cache_creation_input_tokens") or 0,
        output_tokens=output_tokens,
        reasoning_tokens=reasoning,
    )
