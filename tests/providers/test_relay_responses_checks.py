"""What is refused of a response before it is relayed: of OpenAI's own hosts what they refuse, of any server little."""

import pytest

from gateway.providers.settings import Limits
from tests.providers.relayed import ASK, CALL, LANE, RESULT, USER, ask, whole
from tests.providers.relays import refused

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"temperature": 5}, "temperature"),
        ({"top_p": -1}, "top_p"),
        ({"max_output_tokens": 15}, "max_output_tokens"),
        ({"max_tool_calls": 0}, "max_tool_calls"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"stream": "yes"}, "stream"),
        ({"background": 0}, "background"),
        ({"stream_options": {"include_obfuscation": "perhaps"}}, "stream_options.include_obfuscation"),
        ({"parallel_tool_calls": 0}, "parallel_tool_calls"),
        ({"metadata": 5}, "metadata"),
        ({"metadata": {str(number): "" for number in range(17)}}, "metadata"),
        ({"user": 5}, "user"),
        ({"safety_identifier": "x" * 65}, "safety_identifier"),
        ({"prompt_cache_retention": "1h"}, "prompt_cache_retention"),
        ({"moderation": {}}, "moderation.model"),
        ({"instructions": 5}, "instructions"),
        ({"include": 5}, "include"),
        ({"text": 5}, "text"),
        ({"reasoning": "high"}, "reasoning"),
        ({"truncation": 5}, "truncation"),
        ({"service_tier": 5}, "service_tier"),
        ({"input": [{"role": "x", "content": "Hi."}]}, "input[0].role"),
        ({"input": [{"role": "user", "content": 5}]}, "input[0].content"),
        ({"input": [USER, {**CALL, "arguments": {}}]}, "input[1].arguments"),
        ({"input": [USER, CALL, {**RESULT, "output": 5}]}, "input[2].output"),
    ],
)
async def test_a_wrong_value_of_a_known_field_does_not_reach_openai(relaying_openai, wrong, param):
    async with relaying_openai(whole(), **LANE) as (http, upstream):
        answer = await ask(http, {**ASK, "model": "openai/m", **wrong})
    assert refused(answer) == param
    assert upstream.requests == []


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"stream": 1}, "stream"),
        ({"stream_options": 5}, "stream_options"),
        ({"background": 0}, "background"),
        ({"input": [{"role": 5}]}, "input[0].role"),
        ({"input": [{"role": "user", "content": 5}]}, "input[0].content"),
        ({"input": 5}, "input"),
        ({"input": None}, "input"),
        ({"tools": 5}, "tools"),
    ],
)
async def test_what_no_server_takes_reaches_none(relaying, wrong, param):
    async with relaying(whole(), **LANE) as (http, upstream):
        answer = await ask(http, {**ASK, **wrong})
    assert refused(answer) == param
    assert upstream.requests == []


@pytest.mark.parametrize("taken", [{"temperature": 2.5}, {"max_output_tokens": 1}, {"metadata": {"step": 7}}])
async def test_what_openai_would_refuse_reaches_a_server_that_takes_it(relaying, taken):
    async with relaying(whole(), **LANE) as (http, upstream):
        assert (await ask(http, {**ASK, **taken})).status_code == 200
    assert upstream.requests[0].body == {**ASK, "model": "m", **taken}


async def test_a_body_that_is_no_request_is_refused_as_ever(relaying):
    async with relaying(whole(), limits=Limits(retries=0), **LANE) as (http, upstream):
        for body in (b'{"store":false', b'["store": false]', b'{"model": 5, "store": false}', b'{"store":false}'):
            answer = await http.post("/v1/responses", content=body)
            assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")
        missing = await ask(http, {**ASK, "model": "y/m"})
    assert (missing.status_code, missing.json()["error"]["code"], upstream.requests) == (404, "model_not_found", [])
