"""A provider may send any JSON anywhere: it is an answer, or an error that may be tried again or elsewhere."""

import copy
import json

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.errors import ProviderError
from gateway.events import ArgumentsDelta, ItemDone, ItemStarted, ReasoningDelta, RefusalDelta, StepDone, TextDelta
from gateway.items import dump, load
from gateway.providers.chat_body import chat_body
from gateway.providers.chat_chunks import ChunkDecoder
from gateway.providers.settings import Limits, ProviderSettings
from gateway.providers.sse import LONGEST_EVENT
from gateway.providers.vendor_errors import from_response
from gateway.providers.vendors import VENDORS
from tests.providers.conftest import ask
from tests.providers.replay import Answer, Upstream
from tests.providers.wires import ANTHROPIC, LEGS

pytestmark = pytest.mark.anyio

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
)
JSON = st.recursive(
    LEAVES | st.sampled_from(["stop", "tool_calls", "error", "²", "9" * 5000]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
CALL = {"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}, "extra_content": {"google": "x"}}
CHUNKS = [
    {"choices": [{"delta": {"content": "Hel", "reasoning_content": "Hm.", "refusal": "No."}}]},
    {"choices": [{"delta": {"reasoning": "Hm.", "thinking_blocks": [{"type": "thinking", "thinking": "Hm."}]}}]},
    {"choices": [{"delta": {"reasoning_details": [{"type": "x", "text": "a"}, {"type": "x", "text": "b"}]}}]},
    {"choices": [{"delta": {"content": [{"type": "thinking", "thinking": [{"text": "Hm."}]}, {"text": "lo."}]}}]},
    {"choices": [{"delta": {"content": "!", "annotations": [{"type": "url_citation"}]}}]},
    {"choices": [{"delta": {"content": "!"}}]},
    {"choices": [{"delta": {"tool_calls": [CALL, {**CALL, "index": 1}]}}]},
    {"choices": [{"delta": {}, "finish_reason": "stop"}]},
    {"error": {"message": "No.", "type": "server_error", "code": 500}},
    {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 6,
     "prompt_tokens_details": {"cached_tokens": 1}, "completion_tokens_details": {"reasoning_tokens": 3}}},
]  # fmt: skip


def places(value, path=()):
    yield path
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(inner, (*path, key))


def changed(value, path, new):
    if not path:
        return new
    value = copy.copy(value)
    value[path[0]] = changed(value[path[0]], path[1:], new)
    return value


ONCE_MORE = Limits(retries=1)
PLACES = [(number, path) for number, chunk in enumerate(CHUNKS) for path in places(chunk) if path]


MEGABYTE = "a" * 1024 * 1024
DEEP, NEARLY_DEEP = (orjson.loads(b"[" * depth + b"]" * depth) for depth in (300, 250))


@example([((6, ("choices", 0, "delta", "tool_calls", 0, "extra_content")), DEEP)])
@example([((6, ("choices", 0, "delta", "tool_calls", 0, "function", "arguments")), DEEP)])
@example([((6, ("choices", 0, "delta", "tool_calls", 0, "extra_content")), NEARLY_DEEP)])
@example([((4, ("choices", 0, "delta", "annotations", 0, "type")), DEEP)])
@example([((9, ("usage", "prompt_tokens")), 1e30)])
@example([((8, ("error", "code")), "9" * 5000)])
@settings(max_examples=600, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(PLACES), JSON), min_size=1, max_size=2, unique_by=lambda change: change[0][0])
)
def test_any_value_anywhere_in_a_chunk_is_read_or_is_a_providers_error(changes):
    chunks = list(CHUNKS)
    for (number, path), value in changes:
        chunks[number] = changed(chunks[number], path, value)
    if not any(number == 8 for (number, _), _ in changes):
        del chunks[8]
    decoder, out = ChunkDecoder("x", "x/m", ()), []
    try:
        for chunk in chunks:
            decoder.feed(orjson.loads(json.dumps(chunk)), out)
        decoder.end(out)
    except ProviderError as error:
        str(error).encode()
    for event in out:
        match event:
            case TextDelta(text=text) | ReasoningDelta(text=text) | RefusalDelta(text=text) | ArgumentsDelta(text=text):
                assert isinstance(text, str)
            case ItemStarted(item=item) | ItemDone(item=item):
                assert load(dump(item)) == item
                if isinstance(event, ItemDone):
                    orjson.dumps(chat_body(ask(item), "m", "x", VENDORS["openai"], ()))
            case StepDone(usage=usage):
                assert usage is None or 0 <= usage.input_tokens + usage.output_tokens < 2**63


@pytest.mark.parametrize(
    "delta", [{"content": {"a": 1}}, {"tool_calls": {"a": 1}}, "text", [1], {"content": "Hi.", "refusal": 1}]
)
async def test_a_first_chunk_of_the_wrong_shape_is_tried_again_and_elsewhere(asking, delta):
    wrong = Answer(b"data: " + json.dumps({"choices": [{"delta": delta}]}).encode() + b"\n\n")
    good = Answer(LEGS[0].whole)
    async with Upstream(wrong, good) as upstream, asking(upstream.url, limits=ONCE_MORE) as router:
        assert (await router()).items[0].text == "Hello."
    async with Upstream(wrong) as upstream, Upstream(good) as other:
        there = ProviderSettings(name="y", base_url=other.url)
        async with asking(upstream.url, there) as router:
            assert (await router(ask(fallbacks=("y/m",)))).step.model == "y/m"
        async with asking(upstream.url) as router:
            with pytest.raises(ProviderError) as caught:
                await router()
    assert caught.value.code == "stream_garbled"


@pytest.mark.parametrize(
    "body", [{"choices": "x"}, {"choices": {"a": 1}}, {"choices": [7]}, {"choices": [{"message": [1]}]}]
)
async def test_a_whole_answer_of_the_wrong_shape_is_a_providers_error(asking, body):
    answer = Answer(json.dumps(body).encode(), content_type="application/json")
    async with Upstream(answer) as upstream, asking(upstream.url) as router:
        with pytest.raises(ProviderError) as caught:
            await router()
    assert caught.value.code == "stream_garbled"


VALUES = [None, True, 7, -1.5, "x", [], [1], {}, {"a": 1}]


@pytest.mark.parametrize("value", VALUES, ids=json.dumps)
async def test_any_value_in_an_event_of_anthropics_is_read_or_is_a_providers_error(asking, value):
    leg = LEGS[1]
    answers = []
    for number, event in enumerate(ANTHROPIC):
        for path in places(event):
            if path:
                events = [*ANTHROPIC[:number], changed(event, path, value), *ANTHROPIC[number + 1 :]]
                answers.append(Answer("".join(f"data: {json.dumps(event)}\n\n" for event in events).encode()))
    async with Upstream(*answers) as upstream, asking(upstream.url, **leg.settings) as router:
        for _ in answers:
            try:
                await router()
            except ProviderError:
                pass
        assert len(upstream.requests) == len(answers)


@settings(deadline=None)
@given(JSON, st.text(max_size=40), st.sampled_from([400, 429, 500]))
def test_any_error_is_read(body, date, status):
    assert isinstance(from_response("x", status, {"retry-after": date}, json.dumps(body).encode()), ProviderError)
    assert isinstance(from_response("x", status, {}, json.dumps({"error": body}).encode()), ProviderError)


@pytest.mark.parametrize(
    "date", ["Fri, 31 Dec 99999 23:59:59 GMT", "Fri, 31 Dec 0000 23:59:59 GMT", "99 Dec 2020", "1e400", "nan"]
)
def test_an_impossible_retry_after_is_none(date):
    assert from_response("x", 429, {"retry-after": date}, b"{}").retry_after in (None, 0.0)


LARGE = [
    {"content": MEGABYTE},
    {"reasoning_content": MEGABYTE},
    {"annotations": [{"a": MEGABYTE}]},
    {"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": MEGABYTE}}]},
    {"thinking_blocks": [{"type": "thinking", "thinking": MEGABYTE}]},
]


@pytest.mark.parametrize("said", LARGE, ids=lambda said: next(iter(said)))
def test_no_more_of_an_answer_is_kept_than_fits(said):
    decoder, out = ChunkDecoder("x", "x/m", ()), []
    with pytest.raises(ProviderError) as caught:
        for _ in range(65):
            decoder.feed({"choices": [{"delta": said}]}, out)
    assert (caught.value.code, caught.value.retryable) == ("answer_too_large", False)


@pytest.mark.parametrize("kind", ["text/event-stream", "application/json"])
async def test_an_event_without_an_end_is_given_up_and_not_asked_for_again(asking, kind):
    endless = Answer(b"data: " + b"a" * (LONGEST_EVENT + 1), content_type=kind)
    async with Upstream(endless) as upstream, asking(upstream.url, limits=ONCE_MORE) as router:
        with pytest.raises(ProviderError) as caught:
            await router()
    assert (caught.value.code, len(upstream.requests)) == ("answer_too_large", 1)
