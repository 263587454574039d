"""LiteLLM's objects as plain dictionaries and its exceptions as ours. Everything untyped about it ends here."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from gateway.errors import ProviderError, ProviderRefused, ProviderTimeout
from gateway.providers.chat_body import Json
from gateway.providers.unicode import clean, cleaned
from gateway.providers.vendor_errors import from_response, garbled, without_secrets
from gateway.providers.vendors import OPENAI_OPTIONS

MAY_BE_DROPPED: Mapping[str, tuple[Any, ...]] = {
    "seed": (),
    "user": (),
    "verbosity": (),
    "parallel_tool_calls": (True,),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "top_p": (1,),
    "temperature": (1,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "reasoning_effort": ("none", "minimal"),
    **dict.fromkeys(OPENAI_OPTIONS, ()),
}
"""Options that a vendor need not know: with these values, or with any where none is named, an answer without them is
what was asked for. All others are refused rather than silently forgotten."""

INVENTED = frozenset({"APIConnectionError", "MidStreamFallbackError"})
"""LiteLLM's exceptions whose status code no vendor sent."""

FIELDS = ("content", "reasoning_content", "thinking_blocks", "refusal", "annotations")


def plain(value: Any) -> Any:
    """A pydantic object or dictionary as a dictionary."""
    return value.model_dump(exclude_none=True) if hasattr(value, "model_dump") else value


def as_chunk(chunk: Any) -> Json:
    """A ModelResponse, ModelResponseStream or GenericStreamingChunk as a chat completion chunk."""
    if isinstance(chunk, dict):
        return generic(cast(Json, chunk))
    choices: list[Json] = []
    for choice in chunk.choices[:1]:
        delta: Any = getattr(choice, "delta", None) or getattr(choice, "message", None)
        choices.append({"delta": as_delta(delta) if delta is not None else {}, "finish_reason": choice.finish_reason})
    usage = getattr(chunk, "usage", None)
    return {"choices": cleaned(choices), "usage": plain(usage)}


def as_delta(delta: Any) -> Json:
    found: Json = {}
    for name in FIELDS:
        if value := getattr(delta, name, None):
            found[name] = [plain(block) for block in cast(list[Any], value)] if isinstance(value, list) else value
    if calls := getattr(delta, "tool_calls", None):
        found["tool_calls"] = [as_call(call) for call in calls]
    extra: Any = getattr(delta, "provider_specific_fields", None)
    if isinstance(extra, dict) and "refusal" not in found and isinstance(extra.get("refusal"), str):  # pyright: ignore[reportUnknownMemberType]
        found["refusal"] = extra["refusal"]
    return found


def as_call(call: Any) -> Json:
    call = plain(call)
    return {"index": call.get("index"), "id": call.get("id"), "function": plain(call.get("function")) or {}}


def generic(chunk: Json) -> Json:
    """LiteLLM's older chunk: text, at most one tool call, a finish reason that counts if `is_finished`."""
    delta: Json = {"content": chunk.get("text")}
    if chunk.get("tool_use") is not None:
        delta["tool_calls"] = [as_call(chunk["tool_use"])]
    finish = chunk.get("finish_reason") if chunk.get("is_finished") else None
    return {"choices": [{"delta": cleaned(delta), "finish_reason": finish}], "usage": plain(chunk.get("usage"))}


def fitted(options: Json, supported: Iterable[str], vendor: str) -> Json:
    """The options that the vendor knows. Raises ProviderRefused for one whose loss would change the answer."""
    known = set(supported) | {"stream", "stream_options"}
    kept: Json = {}
    for name, value in options.items():
        if name in known:
            kept[name] = value
        elif name in MAY_BE_DROPPED:
            harmless = MAY_BE_DROPPED[name]
            if harmless and value not in harmless:
                raise refused(vendor, name)
        elif not (name == "tool_choice" and value == "auto"):
            raise refused(vendor, name)
    return kept


def refused(vendor: str, option: str) -> ProviderRefused:
    return ProviderRefused(
        f"{vendor} cannot honour {option!r} for this model.", code="unsupported_parameter", param=option
    )


def from_exception(provider: str, error: Exception, secrets: Iterable[str], *, answered: bool = False) -> ProviderError:
    """What LiteLLM raised, by what the vendor answered: LiteLLM's own classes are chosen by words of the message.

    `answered`: the vendor sent an answer and no error. That it cannot be read is then a 422 of LiteLLM's.
    """
    chain = list(causes(error))
    for cause in chain:
        if isinstance(cause, ProviderError):
            return cause
        response: Any = getattr(cause, "response", None)
        if type(cause).__name__ == "HTTPStatusError" and response is not None:
            return from_response(provider, response.status_code, lower(response.headers), body_of(response), secrets)
    for cause in reversed(chain):
        status = getattr(cause, "status_code", None)
        # LiteLLM's connection errors say 500 although nobody answered.
        if isinstance(status, int) and 400 <= status <= 599 and type(cause).__name__ not in INVENTED:
            if answered and status == 422:
                return garbled(provider)
            text = str(getattr(cause, "message", "") or cause)
            return from_response(provider, status, headers_of(cause), embedded(text).encode(), secrets)
    if any("Timeout" in type(cause).__name__ for cause in chain):
        return ProviderTimeout(f"{provider} did not answer in time.")
    told = next((cause for cause in chain if type(cause).__name__ not in INVENTED), error)
    words = without_secrets(clean(first_line(str(told))), secrets)
    return ProviderError(f"{provider} failed: {type(told).__name__}: {words}")


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """The exception, what it wraps, and so on to the first."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = getattr(error, "original_exception", None) or error.__cause__ or error.__context__


def headers_of(error: BaseException) -> dict[str, str]:
    response: Any = getattr(error, "response", None)
    for headers in (getattr(response, "headers", None), getattr(error, "headers", None)):
        if headers:
            return lower(headers)
    return {}


def lower(headers: Any) -> dict[str, str]:
    return {str(name).lower(): str(value) for name, value in headers.items()}


def body_of(response: Any) -> bytes:
    """The body if it was read; a stream that was not is gone."""
    try:
        return response.content
    except RuntimeError:
        return b""


def embedded(text: str) -> str:
    """The vendor's JSON inside a message such as `GeminiException - {...}`; the message where there is none."""
    start = text.find("{")
    if start >= 0:
        try:
            found, _ = json.JSONDecoder().raw_decode(text[start:])
            return json.dumps(found)
        except ValueError:
            pass
    return json.dumps({"message": first_line(text)})


def first_line(text: str) -> str:
    """LiteLLM appends tracebacks and whole conversations to its messages."""
    return text.strip().partition("\n")[0]
