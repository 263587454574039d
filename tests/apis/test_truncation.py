"""`truncation: auto`: what is too long for the model loses its oldest items, and a call never its result."""

import openai
import pytest

from gateway.errors import ContextTooLong
from gateway.tools.settings import ServerSettings
from tests.conftest import call, say

pytestmark = pytest.mark.anyio

LONG = "long " * 100


async def test_the_oldest_questions_and_answers_go_and_the_instructions_stay(start_gateway):
    steps = [[say("one", "a")], [say("two", "b")], ContextTooLong(), [say("three", "c")], [say("four", "d")]]
    async with start_gateway(*steps) as gateway:
        create = gateway.openai.responses.create
        first = await create(model="helper", input=LONG)
        second = await create(model="helper", input="second", previous_response_id=first.id)
        third = await create(model="helper", input="third", previous_response_id=second.id, truncation="auto")
        await create(model="helper", input="fourth", previous_response_id=third.id)
        calls = [[item.text for item in asked.items] for asked in gateway.provider.calls]
    assert calls[2] == ["You help.", LONG, "one", "second", "two", "third"]
    assert calls[3] == ["You help.", "second", "two", "third"]
    assert calls[4] == ["You help.", LONG, "one", "second", "two", "third", "three", "fourth"]
    assert (third.output_text, third.truncation) == ("three", "auto")


async def test_more_goes_until_it_fits(start_gateway):
    steps = [[say("one", "a")], [say("two", "b")], ContextTooLong(), ContextTooLong(), [say("three", "c")]]
    async with start_gateway(*steps) as gateway:
        create = gateway.openai.responses.create
        first = await create(model="helper", input=LONG)
        second = await create(model="helper", input="second", previous_response_id=first.id)
        await create(model="helper", input="third", previous_response_id=second.id, truncation="auto")
        last = [item.text for item in gateway.provider.calls[-1].items]
    assert last == ["You help.", "third"]


@pytest.mark.parametrize("fields", [{"truncation": "disabled"}, {}, {"truncation": "auto"}])
async def test_without_it_or_with_nothing_to_drop_the_request_is_refused(start_gateway, fields):
    async with start_gateway(ContextTooLong("It is too long.")) as gateway:
        with pytest.raises(openai.BadRequestError) as refused:
            await gateway.openai.responses.create(model="helper", input=LONG, **fields)
    assert refused.value.code == "context_length_exceeded"


async def test_within_one_question_the_oldest_call_goes_with_its_result(start_gateway, home):
    (home / "agents" / "timekeeper.yaml").write_text("name: timekeeper\nmodel: scripted/one\ntools: [clock.now]\n")
    clock = {"clock": ServerSettings(module="tests.servers.clock", settings={"folder": str(home)})}
    steps = [
        [call("clock__now", call_id="a")],
        [call("clock__now", call_id="b")],
        ContextTooLong(),
        [call("clock__now", call_id="c")],
        [say("noon")],
    ]
    async with start_gateway(*steps, servers=clock) as gateway:
        response = await gateway.openai.responses.create(model="timekeeper", input="time?", truncation="auto")
        calls = [
            [(item.kind, item.call_id) for item in asked.items if item.kind != "message"]
            for asked in gateway.provider.calls
        ]
    b = [("tool_call", "b"), ("tool_result", "b")]
    assert calls[3] == b
    assert calls[4] == [*b, ("tool_call", "c"), ("tool_result", "c")]
    assert [item.type for item in response.output] == ["mcp_call", "mcp_call", "mcp_call", "message"]
