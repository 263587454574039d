"""Tools of the client that take free text: `custom_tool_call` and its events, over models that know functions only."""

import openai
import pytest

from tests.conftest import call, say

pytestmark = pytest.mark.anyio

SQL = {"type": "custom", "name": "sql", "description": "Runs SQL."}


async def test_a_custom_tool_is_called_with_text_and_answered(start_gateway):
    async with start_gateway([call("sql", '{"input": "select \\"a\\""}')], [say("one row")]) as gateway:
        create = gateway.openai.responses.create
        conversation = (await gateway.openai.conversations.create()).id
        first = await create(model="helper", input="?", tools=[SQL], conversation=conversation)
        (asked,) = first.output
        output = {"type": "custom_tool_call_output", "call_id": asked.call_id, "output": "a"}
        second = await create(model="helper", input=[output], tools=[SQL], conversation=conversation)
        listed = await gateway.openai.conversations.items.list(conversation, order="asc")
        offered, history = gateway.provider.calls[0].tools[0], gateway.provider.calls[1].items
    assert (asked.type, asked.name, asked.input) == ("custom_tool_call", "sql", 'select "a"')
    assert offered.schema["required"] == ["input"] and offered.description == "Runs SQL."
    assert (history[-2].arguments, history[-1].text) == ('{"input": "select \\"a\\""}', "a")
    assert second.output_text == "one row"
    assert first.tools[0].model_dump(exclude_none=True) == {**SQL, "format": {"type": "text"}}
    assert [item.type for item in listed.data] == ["message", "custom_tool_call", "custom_tool_call_output", "message"]


async def test_its_input_is_streamed_in_its_own_events(start_gateway):
    async with start_gateway([call("sql", '{"input": "select 1"}')]) as gateway:
        stream = await gateway.openai.responses.create(model="helper", input="?", tools=[SQL], stream=True)
        events = [event async for event in stream]
    kinds = [event.type.removeprefix("response.") for event in events]
    assert kinds == [
        "created",
        "in_progress",
        "output_item.added",
        "custom_tool_call_input.delta",
        "custom_tool_call_input.done",
        "output_item.done",
        "completed",
    ]
    assert (events[2].item.input, events[3].delta, events[4].input) == ("", "select 1", "select 1")
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[5].item == events[6].response.output[0]


@pytest.mark.parametrize("arguments", ["select 1", '{"sql": 1}', '["x"]', '{"input": "\\ud800"}'])
async def test_a_model_that_gives_something_else_is_passed_on_as_it_is(start_gateway, arguments):
    async with start_gateway([call("sql", arguments)]) as gateway:
        response = await gateway.openai.responses.create(model="helper", input="?", tools=[SQL])
    assert response.output[0].input == arguments


async def test_a_history_with_custom_calls_is_read(start_gateway):
    history = [
        {"role": "user", "content": "?"},
        {"type": "custom_tool_call", "call_id": "c", "name": "sql", "input": "select 1"},
        {"type": "custom_tool_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "1"}]},
    ]
    async with start_gateway([say("one")]) as gateway:
        await gateway.openai.responses.create(model="helper", input=history, tools=[SQL], store=False)
        asked, answered = gateway.provider.calls[0].items[-2:]
    assert (asked.arguments, answered.text) == ('{"input":"select 1"}', "1")


async def test_a_grammar_is_told_to_the_model_and_it_may_be_chosen(start_gateway):
    form = {"type": "grammar", "syntax": "regex", "definition": "[a-z]+"}
    async with start_gateway([call("sql", '{"input": "a"}')]) as gateway:
        response = await gateway.openai.responses.create(
            model="helper", input="?", tools=[{**SQL, "format": form}], tool_choice={"type": "custom", "name": "sql"}
        )
        asked = gateway.provider.calls[0]
    assert "regular expression:\n[a-z]+" in asked.tools[0].description
    assert asked.options["tool_choice"] == {"name": "sql"}
    assert response.tools[0].format.definition == "[a-z]+"


@pytest.mark.parametrize(
    ("tool", "param"),
    [
        ({"type": "custom"}, "tools[0].name"),
        ({**SQL, "format": {"type": "xml"}}, "tools[0].format.type"),
        ({**SQL, "format": {"type": "grammar", "syntax": "ebnf", "definition": ""}}, "tools[0].format.syntax"),
    ],
)
async def test_a_custom_tool_that_is_not_described_well_is_refused(start_gateway, tool, param):
    async with start_gateway() as gateway:
        with pytest.raises(openai.BadRequestError) as refused:
            await gateway.openai.responses.create(model="helper", input="?", tools=[tool])
    assert refused.value.param == param
