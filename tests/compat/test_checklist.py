"""What a drop-in must get right, line by line."""

import asyncio
import json

import httpx
import openai
import pytest

from gateway.errors import ProviderRateLimited
from tests.compat.model import HELLO, called, said
from tests.compat.wire import (
    CHAT_WEATHER,
    KEYS,
    USAGE,
    WEATHER,
    asks,
    chats,
    chunks,
    error_of,
    events,
    of,
    respond,
    shape,
)

pytestmark = pytest.mark.anyio


@pytest.mark.requirement("errors")
@pytest.mark.parametrize(
    ("method", "path", "body", "status", "param", "code"),
    [
        ("GET", "/v1/nothing", None, 404, None, "unknown_url"),
        ("PUT", "/v1/responses", None, 405, None, "method_not_supported"),
        ("POST", "/v1/responses", b"{", 400, None, "invalid_request"),
        ("POST", "/v1/responses", b"[]", 400, None, "invalid_type"),
        ("POST", "/v1/chat/completions", b"{}", 400, "model", "missing_required_parameter"),
        ("POST", "/v1/chat/completions", b'{"model": "helper"}', 400, "messages", "missing_required_parameter"),
        ("POST", "/v1/responses", b'{"model":"helper","input":"","top_p":2}', 400, "top_p", "invalid_value"),
        ("POST", "/v1/responses", b'{"model":"nobody","input":""}', 404, "model", "model_not_found"),
        ("GET", "/v1/responses/resp_none", None, 404, "id", "not_found"),
        ("GET", "/v1/conversations/conv_none", None, 404, "id", "not_found"),
        ("GET", "/v1/models/nobody", None, 404, "model", "model_not_found"),
    ],
)
async def test_every_failure_has_openais_error_body(gateway, method, path, body, status, param, code):
    async with gateway() as running:
        answer = await running.http.request(method, path, content=body)
    error = error_of(answer)
    assert (answer.status_code, error["param"], error["code"]) == (status, param, code)
    assert error["type"] == "invalid_request_error"


@pytest.mark.requirement("errors")
async def test_a_missing_or_wrong_key_is_401_and_every_answer_has_a_request_id(gateway):
    async with gateway() as running, httpx.AsyncClient(base_url=running.url) as bare:
        for headers in ({}, {"authorization": "Bearer sk-wrong"}):
            answer = await bare.get("/v1/models", headers=headers)
            assert (answer.status_code, error_of(answer)["code"]) == (401, "invalid_api_key")
        first, second = [(await running.http.get("/v1/models")).headers["x-request-id"] for _ in range(2)]
    assert first.startswith("req_")
    assert first != second


@pytest.mark.requirement("one-identity")
async def test_an_id_is_the_same_from_the_first_event_to_what_is_read_back(gateway):
    async with gateway() as running:
        seen = await events(running, asks("weather in both?", tools=[WEATHER]))
        final = seen[-1]["response"]
        stored = (await running.http.get(f"/v1/responses/{final['id']}")).json()
    assert {event["response"]["id"] for event in seen if "response" in event} == {final["id"]}
    for kind in ("output_item.added", "output_item.done"):
        named = [(event["item"]["id"], event["item"]["call_id"]) for event in of(seen, kind)]
        assert named == [(item["id"], item["call_id"]) for item in final["output"]]
    assert {event["item_id"] for event in seen if "item_id" in event} == {item["id"] for item in final["output"]}
    assert stored["output"] == final["output"]


@pytest.mark.requirement("stored-before-told")
async def test_what_is_told_as_completed_is_stored_already(gateway):
    async with gateway() as running:
        async with running.http.stream("POST", "/v1/responses", json=asks("hi", stream=True)) as answer:
            async for line in answer.aiter_lines():
                if line.startswith("data: ") and '"response.completed"' in line:
                    id = json.loads(line.removeprefix("data: "))["response"]["id"]
                    stored = (await running.http.get(f"/v1/responses/{id}")).json()
                    went_on = await respond(running, asks("what was before?", previous_response_id=id))
    assert (stored["status"], stored["output"][0]["content"][0]["text"]) == ("completed", HELLO)
    assert went_on["output"][0]["content"][0]["text"] == "You said: hi"


@pytest.mark.requirement("stream-order")
@pytest.mark.parametrize("question", ["hi", "think", "weather in both?"])
async def test_a_stream_is_numbered_and_every_item_is_opened_filled_and_closed(gateway, question):
    async with gateway() as running:
        seen = await events(running, asks(question, tools=[WEATHER]))
    assert [event["sequence_number"] for event in seen] == list(range(len(seen)))
    assert [event["type"] for event in seen[:2]] == ["response.created", "response.in_progress"]
    assert seen[0]["response"]["output"] == []
    added = [event["output_index"] for event in of(seen, "output_item.added")]
    assert added == sorted(event["output_index"] for event in of(seen, "output_item.done"))
    assert added == list(range(len(seen[-1]["response"]["output"])))
    for kind in ("output_text.delta", "output_text.done"):
        assert all(event["logprobs"] == [] for event in of(seen, kind))
    assert all(event["name"] == "weather" for event in of(seen, "function_call_arguments.done"))
    assert len(of(seen, "content_part.added")) == len(of(seen, "content_part.done"))
    opened: set[str] = set()
    for event in seen:
        if event["type"] == "response.output_item.added":
            opened.add(event["item"]["id"])
        elif event["type"] == "response.output_item.done":
            opened.remove(event["item"]["id"])
        elif "item_id" in event:
            assert event["item_id"] in opened


@pytest.mark.requirement("one-write")
async def test_no_event_is_split_over_two_writes(gateway):
    async with gateway() as running:
        async with running.http.stream("POST", "/v1/responses", json=asks("hi", stream=True)) as answer:
            pieces = [piece async for piece in answer.aiter_raw()]
    assert all(piece.endswith(b"\n\n") for piece in pieces)


@pytest.mark.requirement("response-keys")
async def test_a_response_has_all_31_keys_with_numbers_where_numbers_belong(gateway):
    async with gateway() as running:
        response = await respond(running, asks("hi", metadata={"a": "b"}, instructions="Be brief."))
        streamed = (await events(running, asks("hi")))[-1]["response"]
    for one in (response, streamed):
        assert set(one) >= KEYS
        numbers = ("temperature", "top_p", "presence_penalty", "frequency_penalty", "top_logprobs")
        assert all(isinstance(one[name], int | float) for name in numbers)
        assert (type(one["store"]), type(one["background"]), type(one["service_tier"])) == (bool, bool, str)
        assert shape(one["usage"], USAGE)
        assert one["text"]["format"] == {"type": "text"}
        assert "user" not in one
    assert (response["metadata"], response["instructions"]) == ({"a": "b"}, "Be brief.")


REPLAYED = {
    "no type": {"role": "user", "content": "hi"},
    "no id or status": {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "yes"}]},
    "a foreign id": {
        "type": "message",
        "id": "msg_of_another_server",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": "yes", "annotations": [], "logprobs": []}],
    },
    "text parts of a developer": {"role": "developer", "content": [{"type": "input_text", "text": "Be brief."}]},
    "a refusal": {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
    "reasoning": {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}]},
    "reasoning with content": {
        "type": "reasoning",
        "id": "rs_2",
        "summary": [],
        "content": [{"type": "reasoning_text", "text": "hm"}],
        "encrypted_content": None,
    },
}


@pytest.mark.requirement("replay-shapes")
@pytest.mark.parametrize("item", REPLAYED.values(), ids=REPLAYED)
async def test_an_item_may_come_back_in_any_shape(gateway, item):
    async with gateway() as running:
        response = await respond(running, asks([item, {"role": "user", "content": "hi"}]))
    assert response["output"][0]["content"][0]["text"] == HELLO


@pytest.mark.requirement("replay-shapes")
@pytest.mark.parametrize("output", ["cold", [{"type": "input_text", "text": "cold"}]], ids=["text", "parts"])
async def test_parallel_calls_come_back_with_their_outputs_behind_them(gateway, output):
    calls = [
        {"type": "function_call", "call_id": f"call_{city}", "name": "weather", "arguments": f'{{"city": "{city}"}}'}
        for city in ("Oslo", "Bergen")
    ]
    outputs = [{"type": "function_call_output", "call_id": call["call_id"], "output": output} for call in calls]
    async with gateway() as running:
        history = [{"role": "user", "content": "weather?"}, *calls, *outputs]
        response = await respond(running, asks(history, tools=[WEATHER]))
    assert response["output"][0]["content"][0]["text"] == "It is cold and cold."


@pytest.mark.requirement("item-reference")
@pytest.mark.parametrize("typed", [True, False])
async def test_an_item_may_be_named_instead_of_sent(gateway, clock, typed):
    async with gateway(
        [said("one")], [called("clock__now", "{}")], [said("noon")], [said("two")], servers=clock
    ) as running:
        kind = {"type": "item_reference"} if typed else {}
        first = await respond(running, asks("hi"))
        timed = await respond(running, {**asks("time?"), "model": "keeper"})
        items = [{"id": item["id"], **kind} for item in [*first["output"], *timed["output"]]]
        await respond(running, asks([*items, {"role": "user", "content": "and?"}]))
        seen = [item.kind for item in running.provider.calls[-1].items]
        refused = await running.http.post("/v1/responses", json=asks([{"type": "item_reference", "id": "msg_none"}]))
    assert seen == ["message", "message", "tool_call", "tool_result", "message", "message"]
    assert (refused.status_code, error_of(refused)["param"]) == (404, "input")


@pytest.mark.requirement("instructions-once")
async def test_instructions_are_not_inherited(gateway):
    async with gateway() as running:
        first = await respond(running, asks("hi", instructions="Be brief."))
        second = await respond(running, asks("again", previous_response_id=first["id"]))
        seen = [getattr(item, "text", "") for item in running.provider.calls[-1].items]
    assert second["instructions"] is None
    assert "Be brief." not in seen


@pytest.mark.requirement("one-parent")
async def test_a_response_continues_a_response_or_a_conversation_but_not_both(gateway):
    async with gateway() as running:
        body = asks("hi", previous_response_id="resp_1", conversation="conv_1")
        answer = await running.http.post("/v1/responses", json=body)
    assert (answer.status_code, error_of(answer)["param"]) == (400, "previous_response_id")


@pytest.mark.requirement("conversation-locked")
async def test_a_busy_conversation_is_openais_error_for_who_asks_for_it(gateway):
    gate = asyncio.Event()
    async with gateway([said("one"), gate], [said("two")]) as running:
        conversation = (await running.openai.conversations.create()).id
        body = asks("hi", conversation=conversation)
        async with running.http.stream("POST", "/v1/responses", json={**body, "stream": True}) as first:
            await anext(first.aiter_lines())
            headers = {"x-homeport-when-busy": "reject"}
            refused = await running.http.post("/v1/responses", json=body, headers=headers)
            gate.set()
    error = error_of(refused)
    assert (refused.status_code, error["code"]) == (400, "conversation_locked")
    assert error["message"] == (
        "Another process is currently operating on this conversation. Please retry in a few seconds."
    )


@pytest.mark.requirement("pages")
async def test_pages_are_20_newest_first_and_honour_after_before_limit_and_order(gateway):
    async with gateway() as running:
        items = [{"role": "user", "content": f"line {number}"} for number in range(20)]
        conversation = (await running.openai.conversations.create(items=items)).id
        await running.openai.conversations.items.create(conversation, items=items[:5])
        url = f"/v1/conversations/{conversation}/items"
        page = (await running.http.get(url)).json()
        rest = (await running.http.get(url, params={"after": page["last_id"]})).json()
        back = (await running.http.get(url, params={"before": rest["first_id"]})).json()
        oldest = (await running.http.get(url, params={"order": "asc", "limit": 1})).json()
        none = (await running.http.get(url, params={"after": rest["last_id"]})).json()
        listed = running.openai.conversations.items.list(conversation, limit=3)
        everything = [item.id async for item in listed]
    assert (len(page["data"]), page["has_more"], len(rest["data"]), rest["has_more"]) == (20, True, 5, False)
    assert (page["first_id"], page["last_id"]) == (page["data"][0]["id"], page["data"][-1]["id"])
    assert (back["data"], back["has_more"]) == (page["data"], False)
    assert oldest["data"][0]["id"] == rest["last_id"]
    assert (none["data"], none["has_more"]) == ([], False)
    assert everything == [item["id"] for item in [*page["data"], *rest["data"]]]


@pytest.mark.requirement("chat-usage-chunk")
async def test_usage_comes_in_one_last_chunk_without_choices_where_it_is_asked_for(gateway):
    async with gateway() as running:
        asked = await chunks(running, chats("hi", stream_options={"include_usage": True}))
        plain = await chunks(running, chats("hi"))
    assert (asked[-1]["choices"], asked[-1]["usage"]["total_tokens"]) == ([], 15)
    assert all(chunk["usage"] is None for chunk in asked[:-1])
    assert all(chunk["choices"] and "usage" not in chunk for chunk in plain)
    assert len({chunk["id"] for chunk in asked}) == 1
    assert asked[0]["choices"][0]["delta"]["role"] == "assistant"
    finished = [chunk["choices"][0]["finish_reason"] for chunk in plain]
    assert finished == [None] * (len(plain) - 1) + ["stop"]


@pytest.mark.requirement("chat-call-index")
async def test_parallel_calls_of_a_stream_have_an_index_each(gateway):
    async with gateway() as running:
        seen = await chunks(running, chats("weather in both?", tools=[CHAT_WEATHER]))
    deltas = [call for chunk in seen for call in chunk["choices"][0]["delta"].get("tool_calls", ())]
    assert {call["index"] for call in deltas} == {0, 1}
    opening = [call for call in deltas if "id" in call]
    assert [(call["index"], call["type"], call["function"]["name"]) for call in opening] == [
        (0, "function", "weather"),
        (1, "function", "weather"),
    ]
    assert seen[-1]["choices"][0]["finish_reason"] == "tool_calls"


@pytest.mark.requirement("no-second-run")
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses"])
async def test_sdks_do_not_repeat_what_has_called_a_tool(gateway, clock, path):
    """They repeat a POST after 409, 429 and 5xx unless they are told not to, and the tool would run again."""
    async with gateway([called("clock__now", "{}")], ProviderRateLimited(), servers=clock) as running:
        body = {**(chats("time?") if "chat" in path else asks("time?")), "model": "keeper"}
        answer = await running.http.post(path, json=body)
    assert answer.status_code == 200 or answer.headers["x-should-retry"] == "false"


@pytest.mark.requirement("unknown-model")
async def test_an_unknown_model_is_404_model_not_found(gateway):
    async with gateway() as running:
        for create in (
            running.openai.responses.create(model="nobody", input="hi"),
            running.openai.chat.completions.create(model="nobody", messages=[{"role": "user", "content": "hi"}]),
            running.openai.models.retrieve("vendor/nobody"),
        ):
            with pytest.raises(openai.NotFoundError) as refused:
                await create
            assert (refused.value.code, refused.value.param) == ("model_not_found", "model")
