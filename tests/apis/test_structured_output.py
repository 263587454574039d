"""Answers that must be JSON of a strict schema: checked here, asked for again, and never shown before they fit."""

import openai
import pytest

from gateway.items import Message, Refusal
from gateway.tools.settings import ServerSettings
from tests.conftest import call, say

pytestmark = pytest.mark.anyio

CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
FORM = {"format": {"type": "json_schema", "name": "city", "strict": True, "schema": CITY}}
CHAT_FORM = {"type": "json_schema", "json_schema": {"name": "city", "strict": True, "schema": CITY}}
OSLO = '{"city": "Oslo"}'


@pytest.mark.parametrize("wrong", ['{"town": "Oslo"}', "Oslo", '{"city": NaN}', '{"city": "Os', ""])
async def test_an_answer_that_does_not_fit_is_asked_for_again(start_gateway, wrong):
    async with start_gateway([say(wrong)], [say(OSLO, "msg_2")], [say("next", "msg_3")]) as gateway:
        create = gateway.openai.responses.create
        response = await create(model="helper", input="Where?", text=FORM)
        stored = await gateway.openai.responses.retrieve(response.id)
        await create(model="helper", input="and?", previous_response_id=response.id)
        first, again, later = gateway.provider.calls
    assert response.output_text == stored.output_text == OSLO
    assert (len(response.output), response.usage.total_tokens) == (1, 30)
    assert [item.text for item in again.items[: len(first.items)]] == [item.text for item in first.items]
    assert "does not fit" in again.items[-1].text and '"city"' in again.items[-1].text
    assert [item.text for item in later.items[1:]] == ["Where?", OSLO, "and?"]


async def test_a_stream_tells_only_the_answer_that_fits(start_gateway):
    async with start_gateway([say("Oslo")], [say(OSLO, "msg_2")]) as gateway:
        async with gateway.openai.responses.stream(model="helper", input="Where?", text=FORM) as stream:
            events = [event async for event in stream]
            final = await stream.get_final_response()
    told = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert told == final.output_text == OSLO


async def test_after_three_attempts_it_is_a_clear_failure(start_gateway):
    steps = [[say("no", f"msg_{number}")] for number in range(3)]
    async with start_gateway(*steps) as gateway:
        with pytest.raises(openai.APIStatusError, match="asked 3 times") as failed:
            await gateway.openai.responses.create(model="helper", input="Where?", text=FORM)
        assert len(gateway.provider.calls) == 3
    assert (failed.value.status_code, failed.value.code) == (502, "invalid_structured_output")


async def test_chat_completions_are_held_to_their_response_format(start_gateway):
    ask = {"model": "helper", "messages": [{"role": "user", "content": "Where?"}], "response_format": CHAT_FORM}
    async with start_gateway([say("Oslo")], [say(OSLO, "msg_2")], [say("Oslo")], [say(OSLO, "msg_2")]) as gateway:
        whole = await gateway.openai.chat.completions.create(**ask)
        stream = await gateway.openai.chat.completions.create(**ask, stream=True)
        pieces = [chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]
    assert whole.choices[0].message.content == "".join(pieces) == OSLO


async def test_a_schema_that_is_not_strict_is_the_models_affair(start_gateway):
    form = {"format": {**FORM["format"], "strict": False}}
    async with start_gateway([say("Oslo")]) as gateway:
        response = await gateway.openai.responses.create(model="helper", input="Where?", text=form)
    assert response.output_text == "Oslo"


async def test_a_refusal_and_a_call_are_no_answers_to_check(start_gateway, home):
    (home / "agents" / "timekeeper.yaml").write_text("name: timekeeper\nmodel: scripted/one\ntools: [clock.now]\n")
    clock = {"clock": ServerSettings(module="tests.servers.clock", settings={"folder": str(home)})}
    refusal = Message(id="msg_no", role="assistant", content=(Refusal(text="I will not."),))
    steps = [[say("I look.", "msg_1"), call("clock__now")], [say(OSLO, "msg_2")], [refusal]]
    async with start_gateway(*steps, servers=clock) as gateway:
        create = gateway.openai.responses.create
        called = await create(model="timekeeper", input="Where?", text=FORM)
        refused = await create(model="helper", input="Where?", text=FORM)
    assert [item.type for item in called.output] == ["message", "mcp_call", "message"]
    assert refused.output[0].content[0].refusal == "I will not."


@pytest.mark.parametrize("schema", [{"type": "nonsense"}, {"$ref": "https://elsewhere/schema"}, {"properties": []}])
async def test_a_schema_that_cannot_be_used_is_refused(start_gateway, schema):
    text = {"format": {**FORM["format"], "schema": schema}}
    form = {"type": "json_schema", "json_schema": {**CHAT_FORM["json_schema"], "schema": schema}}
    async with start_gateway() as gateway:
        with pytest.raises(openai.BadRequestError) as refused:
            await gateway.openai.responses.create(model="helper", input="?", text=text)
        with pytest.raises(openai.BadRequestError) as refused_too:
            await gateway.openai.chat.completions.create(
                model="helper", messages=[{"role": "user", "content": "?"}], response_format=form
            )
    assert (refused.value.param, refused.value.code) == ("text.format.schema", "invalid_json_schema")
    assert refused_too.value.param == "response_format.json_schema.schema"
