"""What a lane notes of a request that it sends: the bytes, without the host's keys."""

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit, urlunsplit

import orjson

from gateway.model_requests import ModelRequest
from gateway.providers.targets import Target

KEY = "[key]"
CREDENTIAL = re.compile(r"auth|cookie|credential|key|password|secret|token", re.IGNORECASE)
"""Names of headers and parameters whose values nobody may see."""
PUBLIC = frozenset({"alt", "api-version", "beta"})
"""Parameters of a URL that are shown with their values."""
SHORTEST = 8
"""Characters of the shortest key that is looked for. A shorter one would be found in words of the prompt."""


def as_sent(
    target: Target, url: str, body: bytes, more: Mapping[str, str] | None = None, *, exact: bool = True
) -> ModelRequest:
    """The request as it may be shown. `more` are parameters of this vendor's, by their names."""
    shown, where = body, shown_url(url)
    for secret in credentials_of(target, more or {}):
        where = where.replace(secret.decode(), KEY)
        if secret in shown:
            shown = shown.replace(secret, KEY.encode())
    return ModelRequest(
        model=target.id, url=where, body=shown, created_at=time.time(), exact=exact, redacted=shown is not body
    )


def credentials_of(target: Target, more: Mapping[str, str]) -> Sequence[bytes]:
    """The keys as they would stand in JSON, the longest first."""
    named = (*target.provider.headers.items(), *more.items())
    return in_json(target.api_key, named, tuple(credentials_in(target.provider.extra)))


@lru_cache(maxsize=256)
def in_json(api_key: str, named: Sequence[tuple[str, str]], inner: Sequence[str]) -> Sequence[bytes]:
    """See `credentials_of`: the same for every request to one provider."""
    found = {api_key, *(value for name, value in named if CREDENTIAL.search(name))}
    found.update(part for value in tuple(found) for part in value.split())
    found.update(inner)
    long = sorted({value for value in found if len(value) >= SHORTEST}, key=len, reverse=True)
    return [orjson.dumps(value)[1:-1] for value in long]


def credentials_in(value: Any) -> Iterable[str]:
    """The texts that have the name of a credential, however deep."""
    if isinstance(value, Mapping):
        for name, inner in cast("Mapping[str, Any]", value).items():
            if isinstance(inner, str):
                yield from [inner] if CREDENTIAL.search(name) else []
            else:
                yield from credentials_in(inner)
    elif isinstance(value, list | tuple):
        for inner in cast("Iterable[Any]", value):
            yield from credentials_in(inner)


@lru_cache(maxsize=256)
def shown_url(url: str) -> str:
    """The URL without user, password and fragment, and of its query only the names, but for PUBLIC ones."""
    try:
        parts = urlsplit(url)
        where = parts.netloc.rpartition("@")[2]
    except ValueError:
        return ""
    query = [
        f"{name}={value if name in PUBLIC else KEY}" for name, value in parse_qsl(parts.query, keep_blank_values=True)
    ]
    return urlunsplit((parts.scheme, where, parts.path, "&".join(query), ""))
