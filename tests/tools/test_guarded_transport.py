"""Where a request to a client's server goes, whatever its name resolves to."""

from collections.abc import AsyncIterator, Callable, Sequence

import httpx2
import pytest

from gateway.tools.guarded_transport import GuardedTransport, Resolve, secrets_in

pytestmark = pytest.mark.anyio


class Pieces(httpx2.AsyncByteStream):
    def __init__(self, *pieces: bytes) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


def resolving(*answers: Sequence[str]) -> Resolve:
    """A name service that says something else each time."""
    left = list(answers)

    async def resolve(host: str, port: int) -> Sequence[str]:
        return left.pop(0)

    return resolve


class Network(httpx2.AsyncBaseTransport):
    """Notes where requests go. `down` are addresses at which nothing listens."""

    def __init__(self, *down: str, body: Callable[[], httpx2.AsyncByteStream] = Pieces) -> None:
        self.seen: list[httpx2.Request] = []
        self._down = down
        self._body = body

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.seen.append(request)
        if request.url.host in self._down:
            raise httpx2.ConnectError("refused")
        return httpx2.Response(200, stream=self._body())


async def test_a_name_that_resolves_to_something_else_later_leads_to_the_same_address() -> None:
    network = Network()
    guarded = GuardedTransport(network, public_only=True, resolve=resolving(["93.184.216.34"], ["127.0.0.1"]))
    async with httpx2.AsyncClient(transport=guarded) as client:
        await client.get("https://rebind.example/mcp")
        await client.get("https://rebind.example/mcp")
    assert [request.url.host for request in network.seen] == ["93.184.216.34"] * 2
    assert {request.headers["host"] for request in network.seen} == {"rebind.example"}
    assert {request.extensions["sni_hostname"] for request in network.seen} == {"rebind.example"}


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["93.184.216.34", "10.0.0.1"], ["fe80::1%eth0"], []])
async def test_one_address_that_is_not_public_is_enough_to_refuse(addresses: Sequence[str]) -> None:
    network = Network()
    guarded = GuardedTransport(network, public_only=True, resolve=resolving(addresses))
    async with httpx2.AsyncClient(transport=guarded) as client:
        with pytest.raises(httpx2.ConnectError, match="not public"):
            await client.post("https://inner.example/mcp")
    assert network.seen == []


async def test_the_next_address_is_tried_when_nothing_listens_at_the_first() -> None:
    network = Network("93.184.216.34")
    both = ["93.184.216.34", "2606:2800:220:1::1"]
    guarded = GuardedTransport(network, public_only=True, resolve=resolving(both))
    async with httpx2.AsyncClient(transport=guarded) as client:
        answer = await client.post("https://two.example/mcp", content=b"hello")
    assert answer.status_code == 200
    assert [request.url.host for request in network.seen] == both


async def test_it_goes_to_one_origin_only() -> None:
    guarded = GuardedTransport(Network(), public_only=True, resolve=resolving(["93.184.216.34"], ["93.184.216.34"]))
    async with httpx2.AsyncClient(transport=guarded) as client:
        await client.get("https://one.example/mcp")
        with pytest.raises(httpx2.ConnectError, match="another address"):
            await client.get("https://one.example:8443/mcp")


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([b"a secret-1 b"], b"a ******** b"),
        ([b"a secr", b"et-1 b secret-", b"2"], b"a ******** b secret-2"),
        ([bytes([each]) for each in b"secret-1secret-1"], b"*" * 16),
        ([b"ends with secre"], b"ends with secre"),
    ],
)
async def test_what_repeats_a_secret_is_blotted_out(pieces: Sequence[bytes], expected: bytes) -> None:
    network = Network(body=lambda: Pieces(*pieces))
    here = resolving(["127.0.0.1"])
    guarded = GuardedTransport(network, public_only=False, secrets=[b"secret-1"], resolve=here)
    async with httpx2.AsyncClient(transport=guarded) as client:
        assert (await client.get("http://here/mcp")).content == expected


def test_what_counts_as_a_secret() -> None:
    headers = {"authorization": "Bearer abcdefgh", "x-api-key": "12345678", "x-version": "2025-01-01", "cookie": "a"}
    assert set(secrets_in(headers)) == {b"Bearer abcdefgh", b"abcdefgh", b"12345678"}
