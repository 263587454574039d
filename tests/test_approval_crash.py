"""kill -9 around an approval: what was approved runs once, and nothing else does."""

import fcntl
import os

import httpx
import openai
import pytest

from tests.test_crash import gateway_process
from tests.upstream import upstream

pytestmark = pytest.mark.anyio

COUNT = {"call": ("clock__count", "{}")}
FOREVER = {"call": ("clock__count", '{"forever": true}')}


def write_agent(home, tools):
    (home / "agents" / "careful.yaml").write_text(f"name: careful\nmodel: fake/m\ntools: [{tools}]\n")


def bare(client):
    headers = {"authorization": f"Bearer {client.api_key}"}
    return httpx.AsyncClient(base_url=str(client.base_url), headers=headers, timeout=30)


async def killed(process):
    process.kill()
    await process.wait()


def tally(home):
    return (home / "tally").read_text().count("called")


async def test_a_call_that_was_approved_before_the_crash_runs_after_it(home):
    write_agent(home, "gated.passed, {tool: clock.count, approval: always}")
    (home / "gate").touch()
    gated = f"gated: {{module: tests.servers.gated, settings: {{gate: '{home}/gate'}}}}"
    async with upstream(COUNT, {"text": "done"}, {"text": "bye"}) as provider:
        async with gateway_process(home, provider, more_servers=gated) as (client, process):
            first = await client.responses.create(model="careful", input="go")
            await killed(process)
        with (home / "gate").open() as gate:
            # The tools of this process never load: the run begins, and gets no further than its approval.
            fcntl.flock(gate, fcntl.LOCK_EX)
            async with gateway_process(home, provider, more_servers=gated) as (client, process):
                async with bare(client) as http:
                    path = f"approvals/{first.output[0].id}"
                    done = (await http.post(path, json={"approve": True})).json()
                await killed(process)
        assert not (home / "tally").exists()
        async with gateway_process(home, provider, more_servers=gated) as (client, _):
            after = {"model": "careful", "input": "?", "previous_response_id": done["response_id"]}
            await client.responses.create(**after)
            went_on = await client.responses.retrieve(done["response_id"])
            async with bare(client) as http:
                again = await http.post(path, json={"approve": True})
    assert (went_on.status, went_on.output_text, went_on.output[0].output) == ("completed", "done", "counted")
    assert (again.status_code, again.json()["error"]["code"], tally(home)) == (400, "approval_already_used", 1)


@pytest.mark.parametrize("store", [True, False])
async def test_an_approved_call_that_was_begun_is_not_repeated(home, store):
    write_agent(home, "{tool: clock.count, approval: always}")
    os.mkfifo(home / "begun")
    async with upstream(FOREVER, {"text": "I will check."}) as provider:
        async with gateway_process(home, provider) as (client, process):
            go = {"role": "user", "content": "go"}
            first = await client.responses.create(model="careful", input=[go], store=store)
            (asked,) = first.output
            yes = {"type": "mcp_approval_response", "approval_request_id": asked.id, "approve": True}
            request = {"input": [yes], "previous_response_id": first.id}
            if not store:
                request = {"input": [go, asked.to_dict(), yes], "store": False}
            stream = await client.responses.create(model="careful", stream=True, **request)
            with (home / "begun").open() as begun:
                assert begun.read() == "yes"
            await killed(process)
            await stream.close()
        (home / "begun").unlink()
        async with gateway_process(home, provider) as (client, _):
            with pytest.raises(openai.BadRequestError, match="answered already"):
                await client.responses.create(model="careful", **request)
            while len(provider.requests) < 2:
                provider.asked.clear()
                await provider.asked.wait()
    told = provider.requests[1]["messages"][-1]
    assert (told["role"], "outcome is unknown" in told["content"], tally(home)) == ("tool", True, 1)


async def test_a_question_outlives_the_process_that_asked_it(home):
    write_agent(home, "{tool: clock.count, approval: always}")
    async with upstream(COUNT, {"text": "done"}) as provider:
        messages = [{"role": "user", "content": "go"}]
        async with gateway_process(home, provider) as (client, process):
            asked = await client.chat.completions.create(model="careful", messages=messages)
            await killed(process)
        question = asked.choices[0].message.content
        code = question.partition("`approve ")[2][:9]
        messages += [{"role": "assistant", "content": question}, {"role": "user", "content": f"approve {code}"}]
        async with gateway_process(home, provider) as (client, _):
            done = await client.chat.completions.create(model="careful", messages=messages)
    assert (done.choices[0].message.content, tally(home)) == ("done", 1)
