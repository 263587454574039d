"""The way to a tool server that a client named: to the addresses that it may have, and to no others.

A name is resolved once and its addresses are checked; every connection goes to one of those, so that a name which
resolves to something else a moment later leads nowhere. Whoever is there may not send a request elsewhere, nor answer
with what grows when it is unpacked; what it repeats of the client's credentials is blotted out before anybody reads it.
"""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

import httpx2

from gateway.addresses import is_public
from gateway.tools.settings import ClientServerSettings

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

SECRET_HEADER = re.compile(r"auth|key|token|secret|cookie|pass|credential|session", re.IGNORECASE)
SHORTEST_SECRET = 6
"""Bytes. What is shorter would be found everywhere."""


class Refused(httpx2.ConnectError):
    """The request was not sent."""


async def resolved(host: str, port: int) -> Sequence[str]:
    """The addresses of a host. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class GuardedTransport(httpx2.AsyncBaseTransport):
    """For one server. `public_only`: it must not have an address of this machine or of a private network."""

    def __init__(
        self,
        inner: httpx2.AsyncBaseTransport,
        *,
        public_only: bool,
        secrets: Sequence[bytes] = (),
        resolve: Resolve = resolved,
    ) -> None:
        self._inner = inner
        self._public_only = public_only
        self._secrets = secrets
        self._resolve = resolve
        self._origin: tuple[str, str, int | None] | None = None
        self._addresses: Sequence[str] = ()
        self._resolving = asyncio.Lock()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        addresses = await self._pinned(request.url)
        # Packed answers could be far larger than they look, and would hide what must be blotted out.
        request.headers["accept-encoding"] = "identity"
        for address in addresses[:-1]:
            try:
                return await self._send(request, address)
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                continue
        return await self._send(request, addresses[-1])

    async def _send(self, request: httpx2.Request, address: str) -> httpx2.Response:
        sent = httpx2.Request(
            request.method,
            request.url.copy_with(host=address),
            headers=request.headers,
            stream=request.stream,
            extensions={**request.extensions, "sni_hostname": request.url.host},
        )
        response = await self._inner.handle_async_request(sent)
        fault = ""
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            fault = "its answer is compressed, which was not asked for"
        elif response.is_redirect and self._leaves(request.url, response.headers.get("location", "")):
            fault = "it redirects to another address, which is not followed"
        if fault:
            await response.aclose()
            raise Refused(fault)
        if self._secrets and isinstance(response.stream, httpx2.AsyncByteStream):
            response.headers.pop("content-length", None)
            response.stream = _Blotted(response.stream, self._secrets)
        return response

    async def _pinned(self, url: httpx2.URL) -> Sequence[str]:
        """The addresses of the one origin that this server has. Raises `Refused`."""
        origin = (url.scheme, url.host, url.port)
        async with self._resolving:
            if not self._addresses:
                try:
                    addresses = await self._resolve(url.host, url.port or (443 if url.scheme == "https" else 80))
                except OSError:
                    raise Refused("its host name cannot be resolved") from None
                if self._public_only and not (addresses and all(map(is_public, addresses))):
                    raise Refused("its host has an address that is not public, which this gateway does not allow")
                self._origin, self._addresses = origin, addresses
        if origin != self._origin:
            raise Refused("it is at another address now, which is not followed")
        return self._addresses

    def _leaves(self, url: httpx2.URL, location: str) -> bool:
        try:
            target = url.join(location)
        except httpx2.InvalidURL:
            return True
        return (target.scheme, target.host, target.port) != (url.scheme, url.host, url.port)

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Blotted(httpx2.AsyncByteStream):
    """A body in which asterisks stand for the secrets, also where one is spread over two pieces."""

    def __init__(self, inner: httpx2.AsyncByteStream, secrets: Sequence[bytes]) -> None:
        self._inner = inner
        self._secrets = secrets

    async def __aiter__(self) -> AsyncIterator[bytes]:
        kept = b""
        async for chunk in self._inner:
            data = kept + chunk
            for secret in self._secrets:
                data = data.replace(secret, b"*" * len(secret))
            begun = max((begun_at_end(data, secret) for secret in self._secrets), default=0)
            kept = data[len(data) - begun :]
            if begun < len(data):
                yield data[: len(data) - begun]
        if kept:
            yield kept

    async def aclose(self) -> None:
        await self._inner.aclose()


def begun_at_end(data: bytes, secret: bytes) -> int:
    """How many of its last bytes may be the beginning of the secret."""
    tail = data[max(0, len(data) - len(secret) + 1) :]
    place = tail.find(secret[:1])
    while place >= 0 and not secret.startswith(tail[place:]):
        place = tail.find(secret[:1], place + 1)
    return len(tail) - place if place >= 0 else 0


def secrets_in(headers: Mapping[str, str]) -> list[bytes]:
    """What of the headers must not come back, the longest first. Of `Bearer X` the X, too."""
    values = [value for name, value in headers.items() if SECRET_HEADER.search(name)]
    found = {part for value in values for part in (value, value.rpartition(" ")[2]) if len(part) >= SHORTEST_SECRET}
    return sorted((part.encode() for part in found), key=len, reverse=True)


def is_listed(url: str, settings: ClientServerSettings) -> bool:
    """Whether the host's list has the host of this URL."""
    parts = urlsplit(url)
    host, port = (parts.hostname or "").rstrip("."), parts.port or (443 if parts.scheme == "https" else 80)
    return any(fnmatchcase(name, pattern.lower()) for pattern in settings.hosts for name in (host, f"{host}:{port}"))


def refusal(url: str, settings: ClientServerSettings) -> str:
    """Why a server at this URL may not be used, whatever its address is; empty if it may."""
    if is_listed(url, settings):
        return ""
    host = urlsplit(url).hostname or ""
    if not settings.public:
        return f"the host {host!r} is not in the list of this gateway (client_servers.hosts in gateway.yaml)"
    if not url.lower().startswith("https://"):
        return f"it must be an https URL, unless the gateway lists the host {host!r} (client_servers.hosts)"
    return ""
