"""Responses in the background: queued at once, followed again from any frame, alive without their client, stopped."""

import asyncio
import itertools
import json
import time

import anyio
import openai
import pytest

from tests.conftest import say
from tests.test_crash import gateway_process
from tests.upstream import upstream

pytestmark = pytest.mark.anyio


async def frames(http, id, after=None):
    """The stream of a response, read again: (number, type) of each frame, and its bytes."""
    query = {"stream": "true"} | ({} if after is None else {"starting_after": str(after)})
    async with http.stream("GET", f"/v1/responses/{id}", params=query) as answer:
        assert answer.status_code == 200
        body = b"".join([piece async for piece in answer.aiter_bytes()])
    return body, [json.loads(line[6:]) for line in body.decode().splitlines() if line.startswith("data: {")]


async def until(client, id, *statuses):
    while (response := await client.responses.retrieve(id)).status not in statuses:
        await anyio.lowlevel.checkpoint()
    return response


async def test_a_background_response_is_queued_at_once_and_completes_without_its_client(start_gateway):
    hold = asyncio.Event()
    async with start_gateway([hold, say("done")]) as gateway:
        created = await gateway.openai.responses.create(model="helper", input="hi", background=True)
        raw = await gateway.openai.responses.with_raw_response.retrieve(created.id)
        hold.set()
        finished = await until(gateway.openai, created.id, "completed")
    assert (created.status, created.background, created.output) == ("queued", True, [])
    assert (raw.parse().status, raw.headers["openai-poll-after-ms"]) == ("in_progress", "250")
    assert (finished.output_text, finished.background) == ("done", True)


async def test_a_second_that_passes_at_the_end_changes_nothing(start_gateway, monkeypatch):
    """Each reader was once told the time at which it was told."""
    monkeypatch.setattr(time, "time", itertools.count(2_000_000_000).__next__)
    async with start_gateway([say("one")]) as gateway:
        body = {"model": "helper", "input": "hi", "background": True, "stream": True}
        live = (await gateway.http.post("/v1/responses", json=body)).content
        id = json.loads(live.split(b"data: ")[1].partition(b"\n")[0])["response"]["id"]
        again, _ = await frames(gateway.http, id)
    assert again == live


async def test_the_stream_says_queued_and_can_be_read_again_byte_for_byte(start_gateway):
    async with start_gateway([say("one two three four")]) as gateway:
        body = {"model": "helper", "input": "hi", "background": True, "stream": True}
        async with gateway.http.stream("POST", "/v1/responses", json=body) as answer:
            live = b"".join([piece async for piece in answer.aiter_bytes()])
        events = [json.loads(line[6:]) for line in live.decode().splitlines() if line.startswith("data: {")]
        id = events[0]["response"]["id"]
        again, _ = await frames(gateway.http, id)
        _, later = await frames(gateway.http, id, after=6)
    assert [event["type"] for event in events[:3]] == [
        "response.created",
        "response.queued",
        "response.in_progress",
    ]
    assert [event["response"]["status"] for event in events[:3]] == ["queued", "queued", "in_progress"]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert again == live
    assert later == events[7:]


async def test_a_reader_that_comes_back_while_it_runs_misses_nothing(start_gateway):
    hold = asyncio.Event()
    async with start_gateway([say("first part", "a"), hold, say("second part", "b")]) as gateway:
        stream = await gateway.openai.responses.create(model="helper", input="hi", background=True, stream=True)
        seen = []
        async for event in stream:
            seen.append(event)
            if event.type == "response.output_text.delta":
                break
        await stream.close()
        again = await gateway.openai.responses.retrieve(
            seen[0].response.id, stream=True, starting_after=seen[-1].sequence_number
        )
        hold.set()
        seen += [event async for event in again]
    assert [event.sequence_number for event in seen] == list(range(len(seen)))
    text = "".join(event.delta for event in seen if event.type == "response.output_text.delta")
    assert (text, seen[-1].type) == ("first partsecond part", "response.completed")


async def test_who_comes_in_the_moment_of_its_end_gets_all_of_it(start_gateway):
    """A reader once waited for ever that had found it without its ending, and a moment later no longer running. Nobody
    can stop the gateway between the two, so this tries it often, and from several sides."""
    many = 20
    async with start_gateway(*[[say("hello there")]] * many) as gateway:

        async def come(id):
            _, seen = await frames(gateway.http, id)
            assert seen[-1]["type"] == "response.completed"

        for _ in range(many):
            created = await gateway.openai.responses.create(model="helper", input="hi", background=True)
            async with anyio.create_task_group() as readers:
                for _ in range(8):
                    readers.start_soon(come, created.id)


async def test_the_sdks_own_helper_follows_a_response_by_its_id(start_gateway):
    async with start_gateway([say("hello there")]) as gateway:
        created = await gateway.openai.responses.create(model="helper", input="hi", background=True)
        async with gateway.openai.responses.stream(response_id=created.id, starting_after=3) as stream:
            numbers = [event.sequence_number async for event in stream]
            final = await stream.get_final_response()
    assert final.output_text == "hello there"
    assert numbers[0] == 4


async def test_cancelling_stops_it_and_may_be_said_twice(start_gateway):
    async with start_gateway([asyncio.Event(), say("never")], [say("quick")]) as gateway:
        slow = await gateway.openai.responses.create(model="helper", input="hi", background=True)
        first = await gateway.openai.responses.cancel(slow.id)
        second = await gateway.openai.responses.cancel(slow.id)
        with pytest.raises(openai.BadRequestError, match="Cannot cancel a completed response"):
            quick = await gateway.openai.responses.create(model="helper", input="hi", background=True)
            await until(gateway.openai, quick.id, "completed")
            await gateway.openai.responses.cancel(quick.id)
    assert (first.status, second.status) == ("cancelled", "cancelled")


async def test_what_cannot_be_asked_is_refused(start_gateway):
    async with start_gateway([say("hi")]) as gateway:
        create = gateway.openai.responses.create
        with pytest.raises(openai.BadRequestError) as unstored:
            await create(model="helper", input="hi", background=True, store=False)
        plain = await create(model="helper", input="hi")
        with pytest.raises(openai.BadRequestError, match="synchronous"):
            await gateway.openai.responses.cancel(plain.id)
        odd = await gateway.http.get(f"/v1/responses/{plain.id}?stream=true&starting_after=x")
        unclear = await gateway.http.get(f"/v1/responses/{plain.id}?stream=1")
        _, told = await frames(gateway.http, plain.id)
    assert unstored.value.param == "store"
    assert (odd.status_code, odd.json()["error"]["param"]) == (400, "starting_after")
    assert (unclear.status_code, unclear.json()["error"]["param"]) == (400, "stream")
    # One that was not in the background is told from its items.
    assert [event["type"] for event in told][-1] == "response.completed"
    assert [event["sequence_number"] for event in told] == list(range(len(told)))


async def test_input_items_are_listed_in_pages_that_end(start_gateway):
    async with start_gateway([say("hi")]) as gateway:
        given = [{"role": "user", "content": f"line {n}"} for n in range(5)]
        response = await gateway.openai.responses.create(model="helper", input=given)
        listing = gateway.openai.responses.input_items.list(response.id, limit=2, order="asc")
        texts = [item.content[0].text async for item in listing]
        newest = await gateway.openai.responses.input_items.list(response.id, limit=1)
        missing = await gateway.http.get(f"/v1/responses/{response.id}/input_items?after=msg_none")
    assert texts == [f"line {n}" for n in range(5)]
    assert (newest.data[0].content[0].text, newest.has_more) == ("line 4", True)
    assert (missing.status_code, missing.json()["error"]["param"]) == (404, "after")


async def test_it_survives_a_kill_and_its_readers_are_told_everything(home):
    count = {"call": ("clock__count", "{}")}
    async with upstream(count, {"text": "never", "hold": asyncio.Event()}, {"text": "counted"}) as provider:
        async with gateway_process(home, provider) as (client, process):
            created = await client.responses.create(model="counter", input="go", background=True)
            while len(provider.requests) < 2:
                provider.asked.clear()
                await provider.asked.wait()
            process.kill()
            await process.wait()
        async with gateway_process(home, provider) as (client, _):
            stream = await client.responses.retrieve(created.id, stream=True)
            events = [event async for event in stream]
            again = await client.responses.retrieve(created.id, stream=True)
            numbers = [event.sequence_number async for event in again]
    final = events[-1].response
    assert (final.status, final.output_text) == ("completed", "counted")
    assert [item.type for item in final.output] == ["mcp_call", "message"]
    assert [event.sequence_number for event in events] == numbers == list(range(len(events)))
