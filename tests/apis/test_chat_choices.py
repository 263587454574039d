"""Several choices of one completion, and the probabilities of tokens."""

import asyncio

import pytest
from openai import APIError, RateLimitError

from gateway.errors import ProviderRateLimited
from gateway.providers.settings import ProviderSettings
from tests.conftest import call, say
from tests.upstream import upstream

pytestmark = pytest.mark.anyio

HI = [{"role": "user", "content": "hi"}]
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


async def test_every_choice_is_an_answer_of_its_own_and_the_prompt_counts_once(start_gateway):
    async with start_gateway([say("a")], [call("weather")], [say("c")]) as gateway:
        completion = await gateway.openai.chat.completions.create(model="helper", messages=HI, tools=[WEATHER], n=3)
    assert [choice.index for choice in completion.choices] == [0, 1, 2]
    said = [choice.message.content or choice.message.tool_calls[0].function.name for choice in completion.choices]
    assert (sorted(said), sorted(choice.finish_reason for choice in completion.choices)) == (
        ["a", "c", "weather"],
        ["stop", "stop", "tool_calls"],
    )
    usage = completion.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (10, 15, 25)


async def test_choices_that_would_fill_the_store_with_their_input_are_refused(start_gateway):
    body = {"model": "helper", "messages": [{"role": "user", "content": "x" * 400}]}
    async with start_gateway(*[[say("a", str(n))] for n in range(5)], max_history=1000) as gateway:
        refused = await gateway.http.post("/v1/chat/completions", json={**body, "n": 3, "store": True})
        fits = await gateway.http.post("/v1/chat/completions", json={**body, "n": 2, "store": True})
        passing = await gateway.http.post("/v1/chat/completions", json={**body, "n": 3})
    error = refused.json()["error"]
    assert (refused.status_code, error["param"], error["code"]) == (400, "n", "integer_above_max_value")
    assert (fits.status_code, passing.status_code) == (200, 200)


async def test_choices_stream_side_by_side_under_one_id(start_gateway):
    held = asyncio.Event()
    async with start_gateway([say("a b"), held], [say("c d")]) as gateway:
        stream = await gateway.openai.chat.completions.create(
            model="helper", messages=HI, n=2, stream=True, stream_options={"include_usage": True}
        )
        chunks = []
        async for chunk in stream:
            chunks.append(chunk)
            if chunk.choices and chunk.choices[0].finish_reason:
                held.set()
    *said, last = chunks
    texts = {0: "", 1: ""}
    for chunk in said:
        texts[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
    assert sorted(texts.values()) == ["a b", "c d"]
    assert len({chunk.id for chunk in chunks}) == 1
    assert sorted(chunk.choices[0].index for chunk in said if chunk.choices[0].delta.role) == [0, 1]
    assert [chunk.choices[0].finish_reason for chunk in said if chunk.choices[0].finish_reason] == ["stop", "stop"]
    assert (last.choices, last.usage.prompt_tokens, last.usage.completion_tokens) == ([], 10, 10)


async def test_one_choice_that_fails_fails_the_completion_and_stops_the_others(start_gateway):
    never = asyncio.Event()
    async with start_gateway([say("a"), never], ProviderRateLimited()) as gateway:
        stream = await gateway.openai.chat.completions.create(model="helper", messages=HI, n=2, stream=True)
        with pytest.raises(APIError):
            async for _ in stream:
                pass
    async with start_gateway([say("a")], ProviderRateLimited()) as gateway:
        with pytest.raises(RateLimitError):
            await gateway.openai.chat.completions.create(model="helper", messages=HI, n=2)


TOKENS = [
    {"token": "Hel", "logprob": -0.5, "top_logprobs": [{"token": "Hi", "logprob": -1, "bytes": [72, 105]}]},
    {"token": "lo", "logprob": -0.25, "bytes": [108, 111], "top_logprobs": []},
]


async def test_probabilities_of_tokens_come_through_where_they_are_asked_for(start_gateway, home):
    """In one chunk with their text, in a whole answer, and in one that was stored."""
    (home / "agents" / "scorer.yaml").write_text("name: scorer\nmodel: lab/m\n")
    scored = {"text": "Hel lo", "logprobs": TOKENS}
    async with upstream(scored, scored, {"text": "Hel lo"}) as provider:
        lab = ProviderSettings(name="lab", base_url=provider.url, api_key="k")
        async with start_gateway(providers={"lab": lab}) as gateway:
            completions = gateway.openai.chat.completions
            asked = {"model": "scorer", "messages": HI, "logprobs": True, "top_logprobs": 1, "store": True}
            whole = await completions.create(**asked)
            chunks = [chunk.choices[0] async for chunk in await completions.create(**asked, stream=True)]
            plain = await completions.create(model="scorer", messages=HI)
            kept = await completions.retrieve(whole.id)
    tokens = whole.choices[0].logprobs.content
    assert [(token.token, token.logprob) for token in tokens] == [("Hel", -0.5), ("lo", -0.25)]
    assert (tokens[0].bytes, tokens[0].top_logprobs[0].token, tokens[1].top_logprobs) == ([72, 101, 108], "Hi", [])
    streamed = [(chunk.delta.content, chunk.logprobs.content[0].token) for chunk in chunks if chunk.logprobs]
    assert streamed == [("Hel ", "Hel"), ("lo", "lo")]
    assert kept.choices[0].logprobs == whole.choices[0].logprobs
    assert plain.choices[0].logprobs is None
    assert [request.get("logprobs") for request in provider.requests] == [True, True, None]
