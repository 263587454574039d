"""A raw model asked in the wire that its vendor speaks: bodies are handed on, and only what fails is the gateway's.

Everything goes through a whole gateway on a real socket; the vendor is bytes on another.
"""

import json

import pytest

from gateway.ports import Rule, Verdict
from gateway.providers.settings import ProviderSettings
from gateway.rules import RULES
from tests.providers.relays import ASK, FIRST, SSE, STREAM, USER, WHOLE, ask, chunks, refused, said, whole
from tests.providers.replay import Answer, Upstream
from tests.providers.wires import LEGS

pytestmark = pytest.mark.anyio

OPENAI = LEGS[0]


async def sent(relaying, body, **settings):
    async with relaying(whole(), **settings) as (http, upstream):
        assert (await ask(http, body)).status_code == 200
    return upstream.requests[0]


# What the vendor gets


EVERY_FIELD = {
    "messages": [USER, {"role": "assistant", "content": None, "reasoning_content": "Hm.", "tool_calls": [{"id": "1"}]}],
    "n": 1,
    "logprobs": True,
    "logit_bias": {"50256": -100},
    "audio": {"voice": "alloy", "format": "wav"},
    "modalities": ["text", "audio"],
    "web_search_options": {},
    "metadata": {"a": "b"},
    "temperature": 0.30000000000000004,
    "of_tomorrow": [{"deep": None}],
}


async def test_the_vendor_gets_every_field_with_its_own_name_for_the_model(relaying):
    request = await sent(relaying, {**ASK, **EVERY_FIELD}, headers={"X-Team": "a"}, extra={"store": False})
    assert request.body == {"model": "m", **EVERY_FIELD, "store": False}
    assert request.path == "/chat/completions"
    assert (request.headers["authorization"], request.headers["x-team"]) == ("Bearer sk-secret-1", "a")


@pytest.mark.parametrize(
    ("vendor", "given", "expected"),
    [
        ("openai", {"max_tokens": 5, "seed": 1}, {"max_completion_tokens": 5, "seed": 1}),
        ("openai", {"max_completion_tokens": 5}, {"max_completion_tokens": 5}),
        (
            "groq",
            {"max_completion_tokens": 5, "stream": True, "stream_options": {}},
            {"max_tokens": 5, "stream": True, "stream_options": {}},
        ),
        ("groq", {"max_completion_tokens": 5, "max_tokens": 6}, {"max_tokens": 6}),
        (
            "mistral",
            {"seed": 1, "stream": True, "stream_options": {"include_usage": True}},
            {"random_seed": 1, "stream": True},
        ),
        ("", {"max_tokens": None}, {"max_tokens": None}),
    ],
)
async def test_what_a_vendor_calls_otherwise_is_renamed(relaying, vendor, given, expected):
    request = await sent(relaying, {**ASK, **given}, litellm_provider=vendor)
    assert request.body == {"model": "m", "messages": [USER], **expected}


@pytest.mark.parametrize(("vendor", "role"), [("openai", "developer"), ("groq", "system")])
async def test_a_role_that_a_vendor_does_not_know_has_its_older_name(relaying, vendor, role):
    developer = {"role": "developer", "content": "Be kind.", "name": "a"}
    request = await sent(relaying, {**ASK, "messages": [developer, USER]}, litellm_provider=vendor)
    assert request.body["messages"] == [{**developer, "role": role}, USER]


WORDS = {
    "messages": [{"role": "user", "content": [{"type": "video_url", "video_url": {"url": "file:///a"}}]}],
    "tools": [{"type": "browser_search"}],
    "response_format": {"type": "structural_tag", "format": {}},
    "reasoning_effort": "default",
    "service_tier": "on_demand",
    "stop": ["a", "b", "c", "d", "e"],
    "top_k": 5,
}


async def test_what_vendors_add_to_openais_fields_reaches_them(relaying):
    assert (await sent(relaying, {**ASK, **WORDS})).body == {"model": "m", **WORDS}


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"temperature": 5}, "temperature"),
        ({"n": 0}, "n"),
        ({"n": "2"}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"stream": "yes"}, "stream"),
        ({"store": 1}, "store"),
        ({"stream_options": {}}, "stream_options"),
        ({"top_logprobs": 5}, "top_logprobs"),
        ({"logit_bias": {"abc": 1}}, "logit_bias"),
        ({"metadata": 5}, "metadata"),
        ({"user": 5}, "user"),
        ({"stop": 5}, "stop"),
        ({"prediction": 5}, "prediction"),
        ({"moderation": 5}, "moderation"),
        ({"audio": {}}, "audio.format"),
        ({"tools": [{}]}, "tools[0].type"),
        ({"response_format": "json"}, "response_format"),
        ({"messages": [{"role": "x"}]}, "messages[0].role"),
        ({"messages": ["Hi."]}, "messages[0]"),
        ({"messages": [{"role": "user", "content": []}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
    ],
)
async def test_a_wrong_value_of_a_known_field_does_not_reach_openai(relaying_openai, wrong, param):
    async with relaying_openai(whole()) as (http, upstream):
        answer = await ask(http, {**ASK, "model": "openai/m", **wrong})
    assert refused(answer) == param
    assert upstream.requests == []


CALLING = {"role": "assistant", "content": [], "tool_calls": [{"id": "1"}]}


@pytest.mark.parametrize(
    "taken",
    [
        {"max_tokens": -1},
        {"temperature": 2.5},
        {"top_p": -1, "top_logprobs": 50, "seed": -(2**63)},
        {"metadata": {"step": 7, "tags": ["a"]}},
        {"user": 5},
        {"store": None, "logit_bias": [[15043, False]]},
        {"messages": [USER, CALLING, {"role": "latest_reminder", "content": "Now.", "name": 5}]},
        {"prediction": {"content": "a"}, "audio": {}, "response_format": "json", "tools": [{"name": "f"}]},
        {"stream": False, "stream_options": None},
    ],
)
async def test_what_openai_would_refuse_reaches_a_server_that_takes_it(relaying, taken):
    assert (await sent(relaying, {**ASK, **taken})).body == {"model": "m", "messages": [USER], **taken}


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"n": 0}, "n"),
        ({"n": "2"}, "n"),
        ({"n": True}, "n"),
        ({"stream": "yes"}, "stream"),
        ({"stream": 1}, "stream"),
        ({"stream_options": {}}, "stream_options"),
        ({"stream": True, "stream_options": 5}, "stream_options"),
        ({"messages": ["Hi."]}, "messages[0]"),
        ({"messages": [{"content": "Hi."}]}, "messages[0].role"),
        ({"messages": [{"role": 5}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
    ],
)
async def test_what_no_server_takes_reaches_none(relaying, wrong, param):
    async with relaying(whole()) as (http, upstream):
        answer = await ask(http, {**ASK, **wrong})
    assert refused(answer) == param
    assert upstream.requests == []


# What the client gets


async def test_a_whole_answer_is_the_vendors_bytes(relaying):
    async with relaying(whole()) as (http, _):
        answer = await ask(http)
    assert (answer.status_code, answer.content) == (200, WHOLE)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize("piece", [1, 7, 65536])
async def test_a_stream_is_the_vendors_bytes_from_its_first_data_on(relaying, piece):
    async with relaying(Answer(SSE, piece=piece)) as (http, _):
        answer = await ask(http, STREAM)
    assert (answer.status_code, said(answer)) == (200, SSE[FIRST:])
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize("left_out", [b"data: [DONE]\n\n", b"\n\ndata: [DONE]\n\n", b"\n\n"])
async def test_a_stream_that_ends_properly_without_saying_so_is_whole(relaying, left_out):
    async with relaying(Answer(SSE.removesuffix(left_out))) as (http, _):
        assert said(await ask(http, STREAM)) == SSE[FIRST:]


async def test_a_stream_may_be_called_json(relaying):
    async with relaying(Answer(SSE, content_type="application/json")) as (http, _):
        assert said(await ask(http, STREAM)) == SSE[FIRST:]


async def test_a_vendor_that_does_not_stream_is_a_stream_of_one_chunk(relaying):
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = {"role": "assistant", "content": None, "tool_calls": [call], "odd": 1}
    completion = {"id": "v1", "object": "chat.completion", "usage": {"total_tokens": 3}, "more": 2}
    choice = {"index": 0, "logprobs": {"a": 1}, "finish_reason": "tool_calls"}
    body = json.dumps({**completion, "choices": [{**choice, "message": message}]}).encode()
    async with relaying(whole(b" \n" + body)) as (http, _):
        frames = (await ask(http, STREAM)).text.split("\n\n")
    assert frames[1:] == ["data: [DONE]", ""]
    chunk = json.loads(frames[0].removeprefix("data: "))
    assert chunk == {
        **completion,
        "object": "chat.completion.chunk",
        "choices": [{**choice, "delta": {**message, "tool_calls": [{"index": 0, **call}]}}],
    }


@pytest.mark.parametrize("message", ["null", "5", '{"tool_calls": 5}', '{"tool_calls": [5]}'])
async def test_a_vendor_that_does_not_stream_may_say_anything(relaying, message):
    body = b'{"choices": [{"message": %b, "finish_reason": "stop"}]}' % message.encode()
    async with relaying(whole(body)) as (http, _):
        (chunk,) = chunks(await ask(http, STREAM))
    assert chunk["choices"] == [{"finish_reason": "stop", "delta": json.loads(message) or {}}]


async def test_the_official_client_reads_a_relayed_stream(start_gateway):
    async with Upstream(Answer(OPENAI.whole)) as upstream:
        provider = ProviderSettings(name="x", base_url=upstream.url)
        async with start_gateway(providers={"x": provider}, models=("x/m",)) as gateway:
            stream = await gateway.openai.chat.completions.create(**STREAM)
            text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
    assert text == "Hello."


# What is not relayed


@pytest.mark.parametrize(
    "asked",
    [
        {"Model": "dear"},
        {"STORE": True},
        {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}]},
    ],
)
async def test_what_names_another_model_or_a_file_of_the_vendors_account_is_not_handed_on(relaying, asked):
    async with relaying(whole()) as (http, upstream):
        answer = await ask(http, {**ASK, **asked, "of_tomorrow": 1})
    assert all("of_tomorrow" not in request.body for request in upstream.requests)
    assert upstream.requests or answer.json()["error"]["param"] == "messages[0].content[0].file.file_id"


async def test_a_body_without_what_every_request_has_is_refused_as_ever(relaying):
    async with relaying(whole()) as (http, upstream):
        for body in (b"{", b"[]", b'{"model": "x/m"}', b'{"model": 5}', b'{"model": "x/m", "messages": []}'):
            answer = await http.post("/v1/chat/completions", content=body)
            assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")
        missing = await ask(http, {**ASK, "model": "y/m"})
    assert (missing.status_code, missing.json()["error"]["code"], upstream.requests) == (404, "model_not_found", [])


async def test_a_large_body_is_relayed_too_unless_it_holds_too_much(relaying):
    long = [{"role": "user", "content": "x" * 300_000}]
    async with relaying(whole()) as (http, upstream):
        assert (await ask(http, {**ASK, "messages": long})).status_code == 200
        crowded = await ask(http, {**ASK, "logit_bias": [{}] * 200_000})
        deep = await http.post(
            "/v1/chat/completions", content=json.dumps(ASK)[:-1] + ', "x": ' + "[" * 300 + "]" * 300 + "}"
        )
    assert (crowded.status_code, crowded.json()["error"]["code"]) == (400, "object_above_max_properties")
    assert (deep.status_code, deep.json()["error"]["code"]) == (400, "invalid_value")
    assert [request.body["messages"] for request in upstream.requests] == [long]


async def test_a_rule_that_looks_at_inputs_sees_those_of_raw_models(relaying, monkeypatch):
    class Nothing(Rule):
        async def check_input(self, turn):
            return Verdict("deny", "not here")

    monkeypatch.setitem(RULES, "nothing", Nothing)
    async with relaying(whole()) as (http, upstream):
        answer = await ask(http)
    assert ("not here" in answer.text, upstream.requests) == (True, [])


STRICT = {
    "type": "json_schema",
    "json_schema": {
        "name": "n",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {"a": {"type": "integer"}},
            "required": ["a"],
            "additionalProperties": False,
        },
    },
}


def saying(text):
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return whole(json.dumps({"id": "v1", "choices": [choice]}).encode())


async def test_several_choices_of_a_server_that_may_not_make_them_are_asked_for_one_by_one(relaying):
    async with relaying(saying("Hi."), saying("Ho.")) as (http, upstream):
        answer = (await ask(http, {**ASK, "n": 2})).json()
    assert sorted(choice["message"]["content"] for choice in answer["choices"]) == ["Hi.", "Ho."]
    assert [request.body.get("n") for request in upstream.requests] == [None, None]


async def test_an_answer_of_a_server_that_may_not_hold_it_to_a_strict_schema_is_checked(relaying):
    async with relaying(saying("no"), saying('{"a": "1"}'), saying('{"a": 1}')) as (http, upstream):
        answer = (await ask(http, {**ASK, "response_format": STRICT})).json()
    assert (answer["choices"][0]["message"]["content"], len(upstream.requests)) == ('{"a": 1}', 3)
    assert upstream.requests[0].body["response_format"] == STRICT


SQL = {"type": "custom", "custom": {"name": "sql"}}


async def test_a_server_that_knows_functions_only_is_offered_a_custom_tool_as_one(relaying):
    called = {"id": "call_1", "type": "function", "function": {"name": "sql", "arguments": '{"input": "select 1"}'}}
    choice = {"index": 0, "message": {"role": "assistant", "tool_calls": [called]}, "finish_reason": "tool_calls"}
    async with relaying(whole(json.dumps({"id": "v1", "choices": [choice]}).encode())) as (http, upstream):
        answer = (await ask(http, {**ASK, "tools": [SQL]})).json()
    (tool,) = upstream.requests[0].body["tools"]
    (call,) = answer["choices"][0]["message"]["tool_calls"]
    assert (tool["type"], tool["function"]["name"]) == ("function", "sql")
    assert (call["type"], call["custom"]) == ("custom", {"name": "sql", "input": "select 1"})


@pytest.mark.parametrize("asked", [{"n": 2}, {"response_format": STRICT}, {"tools": [SQL]}])
async def test_openai_is_left_to_do_what_it_is_asked(relaying_openai, asked):
    async with relaying_openai(whole()) as (http, upstream):
        answer = await ask(http, {**ASK, "model": "openai/m", **asked})
    sent = [request.body for request in upstream.requests]
    assert (answer.content, sent) == (WHOLE, [{"model": "m", "messages": [USER], **asked}])


@pytest.mark.parametrize("how", ["agent", "by schema", "other lane"])
async def test_what_has_to_be_translated_is_translated(start_gateway, home, how):
    (home / "agents" / "kind.yaml").write_text("name: kind\nmodel: x/m\ninstructions: Be kind.\n")
    leg = LEGS[1] if how == "other lane" else OPENAI
    settings = {"lane": leg.lane, "litellm_provider": leg.vendor, "native_tools": how != "by schema"}
    async with Upstream(Answer(leg.whole)) as upstream:
        provider = ProviderSettings(name="x", base_url=upstream.url, api_key="k", **settings)
        async with start_gateway(providers={"x": provider}, models=("x/m",)) as gateway:
            body = {**STREAM, "model": "kind" if how == "agent" else "x/m", "of_tomorrow": 1}
            answer = await ask(gateway.http, body)
    assert "of_tomorrow" not in upstream.requests[0].body
    assert '"chatcmpl-' in answer.text and answer.text.endswith("data: [DONE]\n\n")
