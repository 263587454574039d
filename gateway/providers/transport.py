"""HTTP as the lanes need it: a POST whose answer is read in pieces as they arrive, and can be dropped at any time.

`Transport` is the seam; this one is aiohttp's client, one session for the whole gateway: no cookies, no limit on
connections, no time limits of its own (the router has its own), nothing decompressed because nothing compressed is
asked for.
"""

from collections.abc import Mapping
from typing import Protocol, Self

import aiohttp
import yarl

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


class AiohttpReply:
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.headers.items()}

    async def piece(self) -> bytes:
        try:
            return await self._response.content.readany()
        except (aiohttp.ClientError, OSError) as error:
            raise broken(error) from error

    def release(self) -> None:
        self.close()

    def close(self) -> None:
        # Releases a connection that was read to the end, closes any other.
        self._response.close() if not self._response.content.at_eof() else self._response.release()


class AiohttpEndpoint:
    def __init__(self, session: aiohttp.ClientSession, url: str, headers: Mapping[str, str]) -> None:
        self._session = session
        self._url = yarl.URL(url)
        self._headers = dict(headers)

    async def post(self, body: bytes) -> Reply:
        try:
            response = await self._session.post(self._url, data=body, headers=self._headers, allow_redirects=False)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # ValueError: an address and headers that do not go together, such as two credentials.
            raise broken(error) from error
        return AiohttpReply(response)


class AiohttpTransport:
    """`proxies` makes it honour HTTP_PROXY, HTTPS_PROXY and NO_PROXY of the process."""

    def __init__(self, *, proxies: bool = False) -> None:
        self._proxies = proxies
        self._session: aiohttp.ClientSession | None = None

    @property
    def session(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("The transport was not entered.")
        return self._session

    def endpoint(self, url: str, headers: Mapping[str, str]) -> Endpoint:
        return AiohttpEndpoint(self.session, url, headers)

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
            trust_env=self._proxies,
        )
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._session is not None:
            await self._session.close()
