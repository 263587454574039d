"""A fault of one HTTP request stays that request's own."""

from collections.abc import AsyncIterator

import httpx2
import pytest

from gateway.tools.fault_transport import MAX_BODY, BrokenAnswer, FaultTransport

pytestmark = pytest.mark.anyio

REQUEST = {"jsonrpc": "2.0", "id": 7, "method": "tools/call"}


class Body(httpx2.AsyncByteStream):
    def __init__(self, chunks: int, error: Exception | None = None) -> None:
        self._chunks = chunks
        self._error = error

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in range(self._chunks):
            yield b" " * 2**20
        if self._error:
            raise self._error


class Upstream(httpx2.AsyncBaseTransport):
    def __init__(self, answer: httpx2.Response | Exception) -> None:
        self._answer = answer

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


async def post(answer: httpx2.Response | Exception, headers: dict[str, str] | None = None) -> httpx2.Response:
    async with httpx2.AsyncClient(transport=FaultTransport(Upstream(answer))) as client:
        return await client.post("http://server/mcp", json=REQUEST, headers=headers)


@pytest.mark.parametrize(
    ("error", "sent"), [(httpx2.ConnectError("refused"), False), (httpx2.ReadError("reset"), True)]
)
async def test_a_transport_fault_becomes_the_answer_to_its_request(error: Exception, sent: bool) -> None:
    answer = (await post(error)).json()
    assert (answer["id"], answer["error"]["data"]["sent"]) == (7, sent)
    assert str(error) in answer["error"]["data"]["fault"]


async def test_an_http_error_keeps_its_status() -> None:
    answer = await post(httpx2.Response(429, text="slow down", headers={"retry-after": "3"}))
    assert answer.json()["error"]["data"] == {"http_status": 429, "retry_after": "3"}


async def test_the_servers_own_error_is_passed_on() -> None:
    own = {"jsonrpc": "2.0", "id": 7, "error": {"code": -32602, "message": "no"}}
    assert (await post(httpx2.Response(500, json=own))).json() == own


@pytest.mark.parametrize("body", ["null", "[]", '{"error": "text"}', "<html>"])
async def test_other_bodies_of_an_error_are_not_mistaken_for_one(body: str) -> None:
    answer = await post(httpx2.Response(500, text=body, headers={"content-type": "application/json"}))
    assert answer.json()["error"]["message"] == "the server answered HTTP 500 Internal Server Error"


async def test_a_lost_session_was_not_looked_at() -> None:
    answer = (await post(httpx2.Response(404, text="gone"), {"mcp-session-id": "abc"})).json()
    assert answer["error"]["data"] == {"fault": "HTTP 404", "sent": False}
    assert (await post(httpx2.Response(404, text="gone"))).text == "gone"


async def test_an_answer_that_breaks_off_or_does_not_end_is_refused() -> None:
    with pytest.raises(BrokenAnswer, match="broke off"):
        await post(httpx2.Response(200, stream=Body(1, httpx2.ReadError("reset"))))
    with pytest.raises(BrokenAnswer, match="larger than"):
        await post(httpx2.Response(200, stream=Body(MAX_BODY // 2**20 + 1)))


async def test_requests_other_than_post_fail_as_they_are() -> None:
    async with httpx2.AsyncClient(transport=FaultTransport(Upstream(httpx2.ConnectError("refused")))) as client:
        with pytest.raises(httpx2.ConnectError):
            await client.get("http://server/mcp")
