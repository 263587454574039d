"""The fields of a Responses request: unknown ones are ignored, wrong values refused by name, known ones honoured."""

import openai
import pytest

from gateway.providers.settings import ProviderSettings
from gateway.tools.settings import ServerSettings
from tests.conftest import call, say
from tests.upstream import upstream

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"include": ["nonsense"]}, "include[0]"),
        ({"max_tool_calls": 0}, "max_tool_calls"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"service_tier": "gold"}, "service_tier"),
        ({"truncation": "maybe"}, "truncation"),
        ({"prompt_cache_retention": "1h"}, "prompt_cache_retention"),
        ({"prompt_cache_options": {"ttl": "1h"}}, "prompt_cache_options.ttl"),
        ({"stream_options": {"include_obfuscation": "perhaps"}}, "stream_options.include_obfuscation"),
        ({"safety_identifier": "x" * 65}, "safety_identifier"),
        ({"metadata": {"key": "x" * 513}}, "metadata"),
        ({"metadata": {str(number): "" for number in range(17)}}, "metadata"),
        ({"temperature": 3}, "temperature"),
        ({"top_p": -1}, "top_p"),
        ({"max_output_tokens": 15}, "max_output_tokens"),
        ({"text": {"verbosity": "loud"}}, "text.verbosity"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"reasoning": {"effort": "huge"}}, "reasoning.effort"),
        ({"background": "yes"}, "background"),
        ({"background": 1}, "background"),
        ({"stream": "true"}, "stream"),
        ({"store": "false"}, "store"),
        ({"parallel_tool_calls": 0}, "parallel_tool_calls"),
        ({"max_tool_calls": "5"}, "max_tool_calls"),
        ({"max_tool_calls": True}, "max_tool_calls"),
        ({"temperature": "1"}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"prompt_cache_options": {"mode": "always"}}, "prompt_cache_options.mode"),
        ({"prompt_cache_options": {"prewarm": 1}}, "prompt_cache_options.prewarm"),
        ({"prompt_cache_options": {"comparison_response_id": 5}}, "prompt_cache_options.comparison_response_id"),
        ({"moderation": {}}, "moderation.model"),
        ({"moderation": {"model": "m", "policy": {"input": {"mode": "ask"}}}}, "moderation.policy.input.mode"),
        ({"access_programs": {"cyber": "any"}}, "access_programs.cyber"),
        ({"image": {"context_compression": "yes"}}, "image.context_compression"),
        ({"text": {"format": {}}}, "text.format.type"),
        ({"text": {"format": {"type": "json_schema", "schema": {}}}}, "text.format.name"),
        ({"text": {"format": {"type": "json_schema", "name": "x"}}}, "text.format.schema"),
        ({"text": {"format": {"type": "json_schema", "name": "a b", "schema": {}}}}, "text.format.name"),
        ({"text": {"format": {"type": "json_schema", "name": "x", "schema": {}, "strict": 1}}}, "text.format.strict"),
        ({"conversation": 5}, "conversation"),
        ({"conversation": {}}, "conversation"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [{"type": "function", "name": "f", "parameters": {"type": "array"}}]}, "tools[0].parameters"),
        ({"tools": [{"type": "function", "name": "f", "strict": "yes"}]}, "tools[0].strict"),
        ({"tools": [{"name": "x"}]}, "tools[0].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tools": [{"type": "function", "name": "a b"}]}, "tools[0].name"),
    ],
)
async def test_a_wrong_value_of_a_known_field_is_refused_by_name(start_gateway, fields, param):
    async with start_gateway() as gateway:
        answer = await gateway.http.post("/v1/responses", json={"model": "helper", "input": "hi", **fields})
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["type"]) == (400, param, "invalid_request_error")
    assert set(error) == {"message", "type", "param", "code"}


@pytest.mark.parametrize("conversation", ["", {"id": ""}])
async def test_a_conversation_without_a_name_is_not_found(start_gateway, conversation):
    body = {"model": "helper", "input": "hi", "conversation": conversation}
    async with start_gateway() as gateway:
        answer = await gateway.http.post("/v1/responses", json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (404, "conversation")


async def test_fields_that_nobody_knows_yet_are_ignored(start_gateway):
    body = {
        "model": "helper",
        "input": "hi",
        "access_programs": {},
        "moderation": {"model": "omni-moderation-latest", "policy": {"input": {"mode": "score"}, "output": None}},
        "prompt_cache_options": {"mode": "implicit", "ttl": "30m", "prewarm": False},
        "temperature": 1,
        "image": {"context_compression": "auto"},
        "never_heard_of": [1],
        "service_tier": "flex",
        "stream_options": {"include_obfuscation": False},
        "prompt_cache_key": "k",
        "prompt_cache_retention": "24h",
        "include": ["web_search_call.action.sources", "file_search_call.results"],
        "max_tool_calls": 3,
        "truncation": "auto",
        "top_logprobs": 0,
        "reasoning": {"effort": "low", "context": "auto", "mode": "standard"},
    }
    async with start_gateway([say("hello")]) as gateway:
        answer = (await gateway.http.post("/v1/responses", json=body)).json()
        options = gateway.provider.calls[0].options
    assert answer["output"][0]["content"][0]["text"] == "hello"
    shown = {name: answer[name] for name in ("max_tool_calls", "truncation", "prompt_cache_key", "service_tier")}
    assert shown == {"max_tool_calls": 3, "truncation": "auto", "prompt_cache_key": "k", "service_tier": "default"}
    assert set(options) == {
        "reasoning_effort",
        "temperature",
        "service_tier",
        "prompt_cache_key",
        "prompt_cache_retention",
    }


@pytest.mark.parametrize("fields", [{"top_logprobs": 2}, {"include": ["message.output_text.logprobs"]}])
async def test_logprobs_are_asked_for_either_way(start_gateway, fields):
    async with start_gateway([say("hello")]) as gateway:
        response = await gateway.openai.responses.create(model="helper", input="hi", **fields)
        options = gateway.provider.calls[0].options
    assert options == {"logprobs": True, "top_logprobs": fields.get("top_logprobs", 0)}
    assert response.top_logprobs == fields.get("top_logprobs", 0)


@pytest.fixture
def clock(home):
    (home / "agents" / "timekeeper.yaml").write_text("name: timekeeper\nmodel: scripted/one\ntools: [clock.now]\n")
    return {"clock": ServerSettings(module="tests.servers.clock", settings={"folder": str(home)})}


async def test_calls_beyond_max_tool_calls_fail_and_the_next_response_begins_anew(start_gateway, clock):
    steps = [
        [call("clock__now", call_id="a"), call("clock__now", call_id="b")],
        [call("clock__now", call_id="c")],
        [say("noon")],
        [call("clock__now", call_id="d")],
        [say("noon still", "msg_2")],
    ]
    async with start_gateway(*steps, servers=clock) as gateway:
        create = gateway.openai.responses.create
        first = await create(model="timekeeper", input="time?", max_tool_calls=1)
        second = await create(model="timekeeper", input="?", previous_response_id=first.id, max_tool_calls=1)
    statuses = [item.status for item in first.output if item.type == "mcp_call"]
    assert sorted(statuses) == ["completed", "failed", "failed"]
    assert (first.max_tool_calls, first.output_text) == (1, "noon")
    assert second.output[0].status == "completed"


async def test_calls_of_the_clients_own_functions_do_not_count(start_gateway, clock):
    function = {"type": "function", "name": "ask", "parameters": {"type": "object", "properties": {}}}
    calls = [call("ask", call_id="a"), call("clock__now", call_id="b")]
    async with start_gateway(calls, servers=clock) as gateway:
        response = await gateway.openai.responses.create(
            model="timekeeper", input="?", tools=[function], max_tool_calls=1
        )
    statuses = {item.type: item.status for item in response.output}
    assert statuses == {"function_call": "completed", "mcp_call": "completed"}


@pytest.mark.parametrize("parallel", [True, False])
async def test_whether_calls_may_be_parallel_is_passed_on(start_gateway, clock, parallel):
    async with start_gateway([say("hi")], servers=clock) as gateway:
        response = await gateway.openai.responses.create(model="timekeeper", input="?", parallel_tool_calls=parallel)
        options = gateway.provider.calls[0].options
    assert (options["parallel_tool_calls"], response.parallel_tool_calls) == (parallel, parallel)


NOT_SERVED = [
    "code_interpreter", "shell", "local_shell", "web_search", "web_search_preview", "image_generation", "computer",
    "computer_use_preview", "apply_patch", "namespace", "tool_search", "tomorrows_tool",
]  # fmt: skip


@pytest.mark.parametrize("kind", NOT_SERVED)
async def test_a_tool_that_is_not_served_is_refused_by_its_name(start_gateway, kind):
    async with start_gateway() as gateway:
        with pytest.raises(openai.BadRequestError, match=kind) as refused:
            await gateway.openai.responses.create(model="helper", input="?", tools=[{"type": kind}])
    assert (refused.value.param, refused.value.code) == ("tools[0].type", "invalid_value")
    assert "not served" in refused.value.message


async def test_a_function_without_a_description_is_offered_without_one(start_gateway, home):
    (home / "agents" / "asked.yaml").write_text("name: asked\nmodel: fake/m\n")
    async with upstream({"text": "ok"}) as provider:
        fake = ProviderSettings(name="fake", base_url=provider.url)
        async with start_gateway(providers={"fake": fake}) as gateway:
            await gateway.openai.responses.create(model="asked", input="?", tools=[{"type": "function", "name": "f"}])
    (tool,) = provider.requests[0]["tools"]
    assert tool["function"] == {"name": "f", "parameters": {"type": "object", "properties": {}}}
