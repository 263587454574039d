"""The transport for a gateway behind a proxy: aiohttp's client, one session for the whole gateway, with no cookies and
no limit on connections.

The router imports it when there is a proxy: the import of aiohttp takes 0.1 s, which the other gateways save.
"""

from collections.abc import Mapping
from typing import Self

import aiohttp
import yarl

from gateway.providers.transport import KEEP_ALIVE, Endpoint, Reply, broken


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
    """It honours HTTP_PROXY, HTTPS_PROXY and NO_PROXY of the process."""

    def __init__(self) -> None:
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
            trust_env=True,
        )
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._session is not None:
            await self._session.close()
