"""Tools for models that have none: what such a model is told, and how its JSON is read."""

import contextlib
import itertools
import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ProviderError
from gateway.events import ArgumentsDelta, ItemStarted, StepDone, TextDelta
from gateway.items import Message, Text, ToolCall, ToolResult
from gateway.ports import ToolSpec
from gateway.providers.schema_tools import SchemaAnswer, essential, sketch, step_schema
from tests.providers.conftest import SEARCH, ask, user
from tests.providers.replay import Answer, Upstream

pytestmark = pytest.mark.anyio


def stream(*pieces: str, finish: str = "stop") -> Answer:
    chunks = [{"choices": [{"delta": {"content": piece}}]} for piece in pieces]
    chunks.append({"choices": [{"delta": {}, "finish_reason": finish}]})
    return Answer("".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks).encode() + b"data: [DONE]\n\n")


async def reply(asking, answer, call=None):
    async with Upstream(answer) as upstream, asking(upstream.url, native_tools=False) as router:
        return await router(call or ask(tools=(SEARCH,))), upstream.requests[0].body


async def test_a_call_comes_out_as_a_call(asking):
    asked, _ = await reply(asking, stream('{"tool": "sea', 'rch", "arguments": {"query"', ': "refunds"}}'))
    (call,) = asked.items
    assert (call.name, json.loads(call.arguments), asked.step.finish) == ("search", {"query": "refunds"}, "tool_calls")
    assert [type(event) for event in asked.events[:2]] == [ItemStarted, ArgumentsDelta]


async def test_the_final_answer_streams_as_text(asking):
    asked, _ = await reply(
        asking, stream('{"tool": "ans', 'wer", "arguments": {"text": "Five ', "days", ' \\u00e0 la \\"carte\\".', '"}}')
    )
    assert [event.text for event in asked.events if isinstance(event, TextDelta)] == ["Five ", "days", ' à la "carte".']
    assert (asked.items[0].text, asked.step.finish) == ('Five days à la "carte".', "stop")


async def test_the_model_is_told_the_tools_and_bound_to_a_schema(asking):
    _, body = await reply(
        asking, stream('{"tool": "answer", "arguments": {"text": ""}}'), ask(user("Refunds?"), tools=(SEARCH,))
    )
    system, question = body["messages"]
    assert system["role"] == "system"
    assert "search: Search the documents." in system["content"]
    assert question == {"role": "user", "content": "Refunds?"}
    assert "tools" not in body
    call, answer = body["response_format"]["json_schema"]["schema"]["anyOf"]
    assert call["properties"] == {"tool": {"const": "search"}, "arguments": SEARCH.schema}
    assert answer["properties"]["tool"] == {"const": "answer"}
    assert answer["properties"]["arguments"]["properties"] == {"text": {"type": "string", "minLength": 1}}


async def test_the_agents_own_instructions_stand_nearest_to_the_conversation(asking):
    system = Message(id="s", role="system", content=(Text(text="Be kind."),))
    _, body = await reply(
        asking, stream('{"tool": "answer", "arguments": {"text": ""}}'), ask(system, user("Hi."), tools=(SEARCH,))
    )
    system_message = body["messages"][0]["content"]
    assert system_message.startswith("You have these tools:")
    assert system_message.endswith("\n\nBe kind.")
    assert len(body["messages"]) == 2


async def test_earlier_steps_are_shown_in_the_same_json_and_the_result_is_last(asking):
    history = (
        user("Hi."),
        Message(id="m", role="assistant", content=(Text(text="Hello."),)),
        user("Refunds?"),
        ToolCall(id="fc", call_id="a", name="search", arguments='{"query":"refunds"}'),
        ToolResult(id="o", call_id="a", content=(Text(text="Five days."),)),
    )
    _, body = await reply(
        asking, stream('{"tool": "answer", "arguments": {"text": ""}}'), ask(*history, tools=(SEARCH,))
    )
    assert body["messages"][2:] == [
        {"role": "assistant", "content": '{"tool": "answer", "arguments": {"text": "Hello."}}'},
        {"role": "user", "content": "Refunds?"},
        {"role": "assistant", "content": '{"tool": "search", "arguments": {"query": "refunds"}}'},
        {"role": "user", "content": "Result of search:\nFive days."},
    ]


@pytest.mark.parametrize(("choice", "steps"), [("required", ["arguments"]), ({"name": "search"}, ["arguments"])])
async def test_a_tool_that_must_be_used_leaves_no_way_to_answer(asking, choice, steps):
    other = ToolSpec(name="now", description="", schema={"type": "object"})
    tools = (SEARCH, other) if isinstance(choice, dict) else (SEARCH,)
    _, body = await reply(asking, stream('{"tool": "search", "arguments": {}}'), ask(tools=tools, tool_choice=choice))
    (only,) = body["response_format"]["json_schema"]["schema"]["anyOf"]
    assert only["properties"]["tool"] == {"const": "search"}


async def test_an_object_that_is_both_is_the_answer_it_began_to_be(asking):
    asked, _ = await reply(asking, stream('{"tool": "answer", "arguments": {"text": "Hi', '.", "tool": "search"}}'))
    assert ([item.text for item in asked.items], asked.step.finish) == (["Hi."], "stop")


async def test_no_tools_means_a_plain_question(asking):
    asked, body = await reply(asking, stream("Hello."), ask(tools=(SEARCH,), tool_choice="none"))
    assert "response_format" not in body
    assert asked.items[0].text == "Hello."


async def test_the_clients_own_schema_is_that_of_the_answer(asking):
    form = {
        "type": "json_schema",
        "name": "city",
        "schema": {"$ref": "#/$defs/City", "$defs": {"City": {"type": "object"}}},
    }
    asked, body = await reply(
        asking,
        stream('{"tool": "answer", "arguments": {"text": {"city": "Köln"}}}'),
        ask(tools=(SEARCH,), response_format=form),
    )
    schema = body["response_format"]["json_schema"]["schema"]
    assert schema["anyOf"][1]["properties"]["arguments"]["properties"]["text"] == {"$ref": "#/$defs/answer.City"}
    assert schema["$defs"] == {"answer.City": {"type": "object"}}
    assert json.loads(asked.items[0].text) == {"city": "Köln"}


async def test_an_answer_that_was_cut_off_is_not_complete_and_half_a_call_is_none(asking):
    asked, _ = await reply(asking, stream('{"tool": "answer", "arguments": {"text": "Five da', finish="length"))
    assert (asked.items[0].text, asked.items[0].complete, asked.step.finish) == ("Five da", False, "length")
    asked, _ = await reply(asking, stream('{"tool": "search", "argu', finish="length"))
    assert [item.kind for item in asked.items] == ["message"]


async def test_prose_of_a_server_that_ignores_the_schema_is_an_answer(asking):
    asked, _ = await reply(asking, stream("Five days."))
    assert (asked.items[0].text, asked.step.finish) == ("Five days.", "stop")


async def test_json_in_a_code_fence_is_read(asking):
    asked, _ = await reply(asking, stream('```json\n{"tool": "search", "arguments": {"query": "a"}}\n```'))
    assert asked.items[0].name == "search"


@pytest.mark.parametrize(
    "text", ['{"tool": "search", "arguments": {', '{"tool": "answer", "arguments": {"text": "Five', '{"x": 1}', "[1]"]
)
async def test_broken_json_is_a_failure(asking, text):
    async with Upstream(stream(text)) as upstream, asking(upstream.url, native_tools=False) as router:
        with pytest.raises(ProviderError) as caught:
            await router(ask(tools=(SEARCH,)))
    assert caught.value.code == "schema_ignored"


class Pieces:
    """An answer whose text comes in the given pieces."""

    def __init__(self, pieces: list[str]) -> None:
        self._events = [TextDelta("m", piece) for piece in pieces]
        self._events.append(StepDone(model="m", finish="stop"))

    async def next(self):
        return [self._events.pop(0)] if self._events else None

    async def close(self):
        pass


@given(text=st.text(), cuts=st.lists(st.integers(0, 200)), ascii=st.booleans())
async def test_any_text_is_read_however_its_json_is_split(text, cuts, ascii):
    whole = json.dumps({"tool": "answer", "arguments": {"text": text}}, ensure_ascii=ascii)
    edges = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    answer = SchemaAnswer(Pieces([whole[a:b] for a, b in itertools.pairwise(edges)]), "answer")
    events = []
    while (batch := await answer.next()) is not None:
        events.extend(batch)
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == text
    assert events[-2].item.text == text


async def test_a_tool_that_is_called_answer_is_a_tool(asking):
    mine = ToolSpec(name="answer", description="Answers the phone.", schema={"type": "object", "properties": {}})
    done = '{"tool": "final_answer", "arguments": {"text": "Hi."}}'
    asked, body = await reply(asking, stream(done), ask(user("Hi."), tools=(mine,)))
    names = [step["properties"]["tool"]["const"] for step in body["response_format"]["json_schema"]["schema"]["anyOf"]]
    assert names == ["answer", "final_answer"]
    assert asked.items[-1].text == "Hi."


SCHEMAS = [
    {"$defs": [1]},
    {"$defs": 5, "definitions": "x"},
    {"properties": [1]},
    {"properties": {"query": 7}, "required": ["query"]},
    {"properties": {"query": {}}, "required": 5},
    {"properties": {"query": {}}, "required": {"query": 1}},
    {"properties": {"query": {"enum": 5, "description": {"a": 1}}}, "required": [["query"], 5]},
]


@pytest.mark.parametrize("schema", SCHEMAS, ids=json.dumps)
async def test_a_schema_of_a_client_that_is_none_does_not_break_the_gateway(asking, schema):
    form = {"type": "json_schema", "schema": schema}
    tool = ToolSpec(name="search", description="Search.", schema=schema)
    call = ask(tools=(tool,), response_format=form)
    asked, body = await reply(asking, stream('{"tool": "search", "arguments": {"query": "refunds"}}'), call)
    assert asked.items[0].name == "search"
    assert body["response_format"]["json_schema"]["schema"]["anyOf"]


KEYWORDS = st.sampled_from(["$defs", "definitions", "properties", "required", "$ref", "enum", "description", "type"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYWORDS | st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(KEYWORDS, JSON))
def test_any_schema_can_be_shown_and_sent(schema):
    told = essential(schema)
    json.loads(sketch(told))
    orjson.dumps(step_schema([ToolSpec(name="search", description="", schema=told)], schema, "answer"))


@pytest.mark.parametrize("depth", [300, 600, 5000])
@pytest.mark.parametrize(
    "step", ['{"tool": "answer", "arguments": {"text": DEEP}}', '{"tool": "search", "arguments": DEEP}']
)
async def test_json_deeper_than_python_reads_is_read_or_a_failure(asking, step, depth):
    deep = "[" * depth + "]" * depth
    with contextlib.suppress(ProviderError):
        await reply(asking, stream(step.replace("DEEP", deep)))
    before = ToolCall(id="fc_1", call_id="c1", name="search", arguments=deep)
    asked, _ = await reply(
        asking,
        stream('{"tool": "answer", "arguments": {"text": "Five."}}'),
        ask(user("Refunds?"), before, tools=(SEARCH,)),
    )
    assert asked.items[0].text == "Five."
