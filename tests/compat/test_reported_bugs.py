"""What users of other drop-in servers reported as broken, each report with a test that would have caught it."""

import asyncio
import json

import pytest

from gateway.providers.settings import Limits, ProviderSettings
from tests.compat.model import HELLO, called, reply
from tests.compat.wire import CHAT_WEATHER, USAGE, WEATHER, asks, chats, chunks, events, of, respond, shape
from tests.upstream import frame, upstream

pytestmark = pytest.mark.anyio

SEARCH = {"type": "file_search", "vector_store_ids": ["help"]}


@pytest.mark.requirement("litellm-11204")
@pytest.mark.requirement("litellm-28587")
async def test_a_response_knows_the_one_before_at_once(gateway):
    async with gateway() as running:
        ids = [None]
        for line in ("one", "two", "three"):
            ids.append((await respond(running, asks(line, previous_response_id=ids[-1])))["id"])
        last = await respond(running, asks("what was before?", previous_response_id=ids[-1]))
    assert last["output"][0]["content"][0]["text"] == "You said: one, two, three"


@pytest.mark.requirement("litellm-15714")
async def test_a_response_is_a_response_and_not_a_completion(gateway):
    async with gateway() as running:
        response = await respond(running, asks("hi"))
    assert (response["object"], response["status"], response["output"][0]["status"]) == (
        "response",
        "completed",
        "completed",
    )
    assert response["text"] == {"format": {"type": "text"}, "verbosity": "medium"}
    assert response["top_p"] == 1.0


@pytest.mark.requirement("litellm-26167")
async def test_tools_over_several_turns_keep_their_calls_and_inputs(gateway):
    async with gateway() as running:
        body = {"tools": [WEATHER]}
        asked = await respond(running, asks("weather?", **body))
        for _ in range(2):
            outputs = [
                {"type": "function_call_output", "call_id": item["call_id"], "output": "cold"}
                for item in asked["output"]
            ]
            told = await respond(running, asks(outputs, previous_response_id=asked["id"], **body))
            assert told["output"][0]["content"][0]["text"] == "It is cold."
            asked = await respond(running, asks("weather again?", previous_response_id=told["id"], **body))
        kinds = [item.kind for item in running.provider.calls[-1].items]
    turn = ["message", "tool_call", "tool_result", "message"]
    assert kinds == ["message", *turn, *turn, "message"]
    assert asked["id"].startswith("resp_")


@pytest.mark.requirement("litellm-19125")
@pytest.mark.requirement("litellm-24445")
@pytest.mark.requirement("litellm-28899")
@pytest.mark.requirement("ogx-5309")
async def test_a_streamed_text_has_every_event_with_one_id_and_rising_numbers(gateway):
    async with gateway() as running:
        seen = await events(running, asks("hi"))
    kinds = [event["type"].removeprefix("response.") for event in seen]
    text = ["content_part.added", "output_text.delta", "output_text.delta", "output_text.done", "content_part.done"]
    assert kinds == ["created", "in_progress", "output_item.added", *text, "output_item.done", "completed"]
    (added,) = of(seen, "output_item.added")
    assert {event["item_id"] for event in seen if "item_id" in event} == {added["item"]["id"]}
    assert [event["sequence_number"] for event in seen] == list(range(len(seen)))
    assert of(seen, "output_text.done")[0]["text"] == HELLO
    assert shape(seen[-1]["response"]["usage"], USAGE)
    assert seen[-1]["response"]["text"]["format"] == {"type": "text"}


@pytest.mark.requirement("litellm-21331")
async def test_parallel_calls_are_apart_and_a_text_output_stays_a_text(gateway):
    async with gateway() as running:
        seen = await chunks(running, chats("weather in both?", tools=[CHAT_WEATHER]))
        asked = await respond(running, asks("weather?", tools=[WEATHER]))
        output = {"type": "function_call_output", "call_id": asked["output"][0]["call_id"], "output": "cold"}
        conversation = (await running.openai.conversations.create()).id
        await running.openai.conversations.items.create(conversation, items=[*asked["output"], output])
        kept = (await running.openai.conversations.items.list(conversation)).data[0]
    deltas = [call for chunk in seen for call in chunk["choices"][0]["delta"].get("tool_calls", ())]
    arguments = {index: "" for index in (0, 1)}
    for call in deltas:
        arguments[call["index"]] += call["function"].get("arguments", "")
    assert [json.loads(arguments[index])["city"] for index in (0, 1)] == ["Oslo", "Bergen"]
    assert kept.output == "cold"


@pytest.fixture
def broken_off(start_gateway, home):
    """A gateway whose provider says a word and then ends as `step` says."""
    (home / "agents" / "helper.yaml").write_text("name: helper\nmodel: fake/m\n")

    def start(provider):
        fake = ProviderSettings(name="fake", base_url=provider.url, api_key="k")
        return start_gateway(providers={"fake": fake}, limits=Limits(retries=0))

    return start


@pytest.mark.requirement("litellm-40243")
async def test_a_provider_that_breaks_off_is_a_failed_response_and_never_an_empty_success(broken_off):
    async with upstream({"text": "hello there", "cut": True}) as provider, broken_off(provider) as running:
        seen = await events(running, asks("hi"))
    assert seen[-1]["type"] == "response.failed"
    failed = seen[-1]["response"]
    assert (failed["status"], set(failed["error"])) == ("failed", {"code", "message"})
    assert failed["error"]["code"] == "server_error"
    assert not [event for event in seen if event["type"] in ("error", "response.completed")]


@pytest.mark.requirement("litellm-40243")
async def test_a_chat_stream_that_breaks_off_ends_with_an_error_that_sdks_raise(broken_off):
    async with upstream({"text": "hello there", "cut": True}) as provider, broken_off(provider) as running:
        body = chats("hi", stream=True)
        text = (await running.http.post("/v1/chat/completions", json=body)).text
    *_, last, rest = text.split("\n\n")
    assert rest == ""
    assert set(json.loads(last.removeprefix("data: "))["error"]) == {"message", "type", "param", "code"}


@pytest.mark.requirement("vllm-57998")
async def test_what_a_limit_cut_off_is_incomplete_item_and_response(broken_off):
    async with upstream({"text": "hello there"}) as provider:

        async def cut_off(step):
            yield frame({"delta": {"role": "assistant", "content": "hello"}, "finish_reason": None})
            yield frame({"delta": {}, "finish_reason": "length"})
            yield "data: [DONE]\n\n"

        provider.stream = cut_off
        async with broken_off(provider) as running:
            seen = await events(running, asks("hi"))
            stored = (await running.http.get(f"/v1/responses/{seen[-1]['response']['id']}")).json()
    assert seen[-1]["type"] == "response.incomplete"
    for response in (seen[-1]["response"], stored):
        assert (response["status"], response["output"][0]["status"]) == ("incomplete", "incomplete")
        assert response["incomplete_details"] == {"reason": "max_output_tokens"}
    assert of(seen, "output_item.done")[0]["item"]["status"] == "incomplete"


@pytest.mark.requirement("ogx-5611")
async def test_a_conversation_longer_than_a_page_is_listed_to_its_end(gateway):
    async with gateway() as running:
        lines = [{"role": "user", "content": f"line {number}"} for number in range(20)]
        conversation = (await running.openai.conversations.create(items=lines)).id
        for _ in range(3):
            await running.openai.responses.create(model="helper", input="hi", conversation=conversation)
        listed = [item.id async for item in running.openai.conversations.items.list(conversation)]
    assert len(listed) == len(set(listed)) == 26


@pytest.mark.requirement("ogx-3268")
@pytest.mark.parametrize("kind", ["mcp_call", "file_search_call", "function_call"])
async def test_a_turn_after_a_turn_with_a_tool_of_any_kind_is_no_error(gateway, clock, rag, kind):
    call, model, tools = {
        "mcp_call": (called("clock__now", "{}"), "keeper", []),
        "file_search_call": (called("rag__search", '{"query": "money"}'), "helper", [SEARCH]),
        "function_call": (called("weather", '{"city": "Oslo"}'), "helper", [WEATHER]),
    }[kind]
    async with gateway([call], *[reply] * 2, servers={**clock, **rag}) as running:
        body = {"model": model, "tools": tools}
        turn = await respond(running, {**body, "input": "?"})
        kinds = [item["type"] for item in turn["output"]]
        if kind == "function_call":
            output = {"type": "function_call_output", "call_id": turn["output"][0]["call_id"], "output": "cold"}
            turn = await respond(running, {**body, "input": [output], "previous_response_id": turn["id"]})
        after = await respond(running, {**body, "input": "hi", "previous_response_id": turn["id"]})
    assert kinds == ([kind] if kind == "function_call" else [kind, "message"])
    assert turn["output"][-1]["content"][0]["text"].startswith("It is ")
    assert after["output"][0]["content"][0]["text"] == HELLO


@pytest.mark.requirement("ogx-4949")
@pytest.mark.requirement("vllm-33089")
async def test_what_frameworks_send_back_is_read(gateway):
    """LangGraph's tool message, Codex's items without id and status, an assistant's text as parts."""
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": "weather?"}]},
        {"type": "reasoning", "summary": [], "encrypted_content": "x"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I look."}]},
        {"type": "function_call", "name": "weather", "arguments": "{}", "call_id": "call_1"},
        {
            "type": "function_call_output",
            "call_id": "call_1",
            "output": [{"type": "input_text", "text": "cold"}],
            "name": "weather",
        },
    ]
    async with gateway() as running:
        response = await respond(running, asks(items, tools=[WEATHER], include=["reasoning.encrypted_content"]))
    assert response["output"][0]["content"][0]["text"] == "It is cold."


@pytest.mark.requirement("vllm-38227")
async def test_ids_of_the_stream_are_those_of_the_end(gateway):
    async with gateway() as running:
        seen = await events(running, asks("think"))
    done = {event["output_index"]: event["item"]["id"] for event in of(seen, "output_item.done")}
    assert [done[index] for index in sorted(done)] == [item["id"] for item in seen[-1]["response"]["output"]]


@pytest.mark.requirement("bifrost-2441")
async def test_a_streamed_response_is_stored_and_can_be_continued(gateway):
    async with gateway() as running:
        seen = await events(running, asks("one"))
        went_on = await respond(running, asks("what was before?", previous_response_id=seen[-1]["response"]["id"]))
    assert seen[-1]["response"]["store"] is True
    assert went_on["output"][0]["content"][0]["text"] == "You said: one"


@pytest.mark.requirement("llama-22659")
@pytest.mark.parametrize("stream", [False, True])
async def test_usage_has_its_details_always(gateway, stream):
    async with gateway() as running:
        response = (await events(running, asks("hi")))[-1]["response"] if stream else await respond(running, asks("hi"))
    assert shape(response["usage"], USAGE)


@pytest.mark.requirement("open-webui-715")
async def test_items_with_ids_that_nobody_stored_are_taken_as_they_are(gateway):
    items = [
        {"type": "message", "id": "msg_elsewhere", "role": "assistant", "status": "completed", "content": [
            {"type": "output_text", "text": "yes", "annotations": [], "logprobs": []}
        ]},
        {"type": "reasoning", "id": "rs_elsewhere", "summary": []},
        {"role": "user", "content": "hi"},
    ]  # fmt: skip
    async with gateway() as running:
        response = await respond(running, asks(items))
        again = await asyncio.gather(*(respond(running, asks(items)) for _ in range(3)))
    assert {one["status"] for one in (response, *again)} == {"completed"}
