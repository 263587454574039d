"""HTTP as the lanes need it: a POST whose answer is read in pieces as they arrive, and can be dropped at any time.

`Transport` is the seam: `http_client` behind it, or `aiohttp_transport` where there is a proxy. Neither has time limits
of its own (the router has), nor decompresses anything, because nothing compressed is asked for.
"""

from collections.abc import Mapping
from typing import Protocol, Self

from gateway.errors import ProviderError

KEEP_ALIVE = 60.0
"""Seconds an idle connection is kept."""


class Reply(Protocol):
    """An answer whose head has arrived. Header names are in lower case."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...

    async def piece(self) -> bytes:
        """What arrived of the body; empty at its end. Raises ProviderError if the connection breaks before."""
        ...

    def release(self) -> None:
        """The answer is whole, though its body may not have come to its end: keep the connection if that is easy."""
        ...

    def close(self) -> None:
        """Keep the connection if the body was read to its end, else cut it."""
        ...


class Endpoint(Protocol):
    """One URL with the headers that every request to it has."""

    async def post(self, body: bytes) -> Reply:
        """Raises ProviderError when there is no answer."""
        ...


class Transport(Protocol):
    def endpoint(self, url: str, headers: Mapping[str, str]) -> Endpoint: ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, *exc: object) -> None: ...


def broken(error: Exception) -> ProviderError:
    """No connection, or one that broke. The words name the host at most, never a URL."""
    reason = type(error).__name__ if not str(error) or "://" in str(error) else str(error)
    return ProviderError(f"The connection to the provider failed: {reason}", code="provider_unreachable")
