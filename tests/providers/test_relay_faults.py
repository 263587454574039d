"""What goes wrong while a raw model is relayed: the failure is told as the gateway's own, and is never a "stop"."""

import pytest

from gateway.apis import _relay
from gateway.providers.settings import Limits
from tests.providers.relays import (
    ASK,
    ENDS,
    FIRST,
    SSE,
    STREAM,
    WHOLE,
    ask,
    error_of,
    refusal,
    said,
    whole,
)
from tests.providers.replay import Answer

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("body", [ASK, STREAM])
@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        (refusal(401), 502, "provider_authentication_failed"),
        (refusal(429, retry_after="40"), 429, "rate_limit_exceeded"),
        (refusal(429, "insufficient_quota"), 429, "insufficient_quota"),
        (refusal(400, "context_length_exceeded"), 400, "context_length_exceeded"),
        (refusal(500), 502, "provider_error"),
        (whole(b'{"error": {"message": "no sk-secret-1", "code": 503}}'), 503, "provider_overloaded"),
        (Answer(b"<html>no</html>", content_type="text/html"), 502, None),
        (whole(b'{"choices": []}'), 502, "stream_truncated"),
        (whole(b'{"choices": ["a"]}'), 502, "stream_garbled"),
        (whole(b'{"choices": "a"}'), 502, "stream_garbled"),
        (whole(b'{"choices": [{"finish_reason": "sk-secret-1"}]}'), 502, "stream_broken_off"),
        (whole(b'{"choices": [{"message": {}}]}'), 502, "stream_truncated"),
        (whole(b'{"choices": [{"message": {}, "finish_reason": "error"}]}'), 502, "stream_broken_off"),
        (Answer(WHOLE, cut=40, content_type="application/json"), 502, "provider_unreachable"),
    ],
)
async def test_an_early_failure_is_an_error_of_the_gateways(relaying, answer, status, code, body):
    async with relaying(answer) as (http, _):
        failed = await ask(http, body)
    error = failed.json()["error"]
    assert sorted(error) == ["code", "message", "param", "type"]
    assert (failed.status_code, "sk-secret-1" in failed.text) == (status, False)
    assert code is None or error["code"] == code
    assert failed.headers.get("retry-after") == answer.headers.get("retry-after")


async def test_a_stream_that_begins_with_an_error_is_that_error(relaying):
    event = b': hm\n\ndata: {"error": {"message": "no sk-secret-1", "code": 429}}\n\n'
    async with relaying(Answer(event)) as (http, _):
        answer = await ask(http, STREAM)
    assert (answer.status_code, answer.json()["error"]["message"]) == (429, "x answered 429: no [key]")


@pytest.mark.parametrize("piece", [1, 65536])
@pytest.mark.parametrize("event", [b"data: {not json}\n\n", b'data: ["a"]\n\n', b": hm\n\ndata: <html>\n\n"])
async def test_a_first_event_that_cannot_be_read_is_tried_again(relaying, event, piece):
    garbage = Answer(event + b"data: [DONE]\n\n", piece=piece)
    async with relaying(garbage, Answer(SSE), limits=Limits(retries=1)) as (http, upstream):
        answer = await ask(http, STREAM)
    assert (answer.status_code, said(answer), len(upstream.requests)) == (200, SSE[FIRST:], 2)
    async with relaying(garbage) as (http, _):
        answer = await ask(http, STREAM)
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "stream_garbled")


@pytest.mark.parametrize("piece", [3, 65536])
@pytest.mark.parametrize(
    ("how", "code"),
    [
        ({"end": ENDS}, "stream_truncated"),
        ({"end": ENDS + 20}, "stream_garbled"),
        ({"cut": ENDS}, "provider_unreachable"),
        ({"cut": ENDS + 20}, "provider_unreachable"),
        # The finish reason was said, but nobody knows what else was to come.
        ({"cut": len(SSE) - 20}, "provider_unreachable"),
    ],
)
async def test_a_stream_that_is_cut_ends_in_an_error_between_whole_events(relaying, how, code, piece):
    async with relaying(Answer(SSE, piece=piece, **how), limits=Limits(retries=2)) as (http, upstream):
        answer = await ask(http, STREAM)
    assert answer.status_code == 200
    assert error_of(answer)["code"] == code
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize(
    ("end", "code"),
    [
        (b"data: [DONE]\n\n", "stream_truncated"),
        (b'data: {"choices":[{"delta":{},"finish_reason":""}]}\n\ndata: [DONE]\n\n', "stream_truncated"),
        (b'data: {"choices":[{"delta":{},"finish_reason":"error"}]}\n\ndata: [DONE]\n\n', "stream_broken_off"),
        (b'event: error\ndata: {"error":{"message":"no sk-secret-1","code":503}}\n\n', "provider_overloaded"),
        (b'data: {"object":"error","message":"no"}\n\ndata: [DONE]\n\n', "provider_error"),
        (b"data: <html>sk-secret-1</html>\n\ndata: [DONE]\n\n", "stream_garbled"),
        (b'data: {"choices":[\n\ndata: {}]}\n\ndata: [DONE]\n\n', "stream_garbled"),
        (b"data: \n\ndata: [DONE]\n\n", "stream_garbled"),
    ],
)
async def test_a_stream_that_does_not_finish_is_never_a_stop(relaying, end, code, together):
    body = SSE[:ENDS] + end
    async with relaying(Answer(body, piece=len(body) if together else ENDS)) as (http, _):
        answer = await ask(http, STREAM)
    assert said(answer).startswith(SSE[FIRST : ENDS - 4])
    assert error_of(answer)["code"] == code
    assert "sk-secret-1" not in answer.text


async def test_every_choice_that_was_asked_for_has_to_finish_if_nobody_says_done(relaying_openai):
    one = SSE.removesuffix(b"data: [DONE]\n\n")
    async with relaying_openai(Answer(one), Answer(SSE), Answer(one + one + one)) as (http, _):
        assert error_of(await ask(http, {**STREAM, "model": "openai/m", "n": 2}))["code"] == "stream_truncated"
        assert (await ask(http, {**STREAM, "model": "openai/m", "n": 2})).text.endswith("data: [DONE]\n\n")
        assert (await ask(http, {**STREAM, "model": "openai/m", "n": 2})).text.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize(
    ("answer", "limits", "code"),
    [
        (Answer(silent=True), {"first_token": 0.2}, "first_token_timeout"),
        (Answer(b": working\n\n", stall=11), {"first_token": 0.2}, "first_token_timeout"),
        (Answer(b": working\n\n", stall=11), {"total": 0.2}, "total_timeout"),
    ],
)
async def test_a_vendor_that_says_nothing_runs_into_a_limit(relaying, answer, limits, code):
    async with relaying(answer, limits=Limits(**{"retries": 0, **limits})) as (http, _):
        failed = await ask(http, STREAM)
    assert (failed.status_code, failed.json()["error"]["code"]) == (504, code)


@pytest.mark.parametrize(("limit", "code"), [("idle", "idle_timeout"), ("total", "total_timeout")])
async def test_a_vendor_that_falls_silent_runs_into_a_limit(relaying, limit, code):
    async with relaying(Answer(SSE, stall=ENDS), limits=Limits(**{"retries": 0, limit: 0.2})) as (http, upstream):
        assert error_of(await ask(http, STREAM))["code"] == code
        await upstream.requests[0].gone.wait()


async def test_a_silent_stream_is_kept_alive_between_its_events(relaying, monkeypatch):
    monkeypatch.setattr(_relay, "PING", 0.01)
    async with relaying(Answer(SSE, stall=ENDS + 20)) as (http, _):
        async with http.stream("POST", "/v1/chat/completions", json=STREAM) as answer:
            read = b""
            async for piece in answer.aiter_bytes():
                read += piece
                if b": ping" in read:
                    break
    assert read.removeprefix(SSE[:FIRST]).startswith(SSE[FIRST:ENDS] + b": ping\n\n")
