"""/v1/chat/completions, driven by the official client with strict validation."""

import json

import pytest
from openai import APIError, RateLimitError

from gateway.errors import ProviderRateLimited
from gateway.items import Image
from tests.conftest import call, say

pytestmark = pytest.mark.anyio

HI = [{"role": "user", "content": "hi"}]
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


async def test_a_completion_has_the_models_text_and_its_usage(start_gateway):
    async with start_gateway([say("hello there")]) as gateway:
        completion = await gateway.openai.chat.completions.create(model="helper", messages=HI)
    (choice,) = completion.choices
    assert (choice.message.content, choice.finish_reason) == ("hello there", "stop")
    assert completion.usage.total_tokens == completion.usage.prompt_tokens + completion.usage.completion_tokens > 0


async def test_a_stream_adds_up_to_the_same_text_under_one_id(start_gateway):
    async with start_gateway([say("hello there")]) as gateway:
        stream = await gateway.openai.chat.completions.create(
            model="helper", messages=HI, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1]).strip() == "hello there"
    assert chunks[0].choices[0].delta.role == "assistant"
    assert len({chunk.id for chunk in chunks}) == 1
    assert (chunks[-1].choices, chunks[-1].usage.total_tokens > 0) == ([], True)


async def test_the_clients_own_tool_is_handed_back_and_its_output_goes_on(start_gateway):
    async with start_gateway([call("weather", '{"city":"Oslo"}')], [say("It rains.")]) as gateway:
        create = gateway.openai.chat.completions.create
        first = (await create(model="helper", messages=HI, tools=[WEATHER])).choices[0]
        answer = {"role": "tool", "tool_call_id": first.message.tool_calls[0].id, "content": "rain"}
        history = [*HI, first.message.model_dump(exclude_none=True), answer]
        second = (await create(model="helper", messages=history, tools=[WEATHER])).choices[0]
    assert (first.finish_reason, first.message.tool_calls[0].function.arguments) == ("tool_calls", '{"city":"Oslo"}')
    assert second.message.content == "It rains."


async def test_parallel_calls_stream_with_an_index_each(start_gateway):
    calls = [call("weather", '{"city":"Oslo"}', "call_1"), call("weather", '{"city":"Rome"}', "call_2")]
    async with start_gateway(calls) as gateway:
        stream = await gateway.openai.chat.completions.create(model="helper", messages=HI, tools=[WEATHER], stream=True)
        deltas = [tool async for chunk in stream for tool in chunk.choices[0].delta.tool_calls or ()]
    assert [(tool.index, tool.id) for tool in deltas if tool.id] == [(0, "call_1"), (1, "call_2")]
    arguments = "".join(tool.function.arguments or "" for tool in deltas if tool.index == 1)
    assert json.loads(arguments) == {"city": "Rome"}


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ([[say("", "a"), call("nothing")], [say("hello", "b")]], "hello"),
        ([[say("I look.", "a"), call("nothing")], [say("hello there", "b")]], "I look.\n\nhello there"),
        ([[say("I look.", "a"), call("nothing")], [say("", "b")]], "I look."),
        ([[say("a", "a"), say("", "b"), call("nothing")], [say("c", "c")]], "a\n\nc"),
    ],
)
async def test_a_blank_line_parts_only_messages_that_say_something(start_gateway, said, expected):
    for stream in (True, False):
        async with start_gateway(*said) as gateway:
            answer = await gateway.openai.chat.completions.create(model="helper", messages=HI, stream=stream)
            if stream:
                text = "".join([chunk.choices[0].delta.content or "" async for chunk in answer])
            else:
                text = answer.choices[0].message.content
        assert text == expected


async def test_a_call_of_a_tool_that_nobody_has_is_not_the_clients(start_gateway):
    async with start_gateway([call("nothing"), call("weather", "{}", "call_2")]) as gateway:
        create = gateway.openai.chat.completions.create
        stream = await create(model="helper", messages=HI, tools=[WEATHER], stream=True)
        chunks = [chunk.choices[0] async for chunk in stream]
    shown = [tool.function.name for chunk in chunks for tool in chunk.delta.tool_calls or () if tool.id]
    assert (shown, chunks[-1].finish_reason) == (["weather"], "tool_calls")


async def test_images_and_developer_messages_reach_the_model(start_gateway):
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}}
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "What is it?"}, image]},
    ]
    async with start_gateway([say("a cat")]) as gateway:
        await gateway.openai.chat.completions.create(model="helper", messages=messages)
        system, developer, user = gateway.provider.calls[0].items
    assert (system.text, developer.role, developer.text) == ("You help.", "developer", "Be brief.")
    assert user.content[1] == Image(url="data:image/png;base64,AA==", detail="low")


async def test_sampling_options_reach_the_model_and_nothing_unknown_does(start_gateway):
    body = {"model": "helper", "messages": HI, "temperature": 0, "max_tokens": 9, "api_base": "http://evil", "foo": 1}
    async with start_gateway([say("ok")]) as gateway:
        answer = await gateway.http.post("/v1/chat/completions", json=body)
        options = gateway.provider.calls[0].options
    assert answer.status_code == 200
    assert options == {"temperature": 0.0, "max_output_tokens": 9}


async def test_a_provider_that_fails_at_once_is_an_http_error_also_when_streaming(start_gateway):
    for stream in (False, True):
        async with start_gateway(ProviderRateLimited(retry_after=3)) as gateway:
            with pytest.raises(RateLimitError) as limited:
                await gateway.openai.chat.completions.create(model="helper", messages=HI, stream=stream)
        assert limited.value.response.headers["retry-after"] == "3"


async def test_a_stream_that_breaks_midway_raises_in_the_client(start_gateway):
    async with start_gateway([say("I will look", "a"), call("nothing")], ProviderRateLimited()) as gateway:
        stream = await gateway.openai.chat.completions.create(model="helper", messages=HI, stream=True)
        with pytest.raises(APIError):
            async for _ in stream:
                pass


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"messages": HI}, "model"),
        ({"model": "helper"}, "messages"),
        ({"model": "helper", "messages": []}, "messages"),
        ({"model": "helper", "messages": "hi"}, "messages"),
        ({"model": "helper", "messages": [{"role": "king", "content": "hi"}]}, "messages[0].role"),
        ({"model": "helper", "messages": [{"role": "user"}]}, "messages[0].content"),
        ({"model": "helper", "messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
        ({"model": "helper", "messages": HI, "temperature": "hot"}, "temperature"),
        ({"model": "helper", "messages": HI, "temperature": 3}, "temperature"),
        ({"model": "nobody", "messages": HI}, "model"),
    ],
)
async def test_a_wrong_request_names_the_parameter(start_gateway, body, param):
    async with start_gateway() as gateway:
        answer = await gateway.http.post("/v1/chat/completions", json=body)
    assert answer.status_code in (400, 404)
    error = answer.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["param"] == param
