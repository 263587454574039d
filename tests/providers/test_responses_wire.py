"""OpenAI's Responses as the way to a model: clients of a gateway whose provider speaks them, and what it was asked."""

import contextlib
import json

import openai
import pytest

from gateway.errors import ProviderError
from gateway.providers.settings import Limits
from tests.providers.replay import Answer, Upstream
from tests.providers.responses import CLOCK, SAID, THOUGHT, USAGE, called, cut, sse, streamed, whole
from tests.providers.test_any_json import VALUES, changed, places

pytestmark = pytest.mark.anyio

HI = [{"role": "user", "content": "Hi."}]


async def test_a_thought_is_told_in_summary_as_it_comes_and_the_answer_after_it(answering):
    async with answering(sse(streamed(THOUGHT, SAID))) as (gateway, upstream):
        stream = await gateway.openai.responses.create(
            model="x/gpt-5-codex", input="Hi.", stream=True, reasoning={"effort": "high", "summary": "detailed"}
        )
        events = [event async for event in stream]
        read_back = await gateway.openai.responses.retrieve(events[-1].response.id)
    kinds = [event.type.removeprefix("response.") for event in events]
    pieces = ["reasoning_summary_text.delta"] * (len(cut("Look it up.")) + len(cut("Say it.")))
    assert kinds == [
        "created", "in_progress",
        "output_item.added", "reasoning_summary_part.added", *pieces, "reasoning_summary_text.done",
        "reasoning_summary_part.done", "output_item.done",
        "output_item.added", "content_part.added", "output_text.delta", "output_text.delta", "output_text.done",
        "content_part.done", "output_item.done",
        "completed",
    ]  # fmt: skip
    summary = "Look it up.\n\nSay it."
    assert "".join(event.delta for event in events if event.type == "response.reasoning_summary_text.delta") == summary
    assert {event.summary_index for event in events if hasattr(event, "summary_index")} == {0}
    ended = next(event for event in events if event.type == "response.reasoning_summary_part.done")
    assert (ended.part.type, ended.part.text) == ("summary_text", summary)
    response = events[-1].response
    assert ([part.text for part in response.output[0].summary], response.output_text) == ([summary], "Hello.")
    assert (response.reasoning.effort, response.reasoning.summary) == ("high", "detailed")
    assert (response.service_tier, read_back) == ("flex", response)
    assert response.usage.to_dict() == USAGE
    (asked,) = upstream.requests
    assert asked.path == "/responses"
    assert asked.headers["authorization"] == "Bearer sk-secret-1"
    assert asked.body == {
        "model": "gpt-5-codex",
        "input": [{"role": "user", "content": "Hi."}],
        "store": False,
        "stream": True,
        "reasoning": {"effort": "high", "summary": "detailed"},
        "include": ["reasoning.encrypted_content"],
    }


@pytest.mark.parametrize("live", [True, False])
async def test_parallel_calls_and_their_results_go_back_with_the_thought_before_them(answering, live):
    first, last = streamed(THOUGHT, called(1), called(2)), streamed(SAID)
    answers = (sse(first), sse(last)) if live else (whole(first[-1]), whole(last[-1]))
    async with answering(*answers) as (gateway, upstream):
        asked = {"model": "x/m", "tools": [CLOCK], "instructions": "Be brief.", "stream": live}
        response = await ended(gateway, input="Hi.", tool_choice="required", parallel_tool_calls=True, **asked)
        calls = response.output[1:]
        results = [{"type": "function_call_output", "call_id": call.call_id, "output": "noon"} for call in calls]
        final = await ended(gateway, input=results, previous_response_id=response.id, **asked)
    assert [(call.call_id, call.arguments) for call in calls] == [
        ("call_v1", '{"zone": 1}'),
        ("call_v2", '{"zone": 2}'),
    ]
    assert (response.output[0].encrypted_content, final.output_text) == (None, "Hello.")
    one, two = (request.body for request in upstream.requests)
    assert one["tools"] == [{**CLOCK, "strict": False}]
    assert (one["tool_choice"], one["parallel_tool_calls"], one["instructions"]) == ("required", True, "Be brief.")
    assert "tool_choice" not in two
    said = [{"type": "summary_text", "text": "Look it up.\n\nSay it."}]
    assert two["input"] == [
        {"role": "user", "content": "Hi."},
        {"type": "reasoning", "id": "rs_v", "encrypted_content": "proof", "summary": said},
        {"type": "function_call", "call_id": "call_v1", "name": "clock", "arguments": '{"zone": 1}'},
        {"type": "function_call", "call_id": "call_v2", "name": "clock", "arguments": '{"zone": 2}'},
        {"type": "function_call_output", "call_id": "call_v1", "output": "noon"},
        {"type": "function_call_output", "call_id": "call_v2", "output": "noon"},
    ]


async def ended(gateway, *, stream, **asked):
    """The response at its end, streamed or not."""
    answer = await gateway.openai.responses.create(stream=stream, **asked)
    return [event async for event in answer][-1].response if stream else answer


async def test_a_client_that_keeps_the_conversation_keeps_the_thought_sealed_and_brings_it_back(answering):
    async with answering(whole(streamed(THOUGHT, SAID)[-1]), whole(streamed(SAID)[-1])) as (gateway, upstream):
        asked = {"model": "x/m", "include": ["reasoning.encrypted_content"]}
        response = await gateway.openai.responses.create(input="Hi.", **asked)
        kept = [item.to_dict() for item in response.output]
        assert kept[0]["encrypted_content"].startswith("hp1.")
        await gateway.openai.responses.create(input=[*HI, *kept, *HI], store=False, **asked)
    types = [item.get("type") or item["role"] for item in upstream.requests[1].body["input"]]
    assert types == ["user", "reasoning", "message", "user"]
    assert upstream.requests[1].body["input"][1]["encrypted_content"] == "proof"


async def test_a_thought_that_nothing_followed_stays_behind(answering):
    """The vendor refuses one without what came of it; here a limit ended the answer before anything did."""
    cut_off = streamed(THOUGHT, status="incomplete", incomplete_details={"reason": "max_output_tokens"})
    async with answering(sse(cut_off), sse(streamed(SAID))) as (gateway, upstream):
        first = await ended(gateway, model="x/m", input="Hi.", stream=True)
        await ended(gateway, model="x/m", input="Go on.", previous_response_id=first.id, stream=True)
    assert [item["content"] for item in upstream.requests[1].body["input"]] == ["Hi.", "Go on."]


async def test_every_option_and_part_has_its_place_in_the_request(answering):
    schema = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    image = {"type": "input_image", "image_url": "https://h.example/i.png", "detail": "original"}
    file = {"type": "input_file", "file_url": "https://h.example/a.pdf"}
    data = {"type": "input_file", "filename": "b.pdf", "file_data": "data:application/pdf;base64,JVBERi0xLjQ="}
    answered = {**SAID, "content": [{"type": "output_text", "text": "{}", "annotations": []}]}
    options = {
        "temperature": 0.5,
        "top_p": 0.9,
        "max_output_tokens": 99,
        "top_logprobs": 2,
        "user": "u",
        "service_tier": "flex",
        "prompt_cache_key": "k",
        "prompt_cache_retention": "24h",
        "safety_identifier": "s",
    }
    async with answering(whole(streamed(answered)[-1])) as (gateway, upstream):
        await gateway.openai.responses.create(
            model="x/m",
            input=[
                {"role": "user", "content": [{"type": "input_text", "text": "Hi."}, image, file, data]},
                {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
                {"role": "developer", "content": "Do."},
            ],
            tools=[{**CLOCK, "strict": True}],
            tool_choice={"type": "function", "name": "clock"},
            text={"format": {"type": "json_schema", "name": "n", "schema": schema, "strict": True}, "verbosity": "low"},
            reasoning={"generate_summary": "concise"},
            **options,
        )
    (asked,) = upstream.requests
    assert {name: asked.body[name] for name in options} == options
    assert asked.body["text"] == {
        "verbosity": "low",
        "format": {"type": "json_schema", "name": "n", "schema": schema, "strict": True},
    }
    assert asked.body["reasoning"] == {"summary": "concise"}
    assert asked.body["include"] == ["reasoning.encrypted_content", "message.output_text.logprobs"]
    assert asked.body["tool_choice"] == {"type": "function", "name": "clock"}
    assert asked.body["tools"][0]["strict"] is True
    user, refused, developer = asked.body["input"]
    assert user["content"] == [{"type": "input_text", "text": "Hi."}, image, file, data]
    assert refused["content"] == [{"type": "refusal", "refusal": "No."}]
    assert developer == {"role": "developer", "content": "Do."}


async def test_who_speaks_chat_completions_is_answered_by_such_a_model_too(answering):
    async with answering(whole(streamed(THOUGHT, SAID)[-1]), sse(streamed(called(1)))) as (gateway, upstream):
        chat = gateway.openai.chat.completions
        answer = await chat.create(model="x/m", messages=HI, seed=7, service_tier="flex", prediction=PREDICTION)
        stream = await chat.create(model="x/m", messages=HI, stream=True, tools=[NESTED])
        deltas = [choice.delta for chunk in [chunk async for chunk in stream] for choice in chunk.choices]
        with pytest.raises(openai.BadRequestError) as refused:
            await chat.create(model="x/m", messages=HI, stop="x")
    assert (answer.choices[0].message.content, answer.service_tier) == ("Hello.", "flex")
    assert answer.usage.completion_tokens_details.reasoning_tokens == 5
    calls = [call for delta in deltas for call in delta.tool_calls or ()]
    assert "".join(call.function.arguments or "" for call in calls) == '{"zone": 1}'
    assert (refused.value.param, len(upstream.requests)) == ("stop", 2)
    assert "prediction" not in upstream.requests[0].body and "seed" not in upstream.requests[0].body


PREDICTION = {"type": "content", "content": "Hello."}
NESTED = {"type": "function", "function": {"name": "clock"}}


async def test_refusals_and_probabilities_are_those_of_the_message(answering):
    token = {"token": "Hello.", "logprob": -0.5, "bytes": None, "top_logprobs": []}
    scored = {**SAID, "content": [{"type": "output_text", "text": "Hello.", "annotations": [], "logprobs": [token]}]}
    refusal = {**SAID, "content": [{"type": "refusal", "refusal": "No, never."}]}
    events = [e for e in streamed(refusal) if "output_text" not in e["type"]]
    async with answering(whole(streamed(scored)[-1]), sse(events)) as (gateway, _):
        answer = await gateway.openai.responses.create(model="x/m", input="Hi.", top_logprobs=1)
        refused = await ended(gateway, model="x/m", input="Hi.", stream=True)
    assert [(one.token, one.logprob) for one in answer.output[0].content[0].logprobs] == [("Hello.", -0.5)]
    assert refused.output[0].content[0].refusal == "No, never."


@pytest.mark.parametrize(
    ("given", "shown"), [("max_output_tokens", "max_output_tokens"), ("content_filter", "content_filter")]
)
@pytest.mark.parametrize("live", [True, False])
async def test_an_answer_that_a_limit_ended_is_incomplete(answering, given, shown, live):
    said = {**SAID, "status": "incomplete"}
    events = streamed(said, status="incomplete", incomplete_details={"reason": given})
    async with answering(sse(events) if live else whole(events[-1])) as (gateway, _):
        response = await ended(gateway, model="x/m", input="Hi.", stream=live)
    assert (response.status, response.incomplete_details.reason) == ("incomplete", shown)
    assert (response.output[0].status, response.usage.output_tokens) == ("incomplete", 7)


async def test_a_message_that_was_cut_off_is_not_complete(asking):
    events = streamed({**SAID, "status": "incomplete"}, status="incomplete", incomplete_details=LIMIT)
    async with Upstream(sse(events)) as upstream, asking(upstream.url, lane="responses") as router:
        asked = await router()
    assert (asked.items[0].complete, asked.step.finish) == (False, "length")


LIMIT = {"reason": "max_output_tokens"}


def failing(code):
    return streamed(status="failed", error={"code": code, "message": "No sk-secret-1."})


STATUSES = [("rate_limit_exceeded", 429), ("server_error", 502), ("invalid_prompt", 400), ("insufficient_quota", 429)]


@pytest.mark.parametrize(("code", "status"), STATUSES)
@pytest.mark.parametrize("how", ["failed", "error", "nested error", "whole"])
async def test_a_failure_is_an_error_by_its_code(answering, how, code, status):
    events = failing(code)
    flat = {"type": "error", "code": code, "message": "No sk-secret-1.", "param": None}
    answers = {
        "failed": sse(events),
        "error": sse([events[0], flat]),
        "nested error": sse([events[0], {"type": "error", "error": flat}]),
        "whole": whole(events[-1]),
    }
    async with answering(answers[how]) as (gateway, _):
        answer = await gateway.http.post("/v1/responses", json={"model": "x/m", "input": "Hi."})
    assert answer.status_code == status
    assert sorted(answer.json()["error"]) == ["code", "message", "param", "type"]
    assert "No [key]." in answer.text and "sk-secret-1" not in answer.text


BEFORE_THE_END = [
    sse(streamed(SAID)[:-1]),
    Answer(sse(streamed(SAID)[:-1]).body + b"data: [DONE]\n\n"),
    Answer(b""),
    sse([*streamed(SAID)[:-1], {"type": "response.incomplete", "response": {"incomplete_details": {"reason": "odd"}}}]),
    sse([*streamed(SAID)[:-1], {"type": "response.cancelled", "response": {"status": "cancelled"}}]),
    whole({"response": {"object": "response", "status": "in_progress", "output": [SAID]}}),
]


@pytest.mark.parametrize("answer", BEFORE_THE_END)
@pytest.mark.parametrize("live", [True, False])
async def test_an_answer_that_is_not_said_to_be_whole_is_a_failure(answering, answer, live):
    async with answering(answer) as (gateway, _):
        body = {"model": "x/m", "input": "Hi.", "stream": live}
        answered = await gateway.http.post("/v1/responses", json=body)
    # What was said before the failure is in the response.
    assert answered.status_code == 502 or b'"status":"failed"' in answered.content
    assert b"response.completed" not in answered.content


async def test_what_fails_before_the_first_event_is_tried_again(answering):
    busy = Answer(b'{"error": {"message": "busy", "code": "slow_down"}}', 503, "application/json")
    limits = Limits(first_token=20, idle=20, total=20, retries=2)
    answers = (busy, sse(streamed(SAID)[:1]), sse(streamed(SAID)))
    async with answering(*answers, limits=limits) as (gateway, upstream):
        response = await ended(gateway, model="x/m", input="Hi.", stream=True)
    assert (response.output_text, len(upstream.requests)) == ("Hello.", 3)


async def test_a_call_id_that_repeats_is_made_unique(answering):
    again = sse(streamed({**called(1), "arguments": ""}))
    async with answering(again, again) as (gateway, _):
        asked = {"model": "x/m", "tools": [CLOCK], "stream": True}
        first = await ended(gateway, input="Hi.", **asked)
        result = {"type": "function_call_output", "call_id": "call_v1", "output": "noon"}
        second = await ended(gateway, input=[result], previous_response_id=first.id, **asked)
    assert (first.output[0].call_id, first.output[0].arguments) == ("call_v1", "{}")
    assert second.output[0].call_id != "call_v1"


async def test_items_that_were_not_streamed_are_read_from_the_last_event(answering):
    events = streamed(THOUGHT, SAID, called(1))
    async with answering(sse([events[0], events[-1]])) as (gateway, _):
        response = await ended(gateway, model="x/m", input="Hi.", stream=True, tools=[CLOCK])
    assert [item.type for item in response.output] == ["reasoning", "message", "function_call"]
    assert (response.output_text, response.output[2].arguments) == ("Hello.", '{"zone": 1}')


@pytest.mark.parametrize("unsaid", [0, 1, 2])
async def test_one_item_that_was_not_streamed_is_read_from_the_last_event(answering, unsaid):
    events = [event for event in streamed(THOUGHT, SAID, called(1)) if event.get("output_index") != unsaid]
    async with answering(sse(events)) as (gateway, _):
        response = await ended(gateway, model="x/m", input="Hi.", stream=True, tools=[CLOCK])
    kinds = ["reasoning", "message", "function_call"]
    assert sorted(item.type for item in response.output) == sorted(kinds)
    call = next(item for item in response.output if item.type == "function_call")
    assert (response.output_text, call.arguments) == ("Hello.", '{"zone": 1}')


@pytest.mark.parametrize("listed", [[called(1), called(2)], [SAID, called(1)]])
async def test_a_list_with_other_places_than_the_stream_says_nothing_twice(answering, listed):
    *events, last = [event for event in streamed(THOUGHT, called(1), called(2)) if event.get("output_index") != 0]
    last["response"]["output"] = listed
    async with answering(sse([*events, last])) as (gateway, _):
        response = await ended(gateway, model="x/m", input="Hi.", stream=True, tools=[CLOCK])
    assert [item.arguments for item in response.output] == ['{"zone": 1}', '{"zone": 2}']


async def test_a_model_that_does_not_reason_is_not_asked_for_its_thoughts(answering):
    async with answering(whole(streamed(SAID)[-1])) as (gateway, upstream):
        await gateway.openai.responses.create(model="x/gpt-4o", input="Hi.")
    assert "include" not in upstream.requests[0].body


@pytest.mark.parametrize("value", VALUES, ids=json.dumps)
async def test_any_value_in_an_event_is_read_or_is_a_providers_error(asking, value):
    answers = [
        sse([*events[:number], changed(event, path, value), *events[number + 1 :]])
        for events in (streamed(THOUGHT, SAID), streamed(called(1)))
        for number, event in enumerate(events)
        for path in places(event)
        if path
    ]
    async with Upstream(*answers) as upstream, asking(upstream.url, lane="responses") as router:
        for _ in answers:
            with contextlib.suppress(ProviderError):
                await router()
        assert len(upstream.requests) == len(answers)


async def test_azure_is_given_its_key_in_its_own_header(answering):
    async with answering(whole(streamed(SAID)[-1]), litellm_provider="azure", lane="auto") as (gateway, upstream):
        response = await gateway.openai.responses.create(model="x/responses/m", input="Hi.")
    (asked,) = upstream.requests
    assert (asked.path, asked.headers["api-key"], response.output_text) == (
        "/openai/v1/responses", "sk-secret-1", "Hello.",
    )  # fmt: skip
    assert "authorization" not in asked.headers
