"""A database that stops taking writes in the middle of a run, and takes them again. The gateway is its own process.

Its file size limit stands for the disk: with the limit at one byte, every write to the database fails.
"""

import asyncio
import contextlib
import json
import resource
import sqlite3

import openai
import pytest

from tests.test_crash import gateway_process
from tests.upstream import upstream

pytestmark = pytest.mark.anyio

TOLD = "could not write the end of this run"


@contextlib.contextmanager
def no_room(process):
    """The process can write to no file, for as long as this lasts."""
    _, hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (1, hard))
    try:
        yield
    finally:
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (hard, hard))


@contextlib.contextmanager
def locked(home):
    """Somebody else, a backup for example, holds the database's write lock."""
    database = sqlite3.connect(home / "data" / "homeport.db", isolation_level=None)
    database.execute("begin immediate")
    try:
        yield
    finally:
        database.execute("rollback")
        database.close()


async def test_a_call_that_cannot_be_noted_is_not_run_and_the_conversation_goes_on(home):
    hold = asyncio.Event()
    count = {"call": ("clock__count", "{}"), "hold": hold}
    async with upstream(count, {"text": "hello again"}) as provider:
        async with gateway_process(home, provider) as (client, process):
            conversation = (await client.conversations.create()).id
            asking = asyncio.ensure_future(
                client.responses.create(model="counter", input="go", conversation=conversation)
            )
            await provider.asked.wait()
            with no_room(process):
                hold.set()
                with pytest.raises(openai.InternalServerError) as failed:
                    await asking
            second = await client.responses.create(model="counter", input="still there?", conversation=conversation)
    assert (failed.value.status_code, TOLD in str(failed.value)) == (503, True)
    assert second.output_text == "hello again"
    assert not (home / "tally").exists()
    roles = [message["role"] for message in provider.requests[1]["messages"]]
    assert roles == ["user", "assistant", "tool", "user"]
    assert "was not run" in provider.requests[1]["messages"][2]["content"]


async def test_an_ending_the_disk_refused_is_stored_later_and_locks_nothing(home):
    hold = asyncio.Event()
    async with upstream({"text": "the answer", "hold": hold}, {"text": "next"}) as provider:
        async with gateway_process(home, provider) as (client, process):
            conversation = (await client.conversations.create()).id
            stream = await client.responses.create(model="counter", input="go", conversation=conversation, stream=True)
            await provider.asked.wait()
            with no_room(process):
                hold.set()
                events = [event async for event in stream]
            second = await client.responses.create(model="counter", input="and?", conversation=conversation)
            first = await client.responses.retrieve(events[0].response.id)
    assert (events[-1].type, TOLD in events[-1].response.error.message) == ("response.failed", True)
    assert second.output_text == "next"
    # What the model said is there after all, and the next turn knew it.
    assert (first.status, first.output_text) == ("completed", "the answer")
    assert "the answer" in json.dumps(provider.requests[1]["messages"])


@pytest.mark.parametrize("streamed", [True, False])
async def test_a_deadline_that_passes_while_the_ending_is_written_hangs_nobody(home, streamed):
    hold = asyncio.Event()
    async with upstream({"text": "just in time", "hold": hold}) as provider:
        async with gateway_process(home, provider, limits="{deadline: 3s}") as (client, _):

            async def ask():
                answer = await client.responses.create(model="counter", input="go", stream=streamed)
                return [event async for event in answer][-1].response if streamed else answer

            asking = asyncio.ensure_future(ask())
            await provider.asked.wait()
            with locked(home):
                hold.set()
                waiting = await asyncio.wait([asking], timeout=4)
            answer = await asking
    assert asking in waiting[1], "the ending was not waiting for the lock"
    assert (answer.status, answer.output_text) == ("completed", "just in time")


async def test_a_response_deleted_while_its_ending_is_written_ends_for_its_reader(home):
    hold = asyncio.Event()
    async with upstream({"text": "bye", "hold": hold}) as provider, gateway_process(home, provider) as (client, _):
        stream = await client.responses.create(model="counter", input="go", stream=True)
        id = (await anext(aiter(stream))).response.id
        await provider.asked.wait()
        with locked(home):
            hold.set()
            await asyncio.wait([asyncio.ensure_future(client.responses.retrieve(id))])
            deleting = asyncio.ensure_future(client.responses.delete(id))
            await asyncio.wait([deleting], timeout=0.5)
        await deleting
        events = [event async for event in stream]
        with pytest.raises(openai.NotFoundError):
            await client.responses.retrieve(id)
    assert events[-1].type == "response.completed"


async def test_what_a_tool_returned_survives_a_kill_while_the_model_thinks(home):
    first, second = asyncio.Event(), asyncio.Event()
    count = {"call": ("clock__count", "{}"), "hold": first}
    never = {"text": "never", "hold": second}
    async with upstream(count, never, {"text": "counted once"}, {"text": "next"}) as provider:
        async with gateway_process(home, provider) as (client, process):
            stream = await client.responses.create(model="counter", input="go", stream=True)
            id = (await anext(aiter(stream))).response.id
            await provider.asked.wait()
            provider.asked.clear()
            first.set()
            await provider.asked.wait()
            process.kill()
            await process.wait()
        provider.asked.clear()
        async with gateway_process(home, provider) as (client, _):
            continued = await client.responses.create(model="counter", input="and?", previous_response_id=id)
            recovered = await client.responses.retrieve(id)
    assert continued
    assert recovered.status == "completed"
    assert provider.requests[2]["messages"][-1] == {**provider.requests[2]["messages"][-1], "content": "counted"}
