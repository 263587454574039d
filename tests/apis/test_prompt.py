"""The prompt of a stored turn: what providers were sent, byte for byte, whatever happened to the agent since."""

import asyncio
import contextlib
import hashlib
import json

import anyio
import httpx
import pytest

from gateway.providers.settings import Limits, ProviderSettings
from gateway.tools.settings import ServerSettings
from tests.apis.asking import answer, somebody_else
from tests.providers.replay import Answer
from tests.providers.replay import Upstream as Vendor
from tests.providers.wires import LEGS
from tests.test_crash import gateway_process
from tests.upstream import upstream

pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

KEY = "sk-secret-of-the-host"
INSTRUCTIONS = "You keep time for whoever asks you. ÄÖ 日本"
AGENT = f"name: keeper\nmodel: x/m\ninstructions: {INSTRUCTIONS}\ntools: [clock.now, {{tool: clock.count}}]\n"
NOW = {"call": ("clock__now", '{"zone": "CET"}')}
BUSY = {"status": 503, "error": {"error": {"message": "Come back."}}, "headers": {"retry-after": "0"}}
USER = {"role": "user", "content": "hi"}


@pytest.fixture
def keeper(home, start_gateway):
    """`async with keeper(*steps, **provider) as (gateway, upstream)`: an agent with tools, and its provider."""
    (home / "agents" / "keeper.yaml").write_text(AGENT)
    clock = ServerSettings(module="tests.servers.clock", settings={"folder": str(home)})

    @contextlib.asynccontextmanager
    async def start(*steps, limits=None, **provider):
        async with upstream(*steps) as seen:
            given = ProviderSettings(**{"name": "x", "base_url": seen.url, "api_key": KEY, **provider})
            settings = {"providers": {"x": given}, "servers": {"clock": clock}, "models": ("x/*",)}
            async with start_gateway(**settings, limits=limits or Limits(retries=0)) as gateway:
                yield gateway, seen

    return start


async def prompt(gateway, id, path="/v1/responses"):
    got = await gateway.http.get(f"{path}/{id}/prompt")
    assert got.status_code == 200, got.text
    assert KEY not in got.text
    shown = got.json()
    assert [each["index"] for each in shown["data"]] == list(range(len(shown["data"])))
    for each in shown["data"]:
        assert each["body_sha256"] == hashlib.sha256(each["body"].encode()).hexdigest()
        assert sum(each["tokens"].values()) == 2 * each["tokens"]["total"]
    return shown


def bodies(shown):
    return [each["body"].encode() for each in shown["data"]]


async def asked(gateway, **body):
    return (await gateway.openai.responses.create(**{"model": "keeper", "input": "time?", **body})).id


@pytest.mark.requirement("prompt")
async def test_every_request_of_a_branch_is_shown_after_the_agent_was_edited_and_a_restart(keeper, home):
    async with keeper(*[NOW, {"text": "noon"}] * 3) as (gateway, seen):
        first = await asked(gateway)
        second = await asked(gateway, previous_response_id=first, input="and now? ß", stream=False)
        conversation = (await gateway.openai.conversations.create()).id
        third = await asked(gateway, conversation=conversation, instructions="Be brief.")
    (home / "agents" / "keeper.yaml").write_text("name: keeper\nmodel: x/other\ninstructions: Something else.\n")
    async with keeper({"text": "again"}) as (gateway, after):
        shown = [await prompt(gateway, id) for id in (first, second, third)]
        fourth = await asked(gateway, previous_response_id=second)
        newest = await prompt(gateway, fourth)
        bare = (await gateway.http.get(f"/responses/{first}/prompt")).json()
    assert [bodies(each) for each in shown] == [seen.bodies[:2], seen.bodies[2:4], seen.bodies[4:]]
    assert bodies(newest) == after.bodies
    assert (bare, shown[0]["object"], shown[0]["id"]) == (shown[0], "response.prompt", first)
    one = shown[0]["data"][1]
    assert (one["model"], one["url"], one["status"], one["exact"], one["redacted"]) == (
        *("x/m", f"{seen.url}/chat/completions"),
        *("completed", True, False),
    )


@pytest.mark.requirement("prompt")
async def test_a_run_that_goes_on_after_a_kill_shows_what_it_sends_then(home):
    hold = {"text": "never", "hold": asyncio.Event()}
    async with upstream({"call": ("clock__now", "{}")}, hold, {"text": "noon"}) as seen:
        async with gateway_process(home, seen) as (client, process):
            id = (await client.responses.create(model="counter", input="go", background=True)).id
            while len(seen.bodies) < 2:
                await anyio.lowlevel.checkpoint()
            process.kill()
            await process.wait()
        async with gateway_process(home, seen) as (client, _):
            while (await client.responses.retrieve(id)).status != "completed":
                await anyio.lowlevel.checkpoint()
            shown = (await client.get(f"/responses/{id}/prompt", cast_to=httpx.Response)).json()
    assert bodies(shown) == [seen.bodies[0], seen.bodies[2]]


@pytest.mark.requirement("prompt")
async def test_homeport_adds_no_hidden_text(keeper):
    async with keeper({"text": "noon"}) as (gateway, _):
        shown = await prompt(gateway, await asked(gateway, model="x/m", input="What time is it?"))
    assert shown["data"][0]["body"] == (
        '{"model":"m","messages":[{"role":"user","content":"What time is it?"}],"stream":false}'
    )


@pytest.mark.requirement("prompt")
async def test_a_stored_completion_shows_the_requests_of_all_its_choices(keeper):
    async with keeper(*[{"text": "hello"}] * 4) as (gateway, seen):
        chat = gateway.openai.chat.completions
        many = await chat.create(model="keeper", messages=[USER], store=True, n=2)
        raw = await chat.create(model="x/m", messages=[USER], store=True, temperature=0.5)
        relayed = await gateway.http.post("/v1/chat/completions", json={"model": "x/m", "messages": [USER]})
        of_many, of_raw = [await prompt(gateway, each.id, "/v1/chat/completions") for each in (many, raw)]
        passing = await gateway.http.get(f"/v1/chat/completions/{relayed.json()['id']}/prompt")
    assert (sorted(bodies(of_many)), bodies(of_raw)) == (sorted(seen.bodies[:2]), seen.bodies[2:3])
    assert (of_many["object"], passing.status_code) == ("chat.completion.prompt", 404)


@pytest.mark.requirement("prompt")
@pytest.mark.parametrize("leg", LEGS, ids=[f"{leg.lane}-{leg.vendor}" for leg in LEGS])
async def test_every_lane_shows_the_bytes_that_its_vendor_got(start_gateway, home, leg):
    model = {"gemini": "x/gemini-2.5-flash", "anthropic": "x/claude-sonnet-4-5"}.get(leg.vendor, "x/gpt-4o")
    (home / "agents" / "keeper.yaml").write_text(AGENT.replace("x/m", model))
    clock = ServerSettings(module="tests.servers.clock", settings={"folder": str(home)})
    counted = leg.whole.replace(b'"input_tokens": 3', b'"input_tokens": 3000')
    async with Vendor(Answer(counted)) as vendor:
        provider = ProviderSettings(name="x", base_url=vendor.url, api_key=KEY, **leg.settings)
        settings = {"providers": {"x": provider}, "servers": {"clock": clock}, "limits": Limits(retries=0)}
        async with start_gateway(**settings) as gateway:
            stream = await gateway.openai.responses.create(model="keeper", input="time? 日本", stream=True)
            events = [event async for event in stream]
            assert events[-1].type == "response.completed", events[-1]
            shown = await prompt(gateway, events[-1].response.id)
    (one,) = shown["data"]
    assert (bodies(shown), one["exact"]) == ([vendor.requests[0].raw], True)
    assert one["url"].split("?")[0] == vendor.url + vendor.requests[0].path.split("?")[0]
    tokens = one["tokens"]
    assert tokens["tools"] > tokens["instructions"] > tokens["input"] > 0 == tokens["history"]


@pytest.mark.requirement("prompt")
async def test_what_litellm_sends_by_another_way_is_not_said_to_be_exact(start_gateway):
    async with Vendor(
        Answer(
            b'{"generated_text":"Hello.","nb_input_tokens":1,"nb_generated_tokens":2}', content_type="application/json"
        )
    ) as vendor:
        provider = ProviderSettings(name="x", base_url=f"{vendor.url}/v1", api_key=KEY, litellm_provider="nlp_cloud")
        settings = {"providers": {"x": provider}, "models": ("x/*",), "limits": Limits(retries=0)}
        async with start_gateway(**settings) as gateway:
            made = await gateway.http.post("/v1/responses", json={"model": "x/dolphin", "input": "time?"})
            shown = await prompt(gateway, made.json()["id"])
    (one,) = shown["data"]
    assert len(vendor.requests) == 1
    assert (one["exact"], json.loads(one["body"])["messages"]) == (False, [{"role": "user", "content": "time?"}])


@pytest.mark.requirement("prompt")
async def test_tools_by_schema_are_shown_as_the_model_read_them(keeper):
    said = [{"text": '{"tool": "clock__now", "arguments": {}}'}]
    said += [{"text": '{"tool": "answer", "arguments": {"text": "noon"}}'}]
    async with keeper(*said, native_tools=False) as (gateway, seen):
        shown = await prompt(gateway, await asked(gateway))
    assert bodies(shown) == seen.bodies
    assert "Answer with one JSON object" in shown["data"][0]["body"]


@pytest.mark.requirement("prompt")
async def test_attempts_that_failed_are_shown_with_what_became_of_them(keeper, home):
    (home / "agents" / "spare.yaml").write_text("name: spare\nmodel: {primary: x/m, fallbacks: [x/n]}\n")
    steps = [BUSY, BUSY, {"text": "hello"}, {"text": "cut short", "cut": True}]
    async with keeper(*steps, limits=Limits(retries=1)) as (gateway, seen):
        shown = await prompt(gateway, await asked(gateway, model="spare"))
        stream = await gateway.http.post("/v1/responses", json={"model": "x/m", "input": "hi", "stream": True})
        id = json.loads(stream.text.splitlines()[1].removeprefix("data: "))["response"]["id"]
        broken = await prompt(gateway, id)
    assert bodies(shown) + bodies(broken) == seen.bodies
    outcomes = [(each["model"], each["status"], (each["error"] or {}).get("code")) for each in shown["data"]]
    assert outcomes == [
        ("x/m", "failed", "provider_overloaded"),
        ("x/n", "failed", "provider_overloaded"),
        ("x/n", "completed", None),
    ]
    assert [(each["status"], each["error"]["code"]) for each in broken["data"]] == [("failed", "stream_truncated")]


@pytest.mark.requirement("prompt")
async def test_runs_in_the_background_and_after_an_approval_have_theirs(keeper, home):
    (home / "agents" / "keeper.yaml").write_text(AGENT.replace("clock.count}", "clock.count, approval: always}"))
    hold = asyncio.Event()
    steps = [{"call": ("clock__count", "{}")}, {"text": "done"}, {"text": "late", "hold": hold}, {"text": "x"}]
    async with keeper(*steps) as (gateway, seen):
        paused = await gateway.openai.responses.create(model="keeper", input="go")
        resumed = await asked(gateway, input=[answer(paused.output[0].id)], previous_response_id=paused.id)
        late = await asked(gateway, background=True)
        while len(seen.bodies) < 3:
            await anyio.lowlevel.checkpoint()
        early = await prompt(gateway, late)
        hold.set()
        while (await gateway.openai.responses.retrieve(late)).status != "completed":
            await anyio.lowlevel.checkpoint()
        shown = [await prompt(gateway, id) for id in (paused.id, resumed, late)]
    assert [bodies(each) for each in shown] == [[body] for body in seen.bodies]
    assert early["data"] == []


@pytest.mark.requirement("prompt")
async def test_a_cancelled_run_shows_what_it_had_sent(keeper):
    async with keeper({"text": "late", "hold": asyncio.Event()}) as (gateway, seen):
        id = await asked(gateway, background=True)
        await seen.asked.wait()
        await gateway.openai.responses.cancel(id)
        shown = await prompt(gateway, id)
    assert (bodies(shown), shown["data"][0]["status"]) == (seen.bodies, "cancelled")


@pytest.mark.requirement("prompt")
async def test_only_its_owner_sees_it_and_nobody_what_was_not_stored_or_is_deleted(keeper):
    async with keeper(*[{"text": "noon"}] * 4) as (gateway, _):
        mine, gone = await asked(gateway), await asked(gateway)
        unstored = await asked(gateway, store=False)
        chat = await gateway.openai.chat.completions.create(model="keeper", messages=[USER], store=True)
        await gateway.openai.responses.delete(gone)
        missing = [f"/v1/responses/{id}" for id in (gone, unstored, "resp_none", chat.id)]
        answers = [await gateway.http.get(f"{path}/prompt") for path in missing]
        async with somebody_else(gateway) as stranger:
            answers.append(await stranger.get(f"/v1/responses/{mine}/prompt"))
            answers.append(await stranger.get(f"/v1/chat/completions/{chat.id}/prompt"))
        await prompt(gateway, mine)
    assert {each.status_code for each in answers} == {404}
    assert all(each.json()["error"].keys() == {"message", "type", "param", "code"} for each in answers)


@pytest.mark.requirement("prompt")
async def test_keys_are_nowhere_in_it(keeper):
    hidden = {"extra": {"api_key": "extra-secret", "deep": [{"token": "deep-secret"}], "top_k": 3}}
    headers = {"x-auth": "Bearer header-secret", "x-title": "Homeport"}
    async with keeper({"text": "noon"}, **hidden, headers=headers) as (gateway, seen):
        given = f"Homeport, is {KEY} or header-secret my key?"
        shown = await prompt(gateway, await asked(gateway, input=given, model="x/m"))
    (one,) = shown["data"]
    assert one["redacted"]
    assert "secret" not in one["body"]
    assert "Homeport, is [key] or [key] my key?" in one["body"]
    sent = seen.bodies[0].decode()
    for secret in (KEY, "header-secret", "extra-secret", "deep-secret"):
        sent = sent.replace(secret, "[key]")
    assert one["body"] == sent


@pytest.mark.requirement("prompt")
async def test_its_tokens_are_told_by_section_and_add_up_to_what_the_provider_counted(keeper):
    usage = {"usage": {"prompt_tokens": 1003, "completion_tokens": 5, "total_tokens": 1008}}
    async with keeper(NOW | usage, {"text": "It is noon."} | usage, {"text": "one"} | usage) as (gateway, _):
        first = await asked(gateway)
        one, two = [each["tokens"] for each in (await prompt(gateway, first))["data"]]
        (later,) = (await prompt(gateway, await asked(gateway, previous_response_id=first)))["data"]
    three = later["tokens"]
    assert (later["usage"]["input_tokens"], later["tokens_counted"]) == (1003, "scaled_to_usage")
    assert [each["total"] for each in (one, two, three)] == [1003] * 3
    assert (
        one["tools"] > one["instructions"] > one["input"] > one["history"] == one["output"] == one["tool_results"] == 0
    )
    assert two["output"] > two["history"] == 0 < two["tool_results"]
    assert three["history"] > three["output"] == 0 < three["tool_results"]


@pytest.mark.requirement("prompt")
async def test_tokens_are_estimated_where_the_provider_does_not_count(keeper):
    async with keeper({"text": "noon", "usage": None}) as (gateway, _):
        shown = await prompt(gateway, await asked(gateway, model="x/m", input="What time is it?"))
        told = (await gateway.http.get("/openapi.json")).json()["components"]["schemas"]
    (one,) = shown["data"]
    assert one.keys() == told["Prompt"]["properties"]["data"]["items"]["properties"].keys()
    assert (one["usage"], one["tokens_counted"], one["tokens"]["input"]) == (None, "estimate", 9)
