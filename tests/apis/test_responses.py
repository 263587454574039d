"""/v1/responses, driven by the official client with strict validation."""

import pytest
from openai import APIStatusError, NotFoundError

from gateway.errors import ProviderRateLimited
from tests.conftest import call, say

pytestmark = pytest.mark.anyio

WEATHER = {
    "type": "function",
    "name": "weather",
    "description": "The weather of a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    "strict": False,
}


async def test_a_response_has_the_models_text_and_its_usage(start_gateway):
    async with start_gateway([say("hello there")]) as gateway:
        response = await gateway.openai.responses.create(model="helper", input="hi")
    assert (response.status, response.output_text, response.model) == ("completed", "hello there", "helper")
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens


async def test_a_stream_adds_up_to_the_response_that_is_stored(start_gateway):
    async with start_gateway([say("hello there")]) as gateway:
        async with gateway.openai.responses.stream(model="helper", input="hi") as stream:
            events = [event async for event in stream]
            final = await stream.get_final_response()
        stored = await gateway.openai.responses.retrieve(final.id)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert stored.output_text == final.output_text == "hello there"
    assert stored.id == final.id == events[0].response.id
    assert events[0].response.output == []


async def test_a_stream_has_every_event_in_openais_order(start_gateway):
    async with start_gateway([say("hello there")]) as gateway:
        stream = await gateway.openai.responses.create(model="helper", input="hi", stream=True)
        kinds = [event.type.removeprefix("response.") async for event in stream]
    assert kinds == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]


async def test_the_stream_ends_with_done_and_each_event_is_named(start_gateway):
    async with start_gateway([say("hi")]) as gateway:
        body = {"model": "helper", "input": "hi", "stream": True}
        text = (await gateway.http.post("/v1/responses", json=body)).text
    frames = text.strip().split("\n\n")
    assert frames[-1] == "data: [DONE]"
    assert all(frame.startswith("event: response.") for frame in frames[:-1])


async def test_a_response_continues_the_one_it_names(start_gateway):
    async with start_gateway([say("one", "msg_a")], [say("two", "msg_b")]) as gateway:
        first = await gateway.openai.responses.create(model="helper", input="first")
        second = await gateway.openai.responses.create(model="helper", input="second", previous_response_id=first.id)
        seen = [item.text for item in gateway.provider.calls[1].items]
    assert second.previous_response_id == first.id
    assert seen == ["You help.", "first", "one", "second"]


async def test_two_continuations_of_one_response_do_not_see_each_other(start_gateway):
    async with start_gateway([say("root", "a")], [say("l", "b")], [say("r", "c")]) as gateway:
        create = gateway.openai.responses.create
        root = await create(model="helper", input="hi")
        await create(model="helper", input="left", previous_response_id=root.id)
        await create(model="helper", input="right", previous_response_id=root.id)
        seen = [item.text for item in gateway.provider.calls[2].items]
    assert seen == ["You help.", "hi", "root", "right"]


async def test_instructions_are_for_one_turn_and_stand_after_the_agents(start_gateway):
    async with start_gateway([say("a", "a")], [say("b", "b")]) as gateway:
        create = gateway.openai.responses.create
        first = await create(model="helper", input="hi", instructions="Be brief.")
        await create(model="helper", input="again", previous_response_id=first.id)
        first_seen, second_seen = ([item.text for item in asked.items] for asked in gateway.provider.calls)
    assert first_seen == ["You help.", "Be brief.", "hi"]
    assert "Be brief." not in second_seen


async def test_a_function_of_the_client_is_handed_back_and_its_output_goes_on(start_gateway):
    async with start_gateway([call("weather", '{"city":"Oslo"}')], [say("It rains.")]) as gateway:
        create = gateway.openai.responses.create
        asked = await create(model="helper", input="Oslo?", tools=[WEATHER])
        (function_call,) = asked.output
        output = {"type": "function_call_output", "call_id": function_call.call_id, "output": "rain"}
        done = await create(model="helper", input=[output], previous_response_id=asked.id, tools=[WEATHER])
    assert (function_call.type, function_call.name, function_call.arguments) == (
        "function_call",
        "weather",
        '{"city":"Oslo"}',
    )
    assert done.output_text == "It rains."


async def test_a_streamed_function_call_has_its_name_and_arguments_throughout(start_gateway):
    async with start_gateway([call("weather", '{"city":"Oslo"}')]) as gateway:
        async with gateway.openai.responses.stream(model="helper", input="?", tools=[WEATHER]) as stream:
            events = [event async for event in stream]
            final = await stream.get_final_response()
    done = next(event for event in events if event.type == "response.function_call_arguments.done")
    assert (done.name, done.arguments) == ("weather", '{"city":"Oslo"}')
    assert final.output[0].id == done.item_id


async def test_going_on_without_the_output_of_a_call_is_refused(start_gateway):
    async with start_gateway([call("weather")]) as gateway:
        create = gateway.openai.responses.create
        asked = await create(model="helper", input="?", tools=[WEATHER])
        with pytest.raises(APIStatusError, match="No tool output found for function call call_1") as refused:
            await create(model="helper", input="well?", previous_response_id=asked.id, tools=[WEATHER])
    assert (refused.value.status_code, refused.value.param) == (400, "input")


async def test_a_deleted_response_is_gone(start_gateway):
    async with start_gateway([say("hi")]) as gateway:
        response = await gateway.openai.responses.create(model="helper", input="hi")
        await gateway.openai.responses.delete(response.id)
        with pytest.raises(NotFoundError):
            await gateway.openai.responses.retrieve(response.id)


async def test_an_unknown_previous_response_is_named_in_the_error(start_gateway):
    async with start_gateway() as gateway:
        with pytest.raises(APIStatusError, match="'resp_nope' not found") as refused:
            await gateway.openai.responses.create(model="helper", input="hi", previous_response_id="resp_nope")
    assert (refused.value.status_code, refused.value.code) == (400, "previous_response_not_found")


async def test_a_response_that_is_not_stored_cannot_be_read_back(start_gateway):
    async with start_gateway([say("hi")]) as gateway:
        response = await gateway.openai.responses.create(model="helper", input="hi", store=False)
        with pytest.raises(NotFoundError):
            await gateway.openai.responses.retrieve(response.id)


async def test_a_provider_that_fails_at_once_is_an_http_error_with_its_retry_after(start_gateway):
    for stream in (False, True):
        async with start_gateway(ProviderRateLimited(retry_after=7)) as gateway:
            body = {"model": "helper", "input": "hi", "stream": stream}
            answer = await gateway.http.post("/v1/responses", json=body)
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
        assert answer.json()["error"]["code"] == "rate_limit_exceeded"


async def test_a_provider_that_fails_midway_is_a_failed_response(start_gateway):

    async with start_gateway([say("I will look", "a"), call("nothing")], ProviderRateLimited()) as gateway:
        async with gateway.openai.responses.stream(model="helper", input="hi") as stream:
            events = [event async for event in stream]
        stored = await gateway.openai.responses.retrieve(events[0].response.id)
    assert events[-1].type == "response.failed"
    assert stored.error.code == "rate_limit_exceeded"
    assert stored.output[0].content[0].text == "I will look"


async def test_a_bug_in_a_provider_is_a_clear_500_and_not_a_hang(start_gateway):
    async with start_gateway(ValueError("secret detail")) as gateway:
        answer = await gateway.http.post("/v1/responses", json={"model": "helper", "input": "hi"})
    assert answer.status_code == 500
    assert "secret" not in answer.text
