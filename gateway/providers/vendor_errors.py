"""A vendor's refusal as a ProviderError: by its HTTP status and its error code or type, never by the words.

The words are passed on, without the gateway's own secrets. Codes are the vendors' documented ones: OpenAI
(`insufficient_quota`, `context_length_exceeded`, `content_filter` of Azure), Anthropic (`overloaded_error`,
`rate_limit_error`, `billing_error` …), Google's `status` names, OpenRouter's and AWS's numbers and types, llama.cpp's
`exceed_context_size_error`.
"""

import email.utils
import re
import time
from collections.abc import Iterable, Mapping
from typing import Any, cast

import orjson

from gateway.errors import (
    ContextTooLong,
    ProviderError,
    ProviderKeyRejected,
    ProviderOverloaded,
    ProviderQuotaExceeded,
    ProviderRateLimited,
    ProviderRefused,
    ProviderTimeout,
)

LONGEST_MESSAGE = 2000
"""Characters of a vendor's text that are passed on."""

BY_CODE: dict[str, type[ProviderError]] = {
    "insufficient_quota": ProviderQuotaExceeded,
    "billing_hard_limit_reached": ProviderQuotaExceeded,
    "billing_not_active": ProviderQuotaExceeded,
    "billing_error": ProviderQuotaExceeded,
    "insufficient_balance": ProviderQuotaExceeded,
    "insufficient_credits": ProviderQuotaExceeded,
    "context_length_exceeded": ContextTooLong,
    "exceed_context_size_error": ContextTooLong,
    "string_above_max_length": ContextTooLong,
    "rate_limit_exceeded": ProviderRateLimited,
    "rate_limit_error": ProviderRateLimited,
    "too_many_requests": ProviderRateLimited,
    "resource_exhausted": ProviderRateLimited,
    "throttlingexception": ProviderRateLimited,
    "overloaded_error": ProviderOverloaded,
    "overloaded": ProviderOverloaded,
    "server_overloaded": ProviderOverloaded,
    "slow_down": ProviderOverloaded,
    "unavailable": ProviderOverloaded,
    "serviceunavailableexception": ProviderOverloaded,
    "modelnotreadyexception": ProviderOverloaded,
    "authentication_error": ProviderKeyRejected,
    "permission_error": ProviderKeyRejected,
    "invalid_api_key": ProviderKeyRejected,
    "unauthenticated": ProviderKeyRejected,
    "permission_denied": ProviderKeyRejected,
    "accessdeniedexception": ProviderKeyRejected,
    "unrecognizedclientexception": ProviderKeyRejected,
    "expiredtokenexception": ProviderKeyRejected,
    "timeout_error": ProviderTimeout,
    "deadline_exceeded": ProviderTimeout,
    "modeltimeoutexception": ProviderTimeout,
    # A model that calls a tool wrongly may do better on a second attempt, although Groq answers 400.
    "tool_use_failed": ProviderError,
}
"""Vendor code, type or status name in lower case. Read before the HTTP status: a 429 may mean an empty account."""

VAGUE: dict[str, type[ProviderError]] = {
    "invalid_request_error": ProviderRefused,
    "not_found_error": ProviderRefused,
    "request_too_large": ProviderRefused,
    "invalid_argument": ProviderRefused,
    "validationexception": ProviderRefused,
    "content_filter": ProviderRefused,
    "content_policy_violation": ProviderRefused,
    "invalid_prompt": ProviderRefused,
    "bio_policy": ProviderRefused,
    "misalignment_policy_violation": ProviderRefused,
    "invalid_image": ProviderRefused,
    "invalid_image_format": ProviderRefused,
    "invalid_image_url": ProviderRefused,
    "invalid_base64_image": ProviderRefused,
    "image_too_large": ProviderRefused,
    "image_file_too_large": ProviderRefused,
    "image_parse_error": ProviderRefused,
    "image_content_policy_violation": ProviderRefused,
    "unsupported_image_media_type": ProviderRefused,
    "failed_to_download_image": ProviderRefused,
}
"""Codes that say no more than a status does: read only inside a stream, where there is none."""

BY_STATUS: dict[int, type[ProviderError]] = {
    401: ProviderKeyRejected,
    402: ProviderQuotaExceeded,
    403: ProviderKeyRejected,
    408: ProviderTimeout,
    429: ProviderRateLimited,
    503: ProviderOverloaded,
    504: ProviderTimeout,
    524: ProviderTimeout,
    529: ProviderOverloaded,
}

KEPT_CODES = frozenset({"content_filter", "content_policy_violation", "model_not_found"})
"""Vendor codes worth more to a client than ours."""

STATUS = re.compile(r"[45][0-9]{2}")
KEY_IN_URL = re.compile(r"([?&](?:key|api_key|token|access_token)=)[^&\s\"']+", re.IGNORECASE)


def from_response(
    provider: str, status: int, headers: Mapping[str, str], body: bytes, secrets: Iterable[str] = ()
) -> ProviderError:
    """The error that an HTTP answer with `status` ≥ 400 means. `headers` have lower-case names."""
    error = from_body(
        provider, parsed(body), status, secrets, codes=(headers.get("x-amzn-errortype", "").split(":")[0],)
    )
    error.retry_after = retry_after(headers)
    if headers.get("x-should-retry") == "false":
        error.retryable = False
    return error


def from_body(
    provider: str, body: Any, status: int | None = None, secrets: Iterable[str] = (), codes: tuple[str, ...] = ()
) -> ProviderError:
    """The error that a decoded error body means, with the status it came with: None inside a stream."""
    text, found = read(body)
    found = (*codes, *found)
    if status is None:
        status = next((int(code) for code in found if STATUS.fullmatch(code)), None)
    answered = f"{provider} answered {status}" if status else f"{provider} failed during its answer"
    message = without_secrets(f"{answered}: {text}" if text else f"{answered}.", secrets)
    error = choose(status, found)(message)
    for code in found:
        if code in KEPT_CODES:
            error.code = code
    if status == 404:
        error.code = "model_not_found"
    return error


def too_large(provider: str) -> ProviderError:
    """An answer that is given up. It would be as large again."""
    error = ProviderError(f"{provider} sent more than an answer may hold.", code="answer_too_large")
    error.retryable = False
    return error


def garbled(provider: str) -> ProviderError:
    """An answer that is no such thing. The next may be one."""
    return ProviderError(f"{provider} sent something that cannot be read.", code="stream_garbled")


def choose(status: int | None, codes: tuple[str, ...]) -> type[ProviderError]:
    """A telling code wins over the status, unless that is about the account; the status over a vague code."""
    telling = [BY_CODE[code.lower()] for code in codes if code.lower() in BY_CODE]
    if telling and status not in (401, 402, 403):
        return telling[0]
    if status in BY_STATUS:
        return BY_STATUS[status]
    if status is not None:
        return ProviderRefused if 400 <= status < 500 else ProviderError
    return next((VAGUE[code.lower()] for code in codes if code.lower() in VAGUE), ProviderError)


def parsed(body: bytes) -> Any:
    """The body as JSON; None where it is something else (an HTML page of a proxy)."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def read(body: Any) -> tuple[str, tuple[str, ...]]:
    """The words and the codes of an error body, whichever vendor's shape it has."""
    if isinstance(body, list) and body:
        body = cast(list[Any], body)[0]
    if not isinstance(body, dict):
        return (body if isinstance(body, str) else ""), ()
    outer = cast(dict[str, Any], body)
    inner: Any = outer.get("error")
    if isinstance(inner, str):
        return inner, texts(outer, "code", "type")
    error = cast(dict[str, Any], inner) if isinstance(inner, dict) else outer
    words: Any = error.get("message") or error.get("detail") or error.get("Message") or ""
    if not isinstance(words, str):
        words = orjson.dumps(words).decode()
    return words, texts(error, "code", "type", "status", "__type")


def texts(error: dict[str, Any], *names: str) -> tuple[str, ...]:
    return tuple(str(error[name]) for name in names if isinstance(error.get(name), str | int))


def without_secrets(text: str, secrets: Iterable[str]) -> str:
    for secret in secrets:
        if len(secret) >= 4:
            text = text.replace(secret, "[key]")
    return KEY_IN_URL.sub(r"\1[key]", text)[:LONGEST_MESSAGE]


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from `retry-after-ms` or `retry-after` (seconds or an HTTP date); else None."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        value = headers.get(name, "")
        try:
            seconds = float(value) / unit
        except ValueError:
            continue
        return seconds if 0 <= seconds < 86400 else None
    try:
        date = email.utils.parsedate_tz(headers.get("retry-after", ""))
        return max(0.0, email.utils.mktime_tz(date) - time.time()) if date else None
    except (ValueError, OverflowError):
        # A date that no calendar has.
        return None
