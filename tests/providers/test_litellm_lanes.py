"""What lanes 2 and 3 add to LiteLLM and guard against in it, on the wires of Anthropic, Gemini and OpenAI."""

import asyncio
import json
from dataclasses import replace

import pytest

from gateway.errors import ProviderError, ProviderRefused
from gateway.items import File, Image, Message, Reasoning, Text, ToolCall, ToolResult
from gateway.providers.settings import Limits
from tests.providers.conftest import SEARCH, ask, user
from tests.providers.replay import Answer, Upstream
from tests.providers.wires import GEMINI, LEGS, OPENAI

pytestmark = pytest.mark.anyio

ANTHROPIC = LEGS[1]
BOTH_ANTHROPIC = pytest.mark.parametrize("leg", LEGS[1:3], ids=["transformed", "litellm"])

THINKING = [
    {"type": "message_start", "message": {"id": "m", "role": "assistant", "content": [], "usage": {"input_tokens": 3}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "I must "}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "search."}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "proof"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "redacted_thinking", "data": "sealed"}},
    {"type": "content_block_stop", "index": 1},
    {"type": "content_block_start", "index": 2, "content_block": {"type": "server_tool_use", "id": "srvtoolu_1",
     "name": "web_search", "input": {}}},
    {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": "{}"}},
    {"type": "content_block_stop", "index": 2},
    {"type": "content_block_start", "index": 3, "content_block": {"type": "tool_use", "id": "toolu_1", "name": "search",
     "input": {}}},
    {"type": "content_block_delta", "index": 3, "delta": {"type": "input_json_delta", "partial_json": '{"query":'}},
    {"type": "content_block_delta", "index": 3, "delta": {"type": "input_json_delta", "partial_json": '"a"}'}},
    {"type": "content_block_stop", "index": 3},
    {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 9,
     "cache_read_input_tokens": 2, "cache_creation_input_tokens": 4}},
    {"type": "message_stop"},
]  # fmt: skip


def sse(events) -> Answer:
    return Answer("".join(f"data: {json.dumps(event)}\n\n" for event in events).encode())


async def reply(asking, leg, answer, call=None):
    async with Upstream(answer) as upstream, asking(upstream.url, **leg.settings) as router:
        return await router(call), upstream.requests


@pytest.mark.parametrize("leg", LEGS, ids=[f"{leg.lane}-{leg.vendor}" for leg in LEGS])
async def test_images_and_documents_reach_every_vendor(asking, leg):
    image, document = "iVBORw0KGgo=", "JVBERi0xLjQ="
    parts = (
        Text(text="See:"),
        Image(url=f"data:image/png;base64,{image}", detail="original"),
        File(name="a.pdf", data=f"data:application/pdf;base64,{document}"),
    )
    model = {"gemini": "x/gemini-2.5-flash", "anthropic": "x/claude-sonnet-4-5"}.get(leg.vendor, "x/gpt-4o")
    call = ask(Message(id="m", role="user", content=parts), model=model)
    asked, (request,) = await reply(asking, leg, Answer(leg.whole), call)
    sent = json.dumps(request.body)
    assert image in sent and document in sent
    assert ("original" in sent) is (leg.lane == "responses")
    assert asked.items[-1].text == "Hello."


@BOTH_ANTHROPIC
async def test_signed_thoughts_and_calls_come_in_and_go_back_unchanged(asking, leg):
    call = ask(user("Find a."), tools=(SEARCH,), reasoning_effort="low", model="x/claude-sonnet-4-5")
    asked, _ = await reply(asking, leg, sse(THINKING), call)
    thought, search = asked.items
    assert (thought.text, search.call_id, search.arguments) == ("I must search.", "toolu_1", '{"query":"a"}')
    assert asked.step.finish == "tool_calls"
    usage = asked.step.usage
    assert (usage.input_tokens, usage.cached_tokens, usage.cache_write_tokens, usage.output_tokens) == (9, 2, 4, 9)

    result = ToolResult(id="o", call_id="toolu_1", content=(Text(text="A"), Image(url="data:image/png;base64,AA==")))
    _, (request,) = await reply(
        asking,
        leg,
        Answer(leg.whole),
        ask(user("Find a."), thought, search, result, tools=(SEARCH,), model=call.models[0]),
    )
    _, step, answer = request.body["messages"]
    assert step["content"] == [
        {"type": "thinking", "thinking": "I must search.", "signature": "proof"},
        {"type": "redacted_thinking", "data": "sealed"},
        {"type": "tool_use", "id": "toolu_1", "name": "search", "input": {"query": "a"}},
    ]
    (content,) = answer["content"]
    assert (content["type"], content["tool_use_id"]) == ("tool_result", "toolu_1")
    assert [part["type"] for part in content["content"]] == ["text", "image"]


@BOTH_ANTHROPIC
async def test_anthropic_is_asked_in_its_own_words(asking, leg):
    system = Message(id="s", role="system", content=(Text(text="Be kind."),))
    call = ask(
        system,
        user("Hi."),
        tools=(SEARCH,),
        tool_choice="required",
        stop=["END"],
        user="u",
        model="x/claude-sonnet-4-5",
    )
    _, (request,) = await reply(asking, leg, Answer(leg.whole), call)
    body = request.body
    assert (request.path, request.headers["x-api-key"]) == ("/v1/messages", "sk-secret-1")
    assert (body["model"], body["stream"], body["tool_choice"]["type"]) == ("claude-sonnet-4-5", True, "any")
    assert (body["system"][0]["text"], body["stop_sequences"]) == ("Be kind.", ["END"])
    assert body["tools"][0]["input_schema"] == SEARCH.schema
    assert body["max_tokens"] > 0
    assert len(request.body["messages"]) == 1


@BOTH_ANTHROPIC
@pytest.mark.parametrize("option", [{"logprobs": True}, {"presence_penalty": 0.5}, {"frequency_penalty": 1}])
async def test_what_a_vendor_cannot_honour_is_refused_and_not_forgotten(asking, leg, option):
    async with Upstream(Answer(leg.whole)) as upstream, asking(upstream.url, **leg.settings) as router:
        with pytest.raises(ProviderRefused) as caught:
            await router(ask(**option))
    assert (caught.value.param, upstream.requests) == (next(iter(option)), [])


@BOTH_ANTHROPIC
async def test_options_without_consequence_are_left_out(asking, leg):
    call = ask(presence_penalty=0, seed=7, parallel_tool_calls=True, logprobs=False, model="x/claude-sonnet-4-5")
    _, (request,) = await reply(asking, leg, Answer(leg.whole), call)
    assert {"seed", "presence_penalty", "logprobs"}.isdisjoint(request.body)


@pytest.mark.parametrize(
    ("reason", "finish"),
    [("max_tokens", "length"), ("model_context_window_exceeded", "length"), ("refusal", "content_filter")],
)
async def test_anthropics_reason_is_read_where_litellm_says_stop(asking, reason, finish):
    answer = Answer(ANTHROPIC.whole.replace(b'"end_turn"', f'"{reason}"'.encode()))
    asked, _ = await reply(asking, ANTHROPIC, answer)
    assert (asked.step.finish, asked.items[0].complete) == (finish, False)


async def test_a_whole_answer_is_asked_for_when_nobody_watches(asking):
    body = {
        "id": "m", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
        "content": [{"type": "text", "text": "Hello."}], "usage": {"input_tokens": 3, "output_tokens": 2},
    }  # fmt: skip
    answer = Answer(json.dumps(body).encode(), content_type="application/json")
    call = ask()
    asked, (request,) = await reply(
        asking, ANTHROPIC, answer, type(call)(models=call.models, items=call.items, live=False)
    )
    assert (asked.items[0].text, asked.step.usage.output_tokens) == ("Hello.", 2)
    assert "stream" not in request.body


async def test_litellm_does_not_retry_behind_our_back(asking):
    body = b'{"error": {"message": "busy", "code": "rate_limit_exceeded"}}'
    async with Upstream(Answer(body, 429, "application/json")) as upstream:
        async with asking(upstream.url, **LEGS[3].settings) as router:
            with pytest.raises(ProviderError):
                await router(ask(tools=(SEARCH,)))
    assert len(upstream.requests) == 1


async def test_a_table_of_equal_chunks_is_not_taken_for_a_loop(asking):
    first, _, last = OPENAI
    dashes = [{**first, "choices": [{"index": 0, "delta": {"content": "----"}, "finish_reason": None}]}] * 300
    asked, _ = await reply(asking, LEGS[3], sse([*dashes, last]))
    assert asked.items[0].text == "----" * 300


async def test_nothing_of_the_call_steers_litellm(asking):
    call = ask(api_base="http://127.0.0.1:9", mock_response="no", unknown_thing=1)
    _, (request,) = await reply(asking, LEGS[3], Answer(LEGS[3].whole), call)
    assert {"api_base", "mock_response", "unknown_thing"}.isdisjoint(request.body)


def gemini(*parts, finish=None):
    return {"candidates": [{"content": {"role": "model", "parts": list(parts)}, "index": 0, **(finish or {})}]}


STOP = {"finishReason": "STOP"}


def counted(said):
    usage = {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}
    return Answer(json.dumps({**said, "usageMetadata": usage}).encode(), content_type="application/json")


async def test_geminis_signature_goes_back_although_its_id_is_too_long(asking):
    call = {"functionCall": {"name": "search", "args": {"query": "a"}}, "thoughtSignature": "c2ln" * 300}
    asked, _ = await reply(asking, LEGS[4], sse([gemini(call, finish=STOP)]), ask(tools=(SEARCH,)))
    (search,) = asked.items
    assert len(search.call_id) <= 64
    result = ToolResult(id="o", call_id=search.call_id, content=(Text(text="A"),))
    _, (request,) = await reply(
        asking, LEGS[4], Answer(LEGS[4].whole), ask(user("Find a."), search, result, tools=(SEARCH,))
    )
    (part,) = request.body["contents"][1]["parts"]
    assert part["thoughtSignature"] == "c2ln" * 300


@pytest.mark.parametrize("reason", ["MALFORMED_FUNCTION_CALL", "OTHER", "UNEXPECTED_TOOL_CALL"])
async def test_geminis_failures_are_no_stop(asking, reason):
    async with Upstream(sse([*GEMINI[:2], gemini(finish={"finishReason": reason})])) as upstream:
        async with asking(upstream.url, **LEGS[4].settings) as router:
            with pytest.raises(ProviderError) as caught:
                await router()
    assert caught.value.code == "stream_broken_off"


async def test_geminis_filter_is_told(asking):
    asked, _ = await reply(asking, LEGS[4], sse([*GEMINI[:2], gemini(finish={"finishReason": "SAFETY"})]))
    assert asked.step.finish == "content_filter"


@pytest.mark.parametrize("live", [True, False])
async def test_geminis_call_without_arguments_is_read(asking, live):
    said = gemini({"functionCall": {"name": "now"}}, finish=STOP)
    answer = sse([said]) if live else counted(said)
    asked, _ = await reply(asking, LEGS[4], answer, replace(ask(), live=live))
    assert [(call.name, call.arguments) for call in asked.items] == [("now", "{}")]


async def test_what_litellm_cannot_read_is_no_refusal_of_the_vendor(asking):
    garbled = counted(gemini({"functionCall": {"args": {}}}, finish=STOP))
    good = counted(gemini({"text": "Hello."}, finish=STOP))
    async with Upstream(garbled, good) as upstream:
        async with asking(upstream.url, limits=Limits(retries=1), **LEGS[4].settings) as router:
            assert (await router(replace(ask(), live=False))).items[0].text == "Hello."
    assert len(upstream.requests) == 2


async def test_a_422_of_the_vendor_is_a_refusal(asking):
    refusal = Answer(b'{"error": {"message": "no", "status": "INVALID_ARGUMENT"}}', 422, "application/json")
    async with Upstream(refusal) as upstream, asking(upstream.url, **LEGS[4].settings) as router:
        with pytest.raises(ProviderRefused):
            await router(replace(ask(), live=False))


async def test_cohere_is_asked_for_the_whole_answer(asking):
    body = {
        "id": "c", "finish_reason": "COMPLETE", "usage": {"tokens": {"input_tokens": 3, "output_tokens": 2}},
        "message": {"role": "assistant", "content": [{"type": "text", "text": "Hello."}]},
    }  # fmt: skip
    answer = Answer(json.dumps(body).encode(), content_type="application/json")
    async with Upstream(answer) as upstream:
        async with asking(f"{upstream.url}/v2/chat", litellm_provider="cohere_chat") as router:
            asked = await router(ask(model="x/command-a-03-2025"))
    assert (asked.items[0].text, upstream.requests[0].body.get("stream")) == ("Hello.", False)


async def test_other_requests_run_on_while_litellm_is_used(asking):
    """A name that LiteLLM would look a tokenizer up for, in a stream that reports no usage."""
    async with Upstream(Answer(LEGS[3].whole)) as upstream, asking(upstream.url, **LEGS[3].settings) as router:
        async with asyncio.timeout(20):
            asked = await router(ask(model="x/meta-llama/Llama-3-8b"))
    assert asked.items[0].text == "Hello."


async def test_thoughts_of_another_provider_stay_away(asking):
    thought = Reasoning(id="rs", text="Hm.", state={"provider": "other", "thinking_blocks": [{"type": "thinking"}]})
    call = ToolCall(id="fc", call_id="a", name="search", arguments="{}")
    result = ToolResult(id="o", call_id="a", content=(Text(text="A"),))
    _, (request,) = await reply(asking, ANTHROPIC, Answer(ANTHROPIC.whole), ask(user("Hi."), thought, call, result))
    assert [part["type"] for part in request.body["messages"][1]["content"]] == ["tool_use"]
