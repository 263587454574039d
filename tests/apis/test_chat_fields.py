"""What a chat completion may be asked with: every field of OpenAI's, in its old shapes too."""

import pytest
from openai import pydantic_function_tool
from pydantic import BaseModel

from gateway.items import File, Refusal, Text, ToolCall
from tests.conftest import call, say

pytestmark = pytest.mark.anyio

HI = [{"role": "user", "content": "hi"}]
FUNCTION = {"name": "weather", "parameters": {"type": "object"}}
WEATHER = {"type": "function", "function": FUNCTION}
CLOCK = {"type": "function", "function": {"name": "clock"}}


def of_user(part):
    return {"messages": [{"role": "user", "content": [part]}]}


class City(BaseModel):
    name: str


async def test_fields_of_openais_are_taken_and_what_is_for_its_models_is_handed_on(start_gateway):
    taken = {
        "metadata": {"a": "b"},
        "modalities": ["text"],
        "moderation": {"model": "omni-moderation-latest", "policy": {"input": {"mode": "block"}, "output": None}},
        "audio": {"format": "mp3", "voice": {"id": "voice_1"}},
        "prompt_cache_options": {"mode": "explicit", "ttl": "30m"},
        "store": False,
        "stream_options": None,
        "web_search_options": None,
    }
    given = {"logit_bias": {"50256": -100}, "logprobs": True, "top_logprobs": 2, "verbosity": "low", "seed": 7}
    given |= {"prompt_cache_key": "k", "prompt_cache_retention": "24h", "safety_identifier": "s"}
    given |= {"prediction": {"type": "content", "content": "hello"}, "service_tier": "flex"}
    async with start_gateway([say("ok")]) as gateway:
        answer = await gateway.http.post(
            "/v1/chat/completions",
            json={"model": "helper", "messages": HI, **taken, **given, "reasoning_effort": "low"},
        )
        options = gateway.provider.calls[0].options
    assert answer.status_code == 200, answer.text
    assert options == {**given, "reasoning_effort": "low"}


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"n": 0}, "n"),
        ({"n": 129}, "n"),
        ({"n": "2"}, "n"),
        ({"n": True}, "n"),
        ({"n": 1.5}, "n"),
        ({"store": 1}, "store"),
        ({"stream": "yes"}, "stream"),
        ({"logprobs": 1}, "logprobs"),
        ({"parallel_tool_calls": "true"}, "parallel_tool_calls"),
        ({"temperature": "1"}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"user": 5}, "user"),
        ({"logit_bias": {"abc": 1}}, "logit_bias"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"stop": ""}, "stop"),
        ({"stop": ["a", ""]}, "stop[1]"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"prediction": {}}, "prediction.type"),
        ({"prediction": {"type": "content"}}, "prediction.content"),
        ({"audio": {"format": "mp3"}}, "audio.voice"),
        ({"audio": {"format": "mp4", "voice": "ash"}}, "audio.format"),
        ({"moderation": 5}, "moderation"),
        ({"moderation": {"model": "m", "policy": {"input": {"mode": "no"}}}}, "moderation.policy.input.mode"),
        ({"prompt_cache_options": {"mode": "never"}}, "prompt_cache_options.mode"),
        ({"prompt_cache_retention": "1h"}, "prompt_cache_retention"),
        ({"response_format": {}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, "response_format.json_schema.name"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "n n", "schema": {}}}},
            "response_format.json_schema.name",
        ),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "n"}}},
            "response_format.json_schema.schema",
        ),
        ({"logit_bias": {"1": 101}}, "logit_bias.1"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"modalities": ["smell"]}, "modalities[0]"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"service_tier": "first"}, "service_tier"),
        ({"reasoning_effort": "utmost"}, "reasoning_effort"),
        ({"verbosity": 3}, "verbosity"),
        ({"metadata": {"a": 1}}, "metadata.a"),
        ({"metadata": {"a": "x" * 513}}, "metadata"),
        ({"stream_options": {"include_usage": "often"}}, "stream_options.include_usage"),
        ({"stop": 3}, "stop"),
        ({"tools": [{"type": "retrieval"}]}, "tools[0].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tools": [WEATHER], "functions": [FUNCTION]}, "functions"),
        ({"tools": [WEATHER], "tool_choice": "maybe"}, "tool_choice"),
        ({"tools": [WEATHER], "tool_choice": {"type": "function"}}, "tool_choice.function"),
        ({"tools": [WEATHER], "tool_choice": {"type": "retrieval"}}, "tool_choice.type"),
        ({"functions": [FUNCTION], "function_call": "maybe"}, "function_call"),
        ({"functions": [FUNCTION], "function_call": {"name": "no"}}, "function_call"),
        ({"function_call": {"name": "no"}}, "function_call"),
        (
            {
                "tools": [WEATHER],
                "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [CLOCK]}},
            },
            "tool_choice.allowed_tools.tools[0]",
        ),
        ({"messages": [{"role": "user", "content": [{"type": "file", "file": {}}]}]}, "messages[0].content[0]"),
        ({"messages": [{"role": "function", "content": "x"}]}, "messages[0].name"),
        ({"messages": [{"role": "function", "name": "weather", "content": "x"}]}, "messages[0].name"),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}]}
                ]
            },
            "messages[0].content[0].type",
        ),
        ({"messages": [{"role": "user", "content": []}]}, "messages[0].content"),
        (of_user({"type": "image_url", "image_url": {"url": "nourl"}}), "messages[0].content[0].image_url.url"),
        (
            of_user({"type": "image_url", "image_url": {"url": "https://a.test/a.png", "detail": "fine"}}),
            "messages[0].content[0].image_url.detail",
        ),
        (of_user({"type": "file", "file": {"file_id": "file-1"}}), "messages[0].content[0].file.file_id"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"id": "1", "type": "other"}]}]},
            "messages[0].tool_calls[0].type",
        ),
        ({"messages": [*HI, {"role": "tool", "tool_call_id": "call_9", "content": "x"}]}, "messages"),
        (
            {
                "messages": [
                    {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": FUNCTION}]},
                    *HI,
                ]
            },
            "messages",
        ),
    ],
)
async def test_a_wrong_value_is_a_400_that_names_its_field(start_gateway, wrong, param):
    async with start_gateway() as gateway:
        answer = await gateway.http.post("/v1/chat/completions", json={"model": "helper", "messages": HI, **wrong})
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert (error.keys(), error["param"]) == ({"message", "type", "param", "code"}, param)


async def test_messages_of_every_role_and_kind_reach_the_model(start_gateway):
    document = {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="}}
    asked = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    messages = [
        {"role": "user", "name": "ann", "content": [{"type": "text", "text": "Read."}, document]},
        {"role": "assistant", "content": None, "tool_calls": [asked]},
        {
            "role": "tool",
            "tool_call_id": "call_1",
            "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
        },
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
        {"role": "user", "content": "why?"},
    ]
    async with start_gateway([say("ok")]) as gateway:
        await gateway.openai.chat.completions.create(model="helper", messages=messages)
        _, user, calling, result, refused, _ = gateway.provider.calls[0].items
    assert (user.name, user.content[1]) == ("ann", File(name="a.pdf", data="data:application/pdf;base64,AA=="))
    assert isinstance(calling, ToolCall)
    assert (result.call_id, result.content) == ("call_1", (Text(text="a"), Text(text="b")))
    assert refused.content == (Refusal(text="No."),)


async def test_only_the_allowed_tools_are_offered(start_gateway):
    allowed = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [WEATHER]}}
    async with start_gateway([call("weather")]) as gateway:
        await gateway.openai.chat.completions.create(
            model="helper", messages=HI, tools=[CLOCK, WEATHER], tool_choice=allowed
        )
        asked = gateway.provider.calls[0]
    assert ([tool.name for tool in asked.tools], asked.options["tool_choice"]) == (["weather"], "required")


async def test_functions_are_answered_in_the_shape_they_were_asked_in(start_gateway):
    said = [call("weather", '{"city":"Oslo"}')]
    async with start_gateway(said, said, [say("It rains.")]) as gateway:
        create = gateway.openai.chat.completions.create
        asked = {"model": "helper", "functions": [FUNCTION]}
        chunks = [chunk.choices[0] async for chunk in await create(**asked, messages=HI, stream=True)]
        first = (await create(**asked, messages=HI, function_call={"name": "weather"})).choices[0]
        history = [
            *HI,
            first.message.model_dump(exclude_none=True),
            {"role": "function", "name": "weather", "content": "rain"},
        ]
        second = (await create(**asked, messages=history)).choices[0]
        forced, last = gateway.provider.calls[1:]
    pieces = [chunk.delta.function_call for chunk in chunks if chunk.delta.function_call]
    assert ("".join(piece.name or "" for piece in pieces), chunks[-1].finish_reason) == ("weather", "function_call")
    assert "".join(piece.arguments or "" for piece in pieces) == '{"city":"Oslo"}'
    assert (first.message.function_call.arguments, first.finish_reason) == ('{"city":"Oslo"}', "function_call")
    assert first.message.tool_calls is None
    assert forced.options["tool_choice"] == {"name": "weather"}
    calling, result = last.items[-2:]
    assert (second.message.content, result.text, result.call_id) == ("It rains.", "rain", calling.call_id)


async def test_the_clients_helpers_for_streams_and_schemas_work(start_gateway):
    answer = [say('{"name": "Oslo"}')]
    calling = [call("City", '{"name": "Oslo"}')]
    async with start_gateway(answer, answer, calling) as gateway:
        completions = gateway.openai.chat.completions
        parsed = await completions.parse(model="helper", messages=HI, response_format=City)
        async with completions.stream(model="helper", messages=HI, response_format=City) as stream:
            kinds = [event.type async for event in stream]
            streamed = await stream.get_final_completion()
        async with completions.stream(model="helper", messages=HI, tools=[pydantic_function_tool(City)]) as stream:
            called = await stream.get_final_completion()
        form = gateway.provider.calls[0].options["response_format"]
    assert (parsed.choices[0].message.parsed, streamed.choices[0].message.parsed) == (City(name="Oslo"),) * 2
    assert "content.done" in kinds
    assert called.choices[0].message.tool_calls[0].function.parsed_arguments == City(name="Oslo")
    assert (form["type"], form["strict"], form["schema"]["required"]) == ("json_schema", True, ["name"])


async def test_usage_has_its_details_in_a_stream_and_in_a_whole_answer(start_gateway):
    async with start_gateway([say("a")], [say("b")]) as gateway:
        create = gateway.openai.chat.completions.create
        whole = await create(model="helper", messages=HI)
        stream = await create(model="helper", messages=HI, stream=True, stream_options={"include_usage": True})
        *chunks, last = [chunk async for chunk in stream]
    assert whole.object == "chat.completion"
    assert {chunk.object for chunk in (*chunks, last)} == {"chat.completion.chunk"}
    assert [chunk.usage for chunk in chunks] == [None] * len(chunks)
    assert [len(chunk.choices) for chunk in chunks] == [1] * len(chunks)
    assert (last.choices, last.usage) == ([], whole.usage)
    assert whole.usage.prompt_tokens_details.cached_tokens == 0
    assert whole.usage.completion_tokens_details.reasoning_tokens == 0
