"""Reads what a URL of a stranger's names, for a stranger: from the internet only, a bounded time and a bounded size.

A name is resolved once for each connection, and the connection goes to the addresses that were checked, so that a name
which changes its mind in between leads nowhere else. Every redirect is checked as the first URL was.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import aiohttp
import yarl
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from gateway.addresses import is_public
from gateway.errors import InvalidRequest

LARGEST = 20 * 1024 * 1024
"""Bytes of what is read."""
PATIENCE = 15.0
"""Seconds for the whole, redirects included."""
MOST_REDIRECTS = 3
REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True)
class Fetched:
    """`kind` is its media type, without parameters."""

    kind: str
    content: bytes


@dataclass(slots=True)
class Room:
    """Bytes that several may still read together."""

    left: int = LARGEST


async def fetch(url: str, kinds: Collection[str], hosts: Collection[str] = (), room: Room | None = None) -> Fetched:
    """What is at an http(s) URL, of one of these media types (`image/` stands for all of them).

    `hosts` are names, with a port or without, that may be of this machine or a private network. `room` is shared with
    others that are read for the same purpose. Raises InvalidRequest.
    """
    try:
        async with asyncio.timeout(PATIENCE):
            return await followed(url, kinds, hosts, room or Room())
    except TimeoutError:
        raise refused(url, f"it did not answer within {PATIENCE:g} seconds") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise refused(url, f"it cannot be reached ({type(error).__name__})") from error


async def followed(url: str, kinds: Collection[str], hosts: Collection[str], room: Room) -> Fetched:
    here = yarl.URL(url)
    for _ in range(MOST_REDIRECTS + 1):
        listed = is_listed(here, hosts)
        if here.scheme not in ("http", "https") or not here.host or (is_literal(here.host) and not listed):
            check(url, here, [here.host or ""])
        connector = aiohttp.TCPConnector(resolver=ThreadedResolver() if listed else Checked(url, here))
        async with (
            # Neither a proxy, cookies nor the password of a `.netrc` are for a stranger's URL.
            aiohttp.ClientSession(
                connector=connector, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()
            ) as client,
            client.get(here, allow_redirects=False, headers={"accept-encoding": "identity"}) as answer,
        ):
            if answer.status in REDIRECTS and (location := answer.headers.get("location")):
                here = here.join(yarl.URL(location))
                continue
            return await read(url, answer, kinds, room)
    raise refused(url, f"it redirects more than {MOST_REDIRECTS} times")


async def read(url: str, answer: aiohttp.ClientResponse, kinds: Collection[str], room: Room) -> Fetched:
    kind = answer.content_type.lower()
    if answer.status != 200:
        raise refused(url, f"it answered {answer.status}")
    if not any(kind == one or (one.endswith("/") and kind.startswith(one)) for one in kinds):
        raise refused(url, f"it is of the type {kind[:64]!r}")
    if answer.headers.get("content-encoding", "identity").lower() != "identity":
        raise refused(url, "it is compressed, which was not asked for")
    content = bytearray()
    async for piece in answer.content.iter_any():
        content += piece
        room.left -= len(piece)
        if room.left < 0:
            raise refused(url, f"it has more than {LARGEST} bytes, with what else is read for the request")
    return Fetched(kind, bytes(content))


class Checked(AbstractResolver):
    """Finds the addresses of a host that is of the internet, and no others. aiohttp connects to what it is given."""

    def __init__(self, url: str, here: yarl.URL) -> None:
        self._url, self._here = url, here
        self._inner = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        check(self._url, self._here, [one["host"] for one in found])
        return found

    async def close(self) -> None:
        await self._inner.close()


def check(url: str, here: yarl.URL, addresses: Sequence[str]) -> None:
    if here.scheme not in ("http", "https") or not here.host:
        raise refused(url, "it is no http(s) URL, or leads to none")
    if not addresses or not all(map(is_public, addresses)):
        raise refused(url, f"the host {here.host[:100]!r} is not of the internet; `fetch_hosts` may list it")


def is_listed(here: yarl.URL, hosts: Collection[str]) -> bool:
    return here.host in hosts or f"{here.host}:{here.port}" in hosts


def is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def refused(url: str, why: str) -> InvalidRequest:
    shown = url if len(url) <= 200 else f"{url[:200]}…"
    return InvalidRequest(f"The URL {shown!r} could not be read: {why}.", param="url", code="invalid_url")
