"""A raw model asked with Responses at a vendor that speaks them: bodies are handed on, and only what fails is the
gateway's.

Everything goes through a whole gateway on a real socket; the vendor is bytes on another.
"""

import json
import re

import pytest

from gateway.ports import Rule, Verdict
from gateway.providers.settings import ProviderSettings
from gateway.rules import RULES
from tests.providers.relayed import (
    ASK,
    AT,
    CALL,
    COMMENT,
    DONE,
    ENDED,
    ENDS,
    EVENTS,
    LANE,
    MESSAGE,
    RESULT,
    SSE,
    STREAM,
    TEXT,
    THOUGHT,
    USER,
    WHOLE,
    ask,
    event,
    events,
    whole,
)
from tests.providers.replay import Answer, Upstream

pytestmark = pytest.mark.anyio

RELAYED = SSE.removeprefix(COMMENT) + DONE
CLOCK = {"type": "function", "name": "clock", "parameters": {"type": "object", "properties": {}}}
SQL = {"type": "custom", "name": "sql"}
CUSTOM = {"type": "custom_tool_call", "call_id": "call_1", "name": "sql", "input": "select 1"}


async def sent(relaying, body, answer=None, **settings):
    async with relaying(answer or whole(), **LANE, **settings) as (http, upstream):
        answered = await ask(http, body)
    assert answered.status_code == 200, answered.text
    return upstream.requests[0], answered


# What the vendor gets


EVERY_FIELD = {
    "input": [
        {"role": "developer", "content": [{"type": "of_tomorrow", "x": 1}]},
        USER,
        THOUGHT,
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "So."}], "phase": "odd"},
        CALL,
        RESULT,
    ],
    "instructions": "Be kind.",
    "include": ["reasoning.encrypted_content", "of.tomorrow"],
    "tools": [{**CLOCK, "strict": True, "odd": 1}],
    "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "clock"}]},
    "reasoning": {"effort": "extreme", "summary": "auto"},
    "text": {"verbosity": "low", "format": {"type": "text"}},
    "temperature": 0.30000000000000004,
    "previous_response_id": None,
    "background": False,
    "of_tomorrow": [{"deep": None}],
}


async def test_the_vendor_gets_every_field_with_its_own_name_for_the_model(relaying):
    request, _ = await sent(relaying, {**ASK, **EVERY_FIELD}, headers={"X-Team": "a"}, extra={"service_tier": "flex"})
    assert request.body == {"model": "m", "store": False, **EVERY_FIELD, "service_tier": "flex"}
    assert request.path == "/responses"
    assert (request.headers["authorization"], request.headers["x-team"]) == ("Bearer sk-secret-1", "a")


async def test_a_model_named_for_its_responses_is_relayed_too(relaying):
    async with relaying(whole()) as (http, upstream):
        answer = await ask(http, {**ASK, "model": "x/responses/m", "odd": 1})
    assert (answer.content, upstream.requests[0].body) == (WHOLE, {**ASK, "model": "m", "odd": 1})


async def test_a_large_body_is_relayed_too_unless_it_holds_too_much(relaying):
    long = [{"role": "user", "content": "x" * 300_000}]
    async with relaying(whole(), **LANE) as (http, upstream):
        assert (await ask(http, {**ASK, "input": long})).status_code == 200
        crowded = await ask(http, {**ASK, "odd": [{}] * 200_000})
        deep = await http.post("/v1/responses", content=json.dumps(ASK)[:-1] + ', "x": ' + "[" * 300 + "]" * 300 + "}")
    assert (crowded.status_code, crowded.json()["error"]["code"]) == (400, "object_above_max_properties")
    assert (deep.status_code, deep.json()["error"]["code"]) == (400, "invalid_value")
    assert [request.body["input"] for request in upstream.requests] == [long]


# What the client gets


async def test_a_whole_answer_is_the_vendors_bytes(relaying):
    async with relaying(whole(), **LANE) as (http, _):
        answer = await ask(http)
    assert (answer.status_code, answer.content) == (200, WHOLE)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize("piece", [1, 7, 300, 65536])
async def test_a_stream_is_the_vendors_bytes_from_its_first_data_to_its_last(relaying, piece):
    _, answer = await sent(relaying, STREAM, Answer(SSE, piece=piece))
    assert answer.content == RELAYED
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize("piece", [7, 65536])
@pytest.mark.parametrize(
    "sse",
    [
        SSE + DONE,
        SSE.removesuffix(b"\n\n"),
        SSE.removesuffix(b"\n"),
        SSE + b"data: {more}\n\n",
        re.sub(rb"event: .*\n", b"", SSE),
        SSE.replace(b"\n", b"\r\n"),
        SSE[:ENDS] + COMMENT + SSE[ENDS:],
    ],
)
async def test_a_stream_ends_with_the_response_however_it_is_written(relaying, sse, piece):
    _, answer = await sent(relaying, STREAM, Answer(sse, piece=piece))
    assert [one["type"] for one in events(answer)] == [json.loads(one.split(b"data: ")[1])["type"] for one in EVENTS]
    assert events(answer)[-1]["response"] == ENDED


@pytest.mark.parametrize("kind", ["response.completed", "response.incomplete", "response.failed"])
async def test_the_end_of_a_long_stream_is_found_however_much_came_before_it(relaying, kind):
    """More than arrives at once: what it begins with is read, and the rest only looked through."""
    deltas = [event("response.output_text.delta", {**AT, "delta": "x" * 50}, number) for number in range(5000)]
    sse = b"".join([*EVENTS[:6], *deltas, event(kind, {"response": ENDED}, 5000)])
    _, answer = await sent(relaying, STREAM, Answer(sse, stall=len(sse)))
    assert answer.content == sse + DONE


@pytest.mark.parametrize("kind", ["completed", "incomplete"])
async def test_a_stream_that_never_says_more_than_its_end_is_whole(relaying, kind):
    last = (
        EVENTS[-1]
        .replace(b"response.completed\n", b"response.%b\n" % kind.encode())
        .replace(b'"response.completed"', b'"response.%b"' % kind.encode())
    )
    _, answer = await sent(relaying, STREAM, Answer(EVENTS[0] + last, stall=len(EVENTS[0] + last)))
    assert answer.content == EVENTS[0] + last + DONE


@pytest.mark.parametrize("status", ["completed", "incomplete"])
async def test_an_answer_may_end_at_a_limit(relaying, status):
    body = json.dumps({**ENDED, "status": status}).encode()
    _, answer = await sent(relaying, ASK, whole(body))
    assert answer.content == body


async def test_the_official_client_reads_a_relayed_answer(answering):
    async with answering(Answer(SSE), Answer(SSE), whole()) as (gateway, _):
        create = gateway.openai.responses.create
        streamed = [one async for one in await create(**STREAM)]
        async with gateway.openai.responses.stream(model="x/m", input="Hi.", store=False) as stream:
            final = await stream.get_final_response()
        response = await create(**ASK)
    assert "".join(one.delta for one in streamed if one.type == "response.output_text.delta") == TEXT
    assert [streamed[-1].response.output_text, final.output_text, response.output_text] == [TEXT] * 3
    assert (response.id, response.usage.total_tokens, response.output[0].encrypted_content) == (
        "resp_v",
        5,
        THOUGHT["encrypted_content"],
    )


async def test_a_vendor_that_does_not_stream_is_a_stream_of_few_events(answering):
    refused = {**MESSAGE, "content": [{"type": "refusal", "refusal": "No."}, {"type": "odd"}]}
    call = {**CALL, "arguments": '{"zone": 1}', "status": "completed"}
    output = [THOUGHT, MESSAGE, call, {**CUSTOM, "id": "ctc_1"}]
    bodies = [json.dumps({**ENDED, "output": items}).encode() for items in (output, [refused, 5])]
    async with answering(*map(whole, bodies)) as (gateway, _):
        async with gateway.openai.responses.stream(model="x/m", input="Hi.", store=False) as stream:
            read = [one async for one in stream]
            final = await stream.get_final_response()
        odd = events(await ask(gateway.http, STREAM))
    assert (final.output_text, final.to_dict(mode="json")["output"][2]["arguments"]) == (TEXT, call["arguments"])
    assert [one.delta for one in read if hasattr(one, "delta")] == [TEXT, call["arguments"], CUSTOM["input"]]
    assert [one["sequence_number"] for one in odd] == list(range(len(odd)))
    assert [one["type"].removeprefix("response.") for one in odd] == [
        "created", "in_progress", "output_item.added",
        "content_part.added", "refusal.delta", "refusal.done", "content_part.done",
        "content_part.added", "content_part.done",
        "output_item.done", "completed",
    ]  # fmt: skip


# What is not relayed


ENGINES = [
    {"store": True},
    {"store": None},
    {"store": None, "odd": {"store": False}},
    {"previous_response_id": "resp_none"},
    {"conversation": "conv_none"},
    {"prompt": {"id": "none"}},
    {"background": True},
    {"context_management": [{"type": "compaction"}]},
    {"input": []},
    {"input": [{"id": "msg_1"}]},
    {"input": [USER, {"type": "item_reference", "id": "msg_1"}]},
    {"input": [USER, {**THOUGHT, "encrypted_content": "hp1.AAAA"}, USER]},
    {"input": [USER, {"type": "reasoning", "id": "rs_1", "summary": []}, USER]},
    {"input": [USER, {"type": "compaction", "encrypted_content": "hp1.AAAA"}]},
    {"input": [USER, {"type": "compaction_trigger"}]},
    {"input": [{"type": "mcp_approval_response", "approval_request_id": "a", "approve": True}]},
    {"input": [USER, {"type": "mcp_call", "id": "m", "server_label": "s", "name": "n", "arguments": "{}"}]},
    {"input": [USER, {"type": "web_search_call", "id": "w", "status": "completed", "action": {"type": "search"}}]},
    {"tools": [{"type": "file_search", "vector_store_ids": ["kb"]}]},
    {"tools": [CLOCK, {"type": "mcp", "server_label": "s", "server_url": "https://h.example"}]},
    {"tools": [{"type": "web_search"}]},
    {"tools": [{}]},
    {"tools": [CLOCK], "tool_choice": {"type": "mcp", "server_label": "s"}},
    {"tools": [CLOCK], "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "file_search"}]}},
    {"tools": [CLOCK], "tool_choice": "odd"},
    # Some servers do not tell capitals from small letters, and take what comes last.
    {"Model": "dear"},
    {"STORE": True},
    {"Previous_Response_Id": "resp_x"},
    {"\u017ftore": True},
    {"tools": [{**CLOCK, "Type": "mcp", "server_url": "http://h.example"}]},
    {"tools": [CLOCK], "tool_choice": {"type": "function", "name": "clock", "Type": "mcp"}},
    {"input": [{**USER, "TYPE": "item_reference"}]},
    {"input": [{"id": "msg_1", "type": None, "role": "user"}]},
    {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "file-1"}]}]},
    {"input": [CALL, {**RESULT, "output": [{"type": "input_image", "file_id": "file-1"}]}]},
    {"text": {"format": {"type": "json_schema", "name": "a", "strict": True, "schema": {"type": "object"}}}},
    {"truncation": "auto"},
    {"tools": [SQL]},
    {"input": [USER, CUSTOM, {"type": "custom_tool_call_output", "call_id": "call_1", "output": "1"}]},
]


@pytest.mark.parametrize("asked", ENGINES)
async def test_what_needs_the_gateway_is_not_handed_on(relaying, asked):
    """Whatever else becomes of it: what the vendor does not know is in no request to it."""
    async with relaying(whole(), **LANE) as (http, upstream):
        answer = await ask(http, {**ASK, **asked, "of_tomorrow": 1})
    assert all("of_tomorrow" not in request.body for request in upstream.requests)
    assert answer.content != WHOLE
    assert upstream.requests or 400 <= answer.status_code < 500


@pytest.mark.parametrize("extra", [{"instructions": "secret"}, {"metadata": {"bill": "secret"}}])
async def test_what_the_host_adds_is_not_told_by_the_vendor(relaying, extra):
    told = json.loads(WHOLE) | extra
    async with relaying(whole(json.dumps(told).encode()), extra=extra, **LANE) as (http, upstream):
        answer = await ask(http)
    assert upstream.requests[0].body.items() >= extra.items()
    assert answer.status_code == 200 and "secret" not in answer.text


async def test_what_the_host_adds_is_not_written_over_in_other_letters(relaying):
    async with relaying(whole(), extra={"routing": "cheap"}, **LANE) as (http, upstream):
        await ask(http, {**ASK, "Routing": "dear", "Of_Tomorrow": 1})
    assert upstream.requests[0].body == {**ASK, "model": "m", "Of_Tomorrow": 1, "routing": "cheap"}


async def test_a_conversation_that_may_be_too_long_is_measured(start_gateway):
    async with Upstream(whole()) as upstream:
        provider = ProviderSettings(name="x", base_url=upstream.url, **LANE)
        async with start_gateway(providers={"x": provider}, models=("x/*",), max_history=200) as gateway:
            short, long = await ask(gateway.http), await ask(gateway.http, {**ASK, "input": "x" * 201})
    assert (short.content, long.status_code, len(upstream.requests)) == (WHOLE, 400, 1)
    assert long.json()["error"]["code"] == "context_length_exceeded"


@pytest.mark.parametrize("asked", [*ENGINES[-4:], {"input": [USER], "tools": [CLOCK, SQL]}])
async def test_openai_is_left_to_do_what_it_is_asked(relaying_openai, asked):
    body = {**ASK, **asked}
    async with relaying_openai(whole(), **LANE) as (http, upstream):
        answer = await ask(http, {**body, "model": "openai/m"})
    assert (answer.content, [request.body for request in upstream.requests]) == (WHOLE, [{**body, "model": "m"}])


@pytest.mark.parametrize("asked", [{**ASK, "store": True}, {"model": "x/m", "input": "Hi."}])
async def test_what_is_to_be_stored_is_stored_here(relaying, asked):
    async with relaying(whole(), **LANE) as (http, upstream):
        made = (await ask(http, asked)).json()
        kept = (await http.get(f"/v1/responses/{made['id']}")).json()
    assert made["id"] != "resp_v"
    assert (kept, upstream.requests[0].body["store"]) == (made, False)


async def test_a_request_with_a_key_is_answered_again_and_not_asked_twice(relaying):
    key = {"Idempotency-Key": "a"}
    async with relaying(whole(), **LANE) as (http, upstream):
        first, second = await ask(http, headers=key), await ask(http, headers=key)
    assert (second.headers["idempotent-replayed"], second.json()) == ("true", first.json())
    assert (first.json()["id"] != "resp_v", len(upstream.requests)) == (True, 1)


async def test_a_rule_that_looks_at_inputs_sees_those_of_raw_models(relaying, monkeypatch):
    class Nothing(Rule):
        async def check_input(self, turn):
            return Verdict("deny", "not here")

    monkeypatch.setitem(RULES, "nothing", Nothing)
    async with relaying(whole(), **LANE) as (http, upstream):
        answer = await ask(http)
    assert ("not here" in answer.text, upstream.requests) == (True, [])


@pytest.mark.parametrize("how", ["agent", "by schema", "other lane"])
async def test_what_has_to_be_translated_is_translated(relaying, home, how):
    (home / "agents" / "kind.yaml").write_text("name: kind\nmodel: x/m\ninstructions: Be kind.\n")
    choice = {"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}
    answer = whole(json.dumps({"id": "c", "choices": [choice]}).encode()) if how == "other lane" else whole()
    settings = {"lane": "openai" if how == "other lane" else "responses", "native_tools": how != "by schema"}
    async with relaying(answer, **settings) as (http, upstream):
        made = (await ask(http, {**ASK, "model": "kind" if how == "agent" else "x/m", "of_tomorrow": 1})).json()
    assert "of_tomorrow" not in upstream.requests[0].body
    assert (made["id"] != "resp_v", made["output"][-1]["content"][0]["text"]) == (True, TEXT)


async def test_a_socket_is_answered_by_the_engine(answering):
    async with answering(Answer(SSE)) as (gateway, upstream):
        async with gateway.openai.responses.connect() as connection:
            await connection.response.create(model="x/m", input="Hi.", store=False)
            told = [await connection.recv()]
            while told[-1].type != "response.completed":
                told.append(await connection.recv())
    assert (told[-1].response.id != "resp_v", told[-1].response.output_text) == (True, TEXT)
    assert upstream.requests[0].body["include"] == ["reasoning.encrypted_content"]


# What comes back


@pytest.mark.parametrize("live", [True, False])
async def test_what_a_relayed_answer_said_may_come_back_to_the_engine(answering, live):
    """The vendor's own proof of a thought cannot be told from anybody's: it is kept for the client and not sent."""
    call = {**CALL, "status": "completed"}
    output = [THOUGHT, {**MESSAGE, "phase": "commentary"}, call]
    body = json.dumps({**ENDED, "output": output}).encode()
    async with answering(whole(body), whole(), whole()) as (gateway, upstream):
        first = (await ask(gateway.http, {**ASK, "stream": live})).content
        said = json.loads(first)["output"] if not live else json.loads(first.split(b"data: ")[-2])["response"]["output"]
        again = await ask(gateway.http, {"model": "x/m", "input": [USER, *said, RESULT]})
        kept = await gateway.http.get(f"/v1/responses/{again.json()['id']}/input_items?order=asc")
        relayed = await ask(gateway.http, {**ASK, "input": [USER, *said, RESULT]})
    assert (said, again.status_code, relayed.content) == (output, 200, WHOLE)
    assert [one["type"] for one in kept.json()["data"]] == [
        "message", "reasoning", "message", "function_call", "function_call_output",
    ]  # fmt: skip
    engines, relays = (request.body["input"] for request in upstream.requests[1:])
    assert [one.get("type", "message") for one in engines] == [
        "message", "message", "function_call", "function_call_output",
    ]  # fmt: skip
    assert relays == [USER, *output, RESULT]


async def test_what_the_engine_said_may_come_back_to_the_relay(answering):
    async with answering(whole(), whole()) as (gateway, upstream):
        made = (await ask(gateway.http, {"model": "x/m", "input": "Hi."})).json()
        spoken = [item for item in made["output"] if item["type"] == "message"]
        answer = await ask(gateway.http, {**ASK, "input": [USER, *spoken, USER]})
    assert (answer.content, upstream.requests[1].body["input"]) == (WHOLE, [USER, *spoken, USER])
