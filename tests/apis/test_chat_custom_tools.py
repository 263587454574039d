"""Tools of the client that take free text, in chat completions, over models that know functions only."""

import openai
import pytest

from tests.conftest import call, say

pytestmark = pytest.mark.anyio

ASK = {"role": "user", "content": "?"}
SQL = {"type": "custom", "custom": {"name": "sql", "description": "Runs SQL."}}
CLOCK = {"type": "function", "function": {"name": "clock"}}
CALLED = {"id": "c", "type": "custom", "custom": {"name": "sql", "input": "select 1"}}


async def test_a_custom_tool_is_called_with_text_and_answered(start_gateway):
    async with start_gateway([call("sql", '{"input": "select \\"a\\""}')], [say("one row")]) as gateway:
        create = gateway.openai.chat.completions.create
        first = (await create(model="helper", messages=[ASK], tools=[SQL])).choices[0]
        (asked,) = first.message.tool_calls
        history = [ASK, first.message.model_dump(exclude_none=True)]
        result = {"role": "tool", "tool_call_id": asked.id, "content": "a"}
        second = await create(model="helper", messages=[*history, result], tools=[SQL])
        offered, items = gateway.provider.calls[0].tools[0], gateway.provider.calls[1].items
    assert (asked.type, asked.custom.name, asked.custom.input) == ("custom", "sql", 'select "a"')
    assert first.finish_reason == "tool_calls"
    assert (offered.schema["required"], offered.description) == (["input"], "Runs SQL.")
    calling, answered = items[-2:]
    assert (calling.type, calling.arguments) == ("custom", '{"input":"select \\"a\\""}')
    assert (answered.type, answered.text, answered.call_id) == ("custom", "a", calling.call_id)
    assert second.choices[0].message.content == "one row"


async def test_its_call_is_streamed(start_gateway):
    async with start_gateway([call("sql", '{"input": "select 1"}'), call("clock", "{}")]) as gateway:
        body = {"model": "helper", "messages": [ASK], "tools": [SQL, CLOCK], "stream": True}
        # openai 2.54.0 has no types for what OpenAI sends here.
        async with openai.AsyncOpenAI(base_url=gateway.openai.base_url, api_key=gateway.openai.api_key) as plain:
            chunks = [chunk.choices[0] async for chunk in await plain.chat.completions.create(**body)]
    called = [chunk.delta.tool_calls[0].to_dict() for chunk in chunks if chunk.delta.tool_calls]
    begun, given, function = called[:3]
    assert (begun["index"], begun["type"], begun["custom"]) == (0, "custom", {"name": "sql", "input": ""})
    assert begun["id"].startswith("call_")
    assert given == {"index": 0, "custom": {"input": "select 1"}}
    assert (function["index"], function["type"], function["function"]["name"]) == (1, "function", "clock")
    assert chunks[-1].finish_reason == "tool_calls"


async def test_a_history_with_custom_calls_is_stored_once_and_shown_as_it_was(start_gateway):
    said = [call("sql", '{"input": "select 1"}')]
    async with start_gateway(said, [say("one")]) as gateway:
        completions = gateway.openai.chat.completions
        first = await completions.create(model="helper", messages=[ASK], tools=[SQL], store=True)
        answer = first.choices[0].message.model_dump(exclude_none=True)
        result = {"role": "tool", "tool_call_id": answer["tool_calls"][0]["id"], "content": "1"}
        second = await completions.create(model="helper", messages=[ASK, answer, result], tools=[SQL], store=True)
        listed = (await gateway.http.get(f"/v1/chat/completions/{second.id}/messages")).json()["data"]
        shown = (await gateway.http.get(f"/v1/chat/completions/{first.id}")).json()
        known = gateway.provider.calls[1].items[-2].arguments
    assert known == '{"input": "select 1"}'  # As the model wrote it: what the client sent again was recognised.
    assert [message["role"] for message in listed] == ["user", "assistant", "tool"]
    assert listed[1]["tool_calls"] == shown["choices"][0]["message"]["tool_calls"] == answer["tool_calls"]
    assert shown["tools"] == [SQL]


async def test_a_grammar_is_told_to_the_model_and_it_may_be_chosen(start_gateway):
    form = {"type": "grammar", "grammar": {"syntax": "regex", "definition": "[a-z]+"}}
    tool = {"type": "custom", "custom": {"name": "sql", "format": form}}
    choice = {"type": "custom", "custom": {"name": "sql"}}
    async with start_gateway([call("sql", '{"input": "a"}')]) as gateway:
        await gateway.openai.chat.completions.create(model="helper", messages=[ASK], tools=[tool], tool_choice=choice)
        asked = gateway.provider.calls[0]
    assert "regular expression:\n[a-z]+" in asked.tools[0].description
    assert asked.options["tool_choice"] == {"name": "sql"}


async def test_it_may_be_among_the_allowed_tools(start_gateway):
    allowed = {"mode": "required", "tools": [{"type": "custom", "custom": {"name": "sql"}}]}
    choice = {"type": "allowed_tools", "allowed_tools": allowed}
    async with start_gateway([call("sql", '{"input": "a"}')]) as gateway:
        await gateway.openai.chat.completions.create(
            model="helper", messages=[ASK], tools=[CLOCK, SQL], tool_choice=choice
        )
        asked = gateway.provider.calls[0]
    assert ([tool.name for tool in asked.tools], asked.options["tool_choice"]) == (["sql"], "required")


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"tools": [{"type": "custom"}]}, "tools[0].custom"),
        ({"tools": [{"type": "custom", "custom": {}}]}, "tools[0].custom.name"),
        (
            {"tools": [{"type": "custom", "custom": {"name": "c", "format": {"type": "xml"}}}]},
            "tools[0].custom.format.type",
        ),
        (
            {"tools": [{"type": "custom", "custom": {"name": "c", "format": {"type": "grammar"}}}]},
            "tools[0].custom.format.grammar",
        ),
        ({"tools": [SQL], "tool_choice": {"type": "custom"}}, "tool_choice.custom"),
        (
            {
                "tools": [CLOCK],
                "tool_choice": {
                    "type": "allowed_tools",
                    "allowed_tools": {"mode": "auto", "tools": [{"type": "custom", "custom": {"name": "clock"}}]},
                },
            },
            "tool_choice.allowed_tools.tools[0]",
        ),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"id": "c", "type": "custom"}]}]},
            "messages[0].tool_calls[0].custom",
        ),
        ({"messages": [ASK, {"role": "assistant", "tool_calls": [CALLED]}, ASK]}, "messages"),
    ],
)
async def test_what_is_not_described_well_is_refused(start_gateway, wrong, param):
    async with start_gateway() as gateway:
        answer = await gateway.http.post("/v1/chat/completions", json={"model": "helper", "messages": [ASK], **wrong})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
