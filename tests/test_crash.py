"""kill -9 in the middle of a run, and what the next start makes of it. The gateway is a process of its own."""

import asyncio
import contextlib
import os
import re
import sqlite3
import sys
from pathlib import Path

import anyio
import openai
import pytest

from tests.upstream import upstream

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parent.parent


@contextlib.asynccontextmanager
async def gateway_process(home, provider, limits="{}", more_servers=""):
    """A gateway process on this home; its client, and the process to kill. `more_servers` is a line of YAML."""
    (home / "gateway.yaml").write_text(
        f"providers: {{fake: {{base_url: '{provider.url}', api_key: x}}}}\n"
        f"servers:\n  clock: {{module: tests.servers.clock, settings: {{folder: '{home}'}}}}\n  {more_servers}\n"
    )
    (home / "agents" / "counter.yaml").write_text(
        f"name: counter\nmodel: fake/m\ntools: [clock.now, clock.count]\nlimits: {limits}\n"
    )
    folders = ["--data", str(home / "data"), "--agents", str(home / "agents"), "--config", str(home / "gateway.yaml")]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "serve", "--port", "0", *folders, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    try:
        url = ""
        while not url:
            line = (await process.stdout.readline()).decode()
            assert line, "the gateway ended before it listened"
            if found := re.search(r"http://127\.0\.0\.1:\d+/v1", line):
                url = found[0]
        key = (home / "data" / "local.key").read_text().strip()
        async with openai.AsyncOpenAI(base_url=url, api_key=key, max_retries=0) as client:
            with anyio.fail_after(60):
                yield client, process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_a_call_that_outlives_its_runs_deadline_is_not_repeated_by_the_next_turn(home):
    count = {"call": ("clock__count", '{"forever": true}')}
    async with upstream(count, {"text": "I will check."}) as provider:
        async with gateway_process(home, provider, limits="{deadline: 3s}") as (client, _):
            conversation = (await client.conversations.create()).id
            first = await client.responses.create(model="counter", input="go", conversation=conversation)
            await client.responses.create(model="counter", input="and?", conversation=conversation)
    told = [message for message in provider.requests[1]["messages"] if message["role"] == "tool"]
    assert (first.status, first.output[0].status) == ("failed", "failed")
    assert (home / "tally").read_text().count("called") == 1
    assert "outcome is unknown" in told[0]["content"]


async def begin(client, conversation):
    """The id of a streamed response once it is acknowledged; the stream stays open."""
    given = {"conversation": conversation} if conversation else {}
    stream = await client.responses.create(model="counter", input="go", stream=True, **given)
    return stream, (await anext(aiter(stream))).response.id


async def test_a_run_that_was_killed_goes_on_at_the_next_start(home):
    hold = {"text": "never", "hold": asyncio.Event()}
    async with upstream(hold, {"text": "after all"}, {"text": "next"}) as provider:
        async with gateway_process(home, provider) as (client, process):
            conversation = (await client.conversations.create()).id
            _, id = await begin(client, conversation)
            await provider.asked.wait()
            process.kill()
            await process.wait()
        async with gateway_process(home, provider) as (client, _):
            # A turn of the same conversation waits for the one that goes on.
            await client.responses.create(model="counter", input="and?", conversation=conversation)
            recovered = await client.responses.retrieve(id)
    assert (recovered.status, recovered.output_text) == ("completed", "after all")


async def test_a_side_effect_that_was_begun_is_not_repeated_and_the_model_is_told(home):
    count = {"call": ("clock__count", '{"forever": true}')}
    os.mkfifo(home / "begun")
    async with upstream(count, {"text": "I will check."}, {"text": "next"}) as provider:
        async with gateway_process(home, provider) as (client, process):
            conversation = (await client.conversations.create()).id
            await begin(client, conversation)
            assert await asyncio.to_thread((home / "begun").read_text) == "yes"
            process.kill()
            await process.wait()
        async with gateway_process(home, provider) as (client, _):
            await client.responses.create(model="counter", input="and?", conversation=conversation)
    told = provider.requests[1]["messages"][-1]
    assert (home / "tally").read_text().count("called") == 1
    assert (told["role"], "outcome is unknown" in told["content"]) == ("tool", True)


async def test_a_side_effect_is_not_repeated_though_the_run_cannot_go_on_from_its_compaction(home):
    count = {"call": ("clock__count", '{"forever": true}')}
    os.mkfifo(home / "begun")
    async with upstream({"text": "They greeted."}, count, {"text": "I will check."}) as provider:
        async with gateway_process(home, provider) as (client, process):
            compacted = await client.responses.compact(model="counter", input="hello")
            items = [item.to_dict(warnings=False) for item in compacted.output]
            conversation = (await client.conversations.create(items=items)).id
            await begin(client, conversation)
            assert await asyncio.to_thread((home / "begun").read_text) == "yes"
            process.kill()
            await process.wait()
        (home / "data" / "sealing.key").unlink()
        async with gateway_process(home, provider) as (client, _):
            with pytest.raises(openai.BadRequestError, match="cannot be read"):
                await client.responses.create(model="counter", input="and?", conversation=conversation)
            await client.conversations.items.delete(items[-1]["id"], conversation_id=conversation)
            await client.responses.create(model="counter", input="and?", conversation=conversation)
    told = [message["content"] for message in provider.requests[-1]["messages"] if message["role"] == "tool"]
    assert (home / "tally").read_text().count("called") == 1
    assert [("outcome is unknown" in content) for content in told] == [True]


async def test_a_run_that_cannot_be_read_back_keeps_no_other_from_going_on(home):
    holds = [{"text": "never", "hold": asyncio.Event()}, {"text": "never", "hold": asyncio.Event()}]
    async with upstream(*holds, {"text": "after all"}, {"text": "next"}) as provider:
        async with gateway_process(home, provider) as (client, process):
            conversation = (await client.conversations.create()).id
            _, damaged = await begin(client, None)
            _, id = await begin(client, conversation)
            while len(provider.requests) < 2:
                provider.asked.clear()
                await provider.asked.wait()
            process.kill()
            await process.wait()
        with sqlite3.connect(home / "data" / "homeport.db") as database:
            broken = database.execute(
                "update items set body = '{}' where turn = (select n from turns where id = ?)", (damaged,)
            )
        assert broken.rowcount
        async with gateway_process(home, provider) as (client, _):
            await client.responses.create(model="counter", input="and?", conversation=conversation)
            recovered = await client.responses.retrieve(id)
    assert (recovered.status, recovered.output_text) == ("completed", "after all")
