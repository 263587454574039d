"""A tool call looks the same in the stream, in the answer, when it is read back and in its conversation."""

import pytest
from openai import NotFoundError

from gateway.ports import Rule, Verdict
from gateway.providers.settings import Limits, ProviderSettings
from gateway.rules import RULES
from gateway.tools.settings import ServerSettings
from tests.conftest import call, say
from tests.upstream import frame, upstream

pytestmark = pytest.mark.anyio

MINE = {"type": "function", "name": "mine", "parameters": {"type": "object", "properties": {}}}


@pytest.fixture
def clock(home):
    """Settings of an in-process clock server, and an agent `timekeeper` that may use some of its tools."""
    (home / "agents" / "timekeeper.yaml").write_text(
        "name: timekeeper\nmodel: scripted/one\ntools: [clock.now, {tool: clock.count, limits: {per_run: 1}}]\n"
    )
    return {"clock": ServerSettings(module="tests.servers.clock", settings={"folder": str(home)})}


async def streamed(gateway, **request):
    """The last object of a stream, the object read back, and the `done` of each item."""
    stream = await gateway.openai.responses.create(model="timekeeper", stream=True, **request)
    events = [event async for event in stream]
    stored = await gateway.openai.responses.retrieve(events[-1].response.id)
    done = [event.item.to_dict() for event in events if event.type == "response.output_item.done"]
    return events[-1].response.to_dict(), stored.to_dict(), done


@pytest.mark.parametrize(
    "said",
    [
        [call("clock__now")],
        [call("nonsense")],
        [say("I look.", "a"), call("nonsense"), call("clock__now", "{}", "call_2")],
        [call("clock__now"), say("I called it.", "a")],
        [call("clock__count", "{}", "call_1"), call("clock__count", "{}", "call_2"), call("clock__now", "{", "call_3")],
    ],
)
async def test_a_call_of_the_gateways_is_one_item_in_the_same_place_wherever_it_is_shown(start_gateway, clock, said):
    async with start_gateway(said, [say("noon", "z")], servers=clock) as gateway:
        final, stored, done = await streamed(gateway, input="time?")
    assert stored == {**final, "completed_at": stored["completed_at"]}
    assert sorted(done, key=lambda item: item["id"]) == sorted(stored["output"], key=lambda item: item["id"])
    assert {item["type"] for item in stored["output"]} == {"mcp_call", "message"}
    assert all(item["output"] for item in stored["output"] if item["type"] == "mcp_call")


async def test_calls_of_both_sides_in_one_answer_keep_their_places(start_gateway, clock):
    calls = [call("clock__now", "{}", "call_1"), call("mine", "{}", "call_2")]
    async with start_gateway(calls, servers=clock) as gateway:
        final, stored, _ = await streamed(gateway, input="time?", tools=[MINE])
    assert stored == {**final, "completed_at": stored["completed_at"]}
    assert [(item["type"], item["status"]) for item in stored["output"]] == [
        ("function_call", "completed"),
        ("mcp_call", "completed"),
    ]


async def test_a_function_call_that_was_cut_off_is_incomplete_everywhere(start_gateway, home):
    (home / "agents" / "timekeeper.yaml").write_text("name: timekeeper\nmodel: fake/m\n")
    whole = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "mine", "arguments": "{}"}}
    broken = {"index": 1, "id": "call_2", "type": "function", "function": {"name": "mine", "arguments": '{"a'}}
    async with upstream({"text": ""}) as provider:

        async def cut_off(step):
            yield frame({"delta": {"role": "assistant", "tool_calls": [whole]}, "finish_reason": None})
            yield frame({"delta": {"tool_calls": [broken]}, "finish_reason": None})
            yield frame({"delta": {}, "finish_reason": "length"})
            yield "data: [DONE]\n\n"

        provider.stream = cut_off
        fake = ProviderSettings(name="fake", base_url=provider.url, api_key="k")
        async with start_gateway(providers={"fake": fake}, limits=Limits(retries=0)) as gateway:
            final, stored, done = await streamed(gateway, input="go", tools=[MINE])
    assert stored == {**final, "completed_at": stored["completed_at"]}
    assert (stored["status"], stored["output"]) == ("incomplete", done)
    assert [(item["type"], item["status"]) for item in done] == [
        ("function_call", "completed"),
        ("function_call", "incomplete"),
    ]


class AskFirst(Rule):
    async def check_call(self, turn, spec, call, history):
        return Verdict("ask")


@pytest.mark.parametrize("approve", [True, False])
async def test_a_call_that_goes_on_after_an_approval_is_closed(start_gateway, clock, monkeypatch, approve):
    monkeypatch.setitem(RULES, "ask", AskFirst)
    async with start_gateway([call("clock__now")], [say("noon")], servers=clock) as gateway:
        final, stored, done = await streamed(gateway, input="time?")
        (asked,) = stored["output"]
        answer = {"type": "mcp_approval_response", "approval_request_id": asked["id"], "approve": approve}
        request = {"input": [answer], "previous_response_id": stored["id"]}
        went_on, read_back, went_on_done = await streamed(gateway, **request)
    assert stored == {**final, "completed_at": stored["completed_at"]}
    assert (asked["type"], asked["name"], done) == ("mcp_approval_request", "now", [asked])
    assert read_back == {**went_on, "completed_at": read_back["completed_at"]}
    assert read_back["output"] == went_on_done
    shown = [(item["type"], item["status"]) for item in went_on_done]
    assert shown == ([("mcp_call", "completed")] if approve else []) + [("message", "completed")]


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_pages_of_a_conversation_never_part_a_call_from_its_result(start_gateway, clock, order):
    steps = [
        [call("clock__now", '{"zone": "CET"}')],
        [say("noon", "a")],
        [call("mine", "{}", "call_2")],
        [say("b", "b")],
    ]
    async with start_gateway(*steps, servers=clock) as gateway:
        conversation = (await gateway.openai.conversations.create()).id
        create = gateway.openai.responses.create
        await create(model="timekeeper", input="time?", conversation=conversation)
        await create(model="timekeeper", input="mine?", conversation=conversation, tools=[MINE])
        output = {"type": "function_call_output", "call_id": "call_2", "output": "ok"}
        await create(model="timekeeper", input=[output], conversation=conversation, tools=[MINE])
        items = gateway.openai.conversations.items
        whole = (await items.list(conversation, order=order, limit=100)).data
        for limit in range(1, 9):
            first = await items.list(conversation, order=order, limit=limit)
            assert (len(first.data), first.has_more) == (min(limit, len(whole)), limit < len(whole))
            assert (first.first_id, first.last_id) == (first.data[0].id, first.data[-1].id)
            assert [item async for item in items.list(conversation, order=order, limit=limit)] == whole
        one = await items.retrieve("fc_call_1", conversation_id=conversation)
    kinds = ["message", "mcp_call", "message", "message", "function_call", "function_call_output", "message"]
    assert [item.type for item in whole] == (kinds if order == "asc" else kinds[::-1])
    assert (one.type, one.status, one.output) == ("mcp_call", "completed", "12:00 CET")
    assert one in whole


async def test_a_call_leaves_a_conversation_with_its_result(start_gateway, clock):
    async with start_gateway([call("clock__now")], [say("noon")], [say("hm", "b")], servers=clock) as gateway:
        conversation = (await gateway.openai.conversations.create()).id
        create, items = gateway.openai.responses.create, gateway.openai.conversations.items
        await create(model="timekeeper", input="time?", conversation=conversation)
        await items.delete("fc_call_1", conversation_id=conversation)
        with pytest.raises(NotFoundError):
            await items.retrieve("fc_call_1", conversation_id=conversation)
        left = [item.type async for item in items.list(conversation)]
        await create(model="timekeeper", input="again", conversation=conversation)
        seen = [item.kind for item in gateway.provider.calls[-1].items]
    assert left == ["message", "message"]
    assert seen == ["message", "message", "message"]


async def test_a_call_that_a_client_brings_back_has_the_name_it_was_offered_under(start_gateway, clock):
    async with start_gateway([say("ok")], [say("ok", "b")], servers=clock) as gateway:
        conversation = (await gateway.openai.conversations.create()).id
        fetch = {"type": "mcp_call", "id": "mcp_1", "server_label": "web", "name": "fetch.page", "arguments": "{}"}
        added = await gateway.openai.conversations.items.create(conversation, items=[{**fetch, "output": "a page"}])
        listed = await gateway.openai.conversations.items.list(conversation)
        await gateway.openai.responses.create(model="timekeeper", input="go", conversation=conversation)
        brought = next(item for item in gateway.provider.calls[0].items if item.kind == "tool_call")
    assert brought.name == "web__fetch_page_2b719af0"
    (item,) = added.data
    assert (item.name, item.server_label, item.output, item.status) == ("fetch.page", "web", "a page", "completed")
    assert listed.data == added.data
    assert added.last_id == item.id


async def test_a_call_that_runs_is_in_progress_when_its_response_is_read(start_gateway, clock, home):
    (home / "agents" / "timekeeper.yaml").write_text("name: timekeeper\nmodel: scripted/one\ntools: [clock.meet]\n")
    calls = [[call("clock__meet", '{"name": "a"}', "call_a")], [call("clock__meet", '{"name": "b"}', "call_b")]]
    async with start_gateway(*calls, [say("met", "a")], [say("met", "b")], servers=clock) as gateway:
        create = gateway.openai.responses.create
        first = await create(model="timekeeper", input="meet", stream=True)
        begun = [event async for event in until(first, "response.mcp_call_arguments.done")]
        half = await gateway.openai.responses.retrieve(begun[0].response.id)
        await create(model="timekeeper", input="meet")
        rest = [event async for event in first]
    assert (half.status, [item.status for item in half.output]) == ("in_progress", ["in_progress"])
    assert half.output[0].id == begun[-1].item_id
    assert [item.status for item in rest[-1].response.output] == ["completed", "completed"]


async def until(events, kind):
    async for event in events:
        yield event
        if event.type == kind:
            return
