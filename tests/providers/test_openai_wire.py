"""Lane 1 against a server: what it sends, and how it reads the ways in which vendors differ."""

import json

import pytest

from gateway.events import (
    ArgumentsDelta,
    ItemDone,
    ItemStarted,
    ReasoningDelta,
    RefusalDelta,
    StepDone,
    TextDelta,
    Usage,
)
from gateway.items import File, Image, Message, Reasoning, Refusal, Text, ToolCall, ToolResult
from gateway.ports import ToolSpec
from tests.providers.conftest import SEARCH, ask, user
from tests.providers.replay import Answer, Upstream

pytestmark = pytest.mark.anyio


def sse(*chunks: dict | str, done: bool = True) -> bytes:
    lines = [chunk if isinstance(chunk, str) else json.dumps(chunk) for chunk in chunks]
    return "".join(f"data: {line}\n\n" for line in [*lines, *(["[DONE]"] if done else [])]).encode()


def delta(finish: str | None = None, **delta: object) -> dict:
    return {"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def fragment(index: int | None = None, id: str | None = None, name: str | None = None, arguments: str | None = None):
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    whole = {"index": index, "id": id, "function": function}
    return {key: value for key, value in whole.items() if value is not None}


async def reply(asking, *chunks, call=None, **settings):
    async with Upstream(Answer(sse(*chunks))) as upstream, asking(upstream.url, **settings) as router:
        return await router(call)


async def sent(asking, call, **settings):
    async with Upstream(Answer(sse(delta(content="ok"), delta("stop")))) as upstream:
        async with asking(upstream.url, **settings) as router:
            await router(call)
        return upstream.requests[0]


async def test_text_comes_as_started_deltas_done_and_step(asking):
    usage = {
        "prompt_tokens": 9,
        "completion_tokens": 7,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 5},
    }
    asked = await reply(
        asking, delta(role="assistant", content=""), delta(content="Hel"), delta(content="lo"), delta("stop"),
        {"choices": [], "usage": usage},
    )  # fmt: skip
    match asked.events:
        case [
            ItemStarted(item=Message(content=())),
            TextDelta(text="Hel"),
            TextDelta(text="lo"),
            ItemDone(),
            StepDone(),
        ]:
            assert asked.items[0].text == "Hello"
        case other:
            pytest.fail(str(other))
    assert asked.step == StepDone(
        model="x/m",
        finish="stop",
        usage=Usage(input_tokens=9, cached_tokens=4, output_tokens=7, reasoning_tokens=5),
    )


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
async def test_reasoning_is_an_item_before_the_text(asking, field):
    asked = await reply(asking, delta(**{field: "Hm"}), delta(**{field: "m."}), delta(content="Yes."), delta("stop"))
    thought, answer = asked.items
    assert (thought.kind, thought.text, answer.text) == ("reasoning", "Hmm.", "Yes.")
    assert [event.text for event in asked.events if isinstance(event, ReasoningDelta)] == ["Hm", "m."]


async def test_reasoning_as_parts_of_the_content_is_told_from_text(asking):
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}
    asked = await reply(
        asking, delta(content=[thinking]), delta(content=[{"type": "text", "text": "Yes."}]), delta("stop")
    )
    assert [item.text for item in asked.items] == ["Hm.", "Yes."]


async def test_a_refusal_is_a_part_of_its_own(asking):
    asked = await reply(asking, delta(refusal="I will "), delta(refusal="not."), delta("stop"))
    assert asked.items[0].content == (Refusal(text="I will not."),)
    assert [event.text for event in asked.events if isinstance(event, RefusalDelta)] == ["I will ", "not."]


FRAGMENTS = {
    "as OpenAI sends them": [
        [fragment(0, "call_a", "search", "")],
        [fragment(0, arguments='{"query":')],
        [fragment(0, arguments='"a"}')],
        [fragment(1, "call_b", "search", "")],
        [fragment(1, arguments='{"query":"b"}')],
    ],
    "interleaved": [
        [fragment(0, "call_a", "search"), fragment(1, "call_b", "search")],
        [fragment(0, arguments='{"query":')],
        [fragment(1, arguments='{"query":"b"}')],
        [fragment(0, arguments='"a"}')],
    ],
    "without index, whole": [
        [fragment(None, "call_a", "search", '{"query":"a"}'), fragment(None, "call_b", "search", '{"query":"b"}')]
    ],
    "without index, in pieces": [
        [fragment(None, "call_a", "search")],
        [fragment(None, arguments='{"query":')],
        [fragment(None, arguments='"a"}')],
        [fragment(None, "call_b", "search", '{"query":"b"}')],
    ],
    "always index 0": [
        [fragment(0, "call_a", "search", '{"query":"a"}')],
        [fragment(0, "call_b", "search", '{"query":"b"}')],
    ],
    "id first, name later": [
        [fragment(0, "call_a")],
        [fragment(0, name="search")],
        [fragment(0, arguments='{"query":"a"}')],
        [fragment(1, "call_b", "search", '{"query":"b"}')],
    ],
    "name and id repeated": [
        [fragment(0, "call_a", "search", '{"query":')],
        [fragment(0, "call_a", "search", '"a"}')],
        [fragment(1, "call_b", "search", '{"query":"b"}')],
    ],
}


@pytest.mark.parametrize("fragments", FRAGMENTS.values(), ids=FRAGMENTS)
async def test_two_tool_calls_are_put_together(asking, fragments):
    chunks = [delta(tool_calls=calls) for calls in fragments]
    asked = await reply(asking, *chunks, delta("tool_calls"), call=ask(tools=(SEARCH,)))
    assert [(call.call_id, call.name, call.arguments) for call in asked.items] == [
        ("call_a", "search", '{"query":"a"}'),
        ("call_b", "search", '{"query":"b"}'),
    ]
    for call in asked.items:
        pieces = [e.text for e in asked.events if isinstance(e, ArgumentsDelta) and e.item_id == call.id]
        assert "".join(pieces) == call.arguments
    assert asked.step.finish == "tool_calls"


async def test_text_before_a_tool_call_is_an_item_before_it(asking):
    asked = await reply(
        asking, delta(content="Let me see."), delta(tool_calls=[fragment(0, "a", "search", "{}")]), delta("stop")
    )
    assert [item.kind for item in asked.items] == ["message", "tool_call"]
    assert asked.step.finish == "tool_calls"


A, B = fragment(0, "a", "search", "{}"), fragment(1, "b", "search", "{}")


@pytest.mark.parametrize(
    "chunks",
    [
        [{"tool_calls": [A]}, {"content": "I called it."}],
        [{"tool_calls": [A]}, {"content": "One."}, {"tool_calls": [B]}, {"content": "Two."}],
        [{"tool_calls": [A]}, {"reasoning_content": "Hm."}, {"content": "One."}],
        [{"content": "One."}, {"tool_calls": [fragment(0, "a", "search")]}, {"tool_calls": [B]}, {"content": "Two."}],
    ],
)
async def test_items_are_done_in_the_order_in_which_they_were_started(asking, chunks):
    asked = await reply(asking, *(delta(**chunk) for chunk in chunks), delta("tool_calls"))
    started = [event.item.id for event in asked.events if isinstance(event, ItemStarted)]
    assert [item.id for item in asked.items] == started
    assert len(started) >= len(chunks)


async def test_a_call_without_arguments_has_an_empty_object(asking):
    asked = await reply(asking, delta(tool_calls=[fragment(0, "a", "now", "")]), delta("tool_calls"))
    assert asked.items[0].arguments == "{}"


async def test_ids_that_repeat_are_made_unique(asking):
    earlier = (
        ToolCall(id="fc", call_id="call_0", name="search", arguments="{}"),
        ToolResult(id="fco", call_id="call_0", content=()),
    )
    calls = [fragment(0, "call_0", "search", "{}"), fragment(1, "call_0", "search", "{}")]
    asked = await reply(asking, delta(tool_calls=calls), delta("tool_calls"), call=ask(user("Hi."), *earlier))
    ids = {call.call_id for call in asked.items}
    assert len(ids) == 2
    assert "call_0" not in ids


async def test_an_id_too_long_for_clients_is_kept_for_the_vendor_only(asking):
    long = "call_" + "x" * 1500
    asked = await reply(asking, delta(tool_calls=[fragment(0, long, "search", "{}")]), delta("tool_calls"))
    (call,) = asked.items
    assert len(call.call_id) <= 64
    result = ToolResult(id="fco", call_id=call.call_id, content=(Text(text="found"),))
    request = await sent(asking, ask(user("Hi."), call, result))
    assert request.body["messages"][1]["tool_calls"][0]["id"] == long
    assert request.body["messages"][2]["tool_call_id"] == long


async def test_the_vendors_own_tools_are_not_calls(asking):
    calls = [fragment(0, "srvtoolu_1", "web_search", "{}")]
    asked = await reply(asking, delta(tool_calls=calls), delta(content="It rains."), delta("stop"))
    assert [item.kind for item in asked.items] == ["message"]


@pytest.mark.parametrize(
    ("reason", "finish"), [("length", "length"), ("model_length", "length"), ("content_filter",) * 2]
)
async def test_an_answer_that_was_cut_off_is_not_complete(asking, reason, finish):
    asked = await reply(asking, delta(content="Once"), delta(reason))
    assert (asked.items[0].complete, asked.step.finish) == (False, finish)


async def test_an_empty_answer_counts_where_a_stop_sequence_may_have_ended_it(asking):
    asked = await reply(asking, delta("stop"), call=ask(stop=["\n"]))
    assert (asked.items[0].text, asked.step.finish) == ("", "stop")


async def test_a_server_that_does_not_stream_is_read_all_the_same(asking):
    message = {"role": "assistant", "content": "Hello", "tool_calls": [fragment(None, "a", "search", "{}")]}
    body = json.dumps({"choices": [{"message": message, "finish_reason": "tool_calls"}]}).encode()
    async with Upstream(Answer(body, content_type="application/json")) as upstream, asking(upstream.url) as router:
        asked = await router()
    assert [item.kind for item in asked.items] == ["message", "tool_call"]


async def test_a_stream_that_says_it_is_json_is_read_as_a_stream(asking):
    answer = Answer(sse(delta(content="Hello"), delta("stop")), content_type="application/json")
    async with Upstream(answer) as upstream, asking(upstream.url) as router:
        assert (await router()).items[0].text == "Hello"


async def test_the_request_is_a_stream_with_usage_and_the_key(asking):
    request = await sent(asking, ask(), headers={"X-Team": "docs"}, extra={"cache_prompt": True})
    assert request.path == "/chat/completions"
    assert request.headers["authorization"] == "Bearer sk-secret-1"
    assert request.headers["x-team"] == "docs"
    assert request.headers["accept-encoding"] == "identity"
    assert request.body == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi."}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "cache_prompt": True,
    }


async def test_options_take_the_vendors_names_and_nothing_else_goes_out(asking):
    form = {"type": "json_schema", "name": "city", "schema": {"type": "object"}, "strict": True}
    options = {
        "temperature": 0, "max_output_tokens": 9, "seed": 1, "reasoning_effort": "low", "parallel_tool_calls": False,
        "tool_choice": {"name": "search"}, "response_format": form, "api_base": "http://elsewhere",
    }  # fmt: skip
    body = (await sent(asking, ask(tools=(SEARCH,), **options), litellm_provider="openai")).body
    assert body["max_completion_tokens"] == 9
    assert body["tool_choice"] == {"type": "function", "function": {"name": "search"}}
    schema = {"name": "city", "schema": {"type": "object"}, "strict": True}
    assert body["response_format"] == {"type": "json_schema", "json_schema": schema}
    assert body["tools"] == [
        {
            "type": "function",
            "function": {"name": "search", "description": SEARCH.description, "parameters": SEARCH.schema},
        }
    ]
    assert "api_base" not in body
    mistral = (await sent(asking, ask(seed=1, max_output_tokens=9), litellm_provider="mistral")).body
    assert (mistral["random_seed"], mistral["max_tokens"]) == (1, 9)
    assert "stream_options" not in mistral


async def test_tool_options_are_left_out_where_there_are_no_tools(asking):
    body = (await sent(asking, ask(tool_choice="auto", parallel_tool_calls=True))).body
    assert {"tools", "tool_choice", "parallel_tool_calls"}.isdisjoint(body)


async def test_a_step_is_one_message_and_its_results_stand_behind_it(asking):
    first = ToolCall(id="fc_1", call_id="a", name="search", arguments='{"query":"a"}')
    second = ToolCall(id="fc_2", call_id="b", name="search", arguments="")
    request = await sent(
        asking,
        ask(
            Message(id="m0", role="developer", content=(Text(text="Be kind."),)),
            user("Hi."),
            Message(id="m1", role="assistant", content=(Text(text="I look."),)),
            first,
            second,
            user("And hurry."),
            ToolResult(id="o1", call_id="b", content=(Text(text="B"),)),
            ToolResult(id="o2", call_id="a", content=(Text(text="A"), Image(url="https://e.com/i.png"))),
        ),
    )
    system, hello, step, result_a, result_b, hurry = request.body["messages"]
    assert system == {"role": "system", "content": "Be kind."}
    assert (hello["content"], hurry["content"]) == ("Hi.", "And hurry.")
    assert step["content"] == "I look."
    assert [call["function"]["arguments"] for call in step["tool_calls"]] == ['{"query":"a"}', "{}"]
    assert (result_a["tool_call_id"], result_b["tool_call_id"]) == ("a", "b")
    assert result_a["content"].startswith("A\n[an image")
    assert set(step["tool_calls"][0]) == {"id", "type", "function"}


async def test_images_and_files_are_parts(asking):
    parts = (
        Text(text="See:"),
        Image(url="data:image/png;base64,AA==", detail="low"),
        File(name="a.pdf", data="data:application/pdf;base64,AA=="),
    )
    request = await sent(asking, ask(Message(id="m", role="user", content=parts)))
    assert request.body["messages"][0]["content"] == [
        {"type": "text", "text": "See:"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="}},
    ]


async def test_reasoning_goes_back_to_its_own_provider_and_to_no_other(asking):
    details = [{"type": "reasoning.encrypted", "data": "opaque"}]
    asked = await reply(asking, delta(reasoning="Hm.", reasoning_details=details), delta(content="Yes."), delta("stop"))
    thought, answer = asked.items
    history = (user("Hi."), thought, answer, user("Sure?"))
    again = (await sent(asking, ask(*history))).body["messages"][1]
    assert (again["reasoning_details"], again["content"]) == (details, "Yes.")
    other = (await sent(asking, ask(*history, model="y/m"), name="y")).body["messages"][1]
    assert set(other) == {"role", "content"}


async def test_unsigned_reasoning_goes_back_only_within_its_turn(asking):
    thought = Reasoning(id="rs", text="Hm.", state={"provider": "x", "field": "reasoning_content"})
    call = ToolCall(id="fc", call_id="a", name="search", arguments="{}")
    result = ToolResult(id="o", call_id="a", content=(Text(text="A"),))
    within = (await sent(asking, ask(user("Hi."), thought, call, result))).body["messages"][1]
    assert within["reasoning_content"] == "Hm."
    later = (await sent(asking, ask(user("Hi."), thought, call, result, user("And?")))).body["messages"][1]
    assert "reasoning_content" not in later


async def test_mistral_gets_ids_of_the_length_it_insists_on(asking):
    call = ToolCall(id="fc", call_id="call_of_another_vendor", name="search", arguments="{}")
    result = ToolResult(id="o", call_id=call.call_id, content=(Text(text="A"),))
    request = await sent(asking, ask(user("Hi."), call, result), litellm_provider="mistral")
    _, step, answer = request.body["messages"]
    assert step["tool_calls"][0]["id"] == answer["tool_call_id"]
    assert len(answer["tool_call_id"]) == 9


async def test_a_tool_keeps_its_strictness(asking):
    strict = ToolSpec(name="now", description="", schema={"type": "object"}, strict=True)
    body = (await sent(asking, ask(tools=(strict, SEARCH)))).body
    assert [tool["function"].get("strict") for tool in body["tools"]] == [True, None]
