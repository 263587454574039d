"""What holds of a relayed answer whatever its wire: second attempts, what is kept, and who hangs up."""

import asyncio
import contextlib
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import httpx
import pytest

from gateway.providers.settings import Limits
from tests.providers import relayed, relays
from tests.providers.replay import Answer

pytestmark = pytest.mark.anyio


@dataclass(frozen=True, kw_only=True)
class Wire:
    """`sse` is a whole stream, which begins to end at `ends`; `settings` make a provider speak it."""

    path: str
    body: dict[str, Any]
    json: bytes
    sse: bytes
    ends: int
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def stream(self) -> dict[str, Any]:
        return {**self.body, "stream": True}


WIRES = {
    "chat": Wire(path="/v1/chat/completions", body=relays.ASK, json=relays.WHOLE, sse=relays.SSE, ends=relays.ENDS),
    "responses": Wire(
        path="/v1/responses",
        body=relayed.ASK,
        json=relayed.WHOLE,
        sse=relayed.SSE,
        ends=relayed.ENDS,
        settings=relayed.LANE,
    ),
}


@pytest.fixture(params=WIRES)
def wire(request):
    return WIRES[request.param]


@pytest.fixture
def relaying(relaying, wire):
    return partial(relaying, **wire.settings)


@pytest.mark.parametrize("live", [False, True])
async def test_what_fails_before_its_first_byte_is_tried_again(relaying, wire, live):
    good = Answer(wire.sse) if live else relays.whole(wire.json)
    async with relaying(relays.refusal(500), Answer(b""), good, limits=Limits(retries=2)) as (http, upstream):
        answer = await http.post(wire.path, json=wire.stream if live else wire.body)
    assert (answer.status_code, len(upstream.requests)) == (200, 3)


async def test_a_vendor_that_streams_unasked_is_a_clear_error(relaying, wire):
    async with relaying(Answer(wire.sse), limits=Limits(retries=2)) as (http, upstream):
        answer = await http.post(wire.path, json=wire.body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "stream_not_asked_for")
    assert len(upstream.requests) == 1


async def test_an_event_without_end_is_not_kept_for_ever(relaying, wire, monkeypatch):
    monkeypatch.setattr("gateway.providers.sse.LONGEST_EVENT", 1000)
    async with relaying(Answer(b"data: " + b"x" * 2000, piece=400)) as (http, _):
        answer = await http.post(wire.path, json=wire.stream)
    assert answer.json()["error"]["code"] == "stream_garbled"


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("silent", [False, True])
async def test_a_client_that_hangs_up_aborts_the_request_to_the_vendor(relaying, wire, silent, live):
    async with relaying(Answer(silent=True) if silent else Answer(wire.sse, stall=wire.ends)) as (http, upstream):
        async with httpx.AsyncClient(base_url=http.base_url, headers=http.headers) as leaving:
            asking = asyncio.create_task(leaving.post(wire.path, json=wire.stream if live else wire.body))
            await upstream.asked.wait()
            asking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asking
        await upstream.requests[0].gone.wait()


async def test_a_client_that_hangs_up_in_the_middle_aborts_the_request_to_the_vendor(relaying, wire):
    async with relaying(Answer(wire.sse, stall=wire.ends)) as (http, upstream):
        async with http.stream("POST", wire.path, json=wire.stream) as answer:
            await anext(answer.aiter_bytes())
        await upstream.requests[0].gone.wait()
