"""What goes wrong while a response is relayed: the failure is the gateway's own or the vendor's word, never silence."""

import asyncio
import json

import openai
import pytest

from gateway.apis import _relay
from gateway.providers.settings import Limits, ProviderSettings
from tests.providers.relayed import (
    ASK,
    COMMENT,
    DONE,
    ENDED,
    ENDS,
    EVENTS,
    LANE,
    RESPONSE,
    SPOKEN,
    SSE,
    STREAM,
    WHOLE,
    ask,
    event,
    events,
    failure,
    whole,
)
from tests.providers.relays import refusal
from tests.providers.replay import Answer

pytestmark = pytest.mark.anyio

RELAYED = SSE.removeprefix(COMMENT) + DONE


def changed(**fields):
    return whole(json.dumps({**ENDED, **fields}).encode())


NO_MORE = {"error": {"code": "rate_limit_exceeded", "message": "no sk-secret-1"}}
FAILED = {"response": {**RESPONSE, "status": "failed", **NO_MORE}}


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
        (changed(status="failed", **NO_MORE), 429, "rate_limit_exceeded"),
        (changed(status="sk-secret-1"), 502, "stream_broken_off"),
        (changed(status="in_progress"), 502, "stream_truncated"),
        (changed(status=None), 502, "stream_truncated"),
        (changed(status=["completed"]), 502, "stream_broken_off"),
        (changed(output="Hi."), 502, "stream_garbled"),
        (changed(object="chat.completion"), 502, "stream_garbled"),
        (Answer(b"<html>no</html>", content_type="text/html"), 502, None),
        (Answer(WHOLE, cut=40, content_type="application/json"), 502, "provider_unreachable"),
    ],
)
async def test_an_early_failure_is_an_error_of_the_gateways(relaying, answer, status, code, body):
    async with relaying(answer, **LANE) as (http, _):
        failed = await ask(http, body)
    error = failed.json()["error"]
    assert sorted(error) == ["code", "message", "param", "type"]
    assert (failed.status_code, "sk-secret-1" in failed.text) == (status, False)
    assert code is None or error["code"] == code
    assert failed.headers.get("retry-after") == answer.headers.get("retry-after")


FLAT = {"code": "rate_limit_exceeded", "message": "no sk-secret-1", "param": None}


@pytest.mark.parametrize("piece", [1, 65536])
@pytest.mark.parametrize(
    "told",
    [
        event("error", FLAT, 2),
        event("error", {"error": FLAT}, 2),
        event("response.failed", FAILED, 2),
        event("response.completed", FAILED, 2),
        b"data: " + json.dumps({"error": FLAT}).encode() + b"\n\n",
        event("BadRequest", {**FLAT, "object": "error"}, 2),
        event("server_error", {"error": FLAT}, 2),
        event("keepalive", {}, 2) + event("error", FLAT, 3),
    ],
)
@pytest.mark.parametrize("begun", [0, 1, 2])
async def test_a_stream_that_fails_before_it_says_anything_is_that_error_and_tried_again(relaying, told, begun, piece):
    failing = Answer(COMMENT + b"".join(EVENTS[:begun]) + told, piece=piece)
    async with relaying(failing, Answer(SSE), limits=Limits(retries=1), **LANE) as (http, upstream):
        answer = await ask(http, STREAM)
    assert (answer.content, len(upstream.requests)) == (RELAYED, 2)
    async with relaying(failing, **LANE) as (http, _):
        answer = await ask(http, STREAM)
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert answer.json()["error"]["message"].endswith(": no [key]")


@pytest.mark.parametrize("piece", [1, 65536])
@pytest.mark.parametrize(
    ("garbage", "code"),
    [
        (b"data: {not json}\n\n", "stream_garbled"),
        (b'data: ["a"]\n\n', "stream_garbled"),
        (b'data: {"choices": []}\n\n', "stream_garbled"),
        (EVENTS[0] + b": hm\n\ndata: <html>\n\n", "stream_garbled"),
        (EVENTS[0] + DONE, "stream_truncated"),
        (EVENTS[0] + EVENTS[1], "stream_truncated"),
    ],
)
async def test_a_stream_that_is_no_response_is_tried_again(relaying, garbage, code, piece):
    bad = Answer(garbage, piece=piece)
    async with relaying(bad, Answer(SSE), limits=Limits(retries=1), **LANE) as (http, upstream):
        assert ((await ask(http, STREAM)).content, len(upstream.requests)) == (RELAYED, 2)
    async with relaying(bad, **LANE) as (http, _):
        answer = await ask(http, STREAM)
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, code)


@pytest.mark.parametrize("piece", [3, 65536])
@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"end": ENDS}, "without a finish reason"),
        ({"end": ENDS + 60}, "cannot be read"),
        ({"cut": ENDS}, "connection"),
        ({"cut": ENDS + 60}, "connection"),
        ({"cut": len(SSE) - 2}, "connection"),
    ],
)
async def test_a_stream_that_is_cut_ends_with_the_response_as_failed(relaying, how, said, piece):
    async with relaying(Answer(SSE, piece=piece, **how), limits=Limits(retries=2), **LANE) as (http, upstream):
        answer = await ask(http, STREAM)
    assert answer.status_code == 200
    assert answer.content.startswith(SSE[len(COMMENT) : ENDS])
    error = failure(answer)
    assert (error["code"], said in error["message"], len(upstream.requests)) == ("server_error", True, 1)


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize(
    "end",
    [
        DONE,
        b"data: <html>sk-secret-1</html>\n\n",
        b'data: {"type":\n\ndata: 5}\n\n',
        b"data: \n\n",
        b'data: {"type": 5}\n\n',
        b'data: {"error": {"message": "no sk-secret-1"}}\n\n',
        b'event: error\ndata: {"message": "no sk-secret-1"}\n\n',
    ],
)
async def test_a_stream_that_does_not_finish_never_looks_whole(relaying, end, together):
    body = SSE[:ENDS] + end
    async with relaying(Answer(body, piece=len(body) if together else ENDS), **LANE) as (http, _):
        answer = await ask(http, STREAM)
    assert answer.content.startswith(SSE[len(COMMENT) : ENDS])
    failure(answer)
    assert "sk-secret-1" not in answer.text


async def test_a_comment_does_not_hide_where_a_broken_stream_stood(start_gateway):
    heard = asyncio.Event()

    async def vendor(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
        for said in (head + SSE[:ENDS], COMMENT):
            writer.write(said)
            await heard.wait()
            heard.clear()
        writer.close()

    async with await asyncio.start_server(vendor, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        provider = ProviderSettings(name="x", base_url=f"http://127.0.0.1:{port}", **LANE)
        async with (
            start_gateway(providers={"x": provider}, models=("x/*",), limits=Limits(retries=0)) as gateway,
            gateway.http.stream("POST", "/v1/responses", json=STREAM) as answer,
        ):
            told = b""
            async for piece in answer.aiter_raw():
                told += piece
                if told.endswith((EVENTS[-2], COMMENT)):
                    heard.set()
    last = json.loads(told.removesuffix(DONE).rsplit(b"data: ", 1)[1])
    assert (last["type"], last["sequence_number"]) == ("response.failed", len(EVENTS) - 1)


async def test_an_error_that_only_its_event_is_called_is_found_in_a_long_stream(relaying):
    long = b"".join(event("response.output_text.delta", {"delta": "x" * 99}, n) for n in range(4_000))
    end = b'event: error\ndata: {"message": "no sk-secret-1"}\n\n'
    async with relaying(Answer(SSE[:SPOKEN] + long + end), **LANE) as (http, _):
        answer = await ask(http, STREAM)
    assert (answer.text.count("response.output_text.delta"), "sk-secret-1" in answer.text) == (8_000, False)
    assert events(answer)[-1]["type"] == "response.failed"


@pytest.mark.parametrize("before", [b"\xef\xbb\xbf", event("keepalive", {"odd": [1]}, 0).replace(b"0", b"-1", 1)])
async def test_the_response_is_known_whatever_comes_before_it(relaying, before):
    async with relaying(Answer(before + b"".join(EVENTS[:-1])), **LANE) as (http, _):
        last = events(await ask(http, STREAM))[-1]
    assert (last["type"], last["response"]["id"]) == ("response.failed", "resp_v")


async def test_a_response_too_deep_to_be_told_again_ends_with_an_error_alone(relaying):
    deep = b'"odd":' + b"[" * 300 + b"]" * 300
    begun = b"".join(EVENTS[:-1]).replace(b'"odd": 1.0', deep).replace(b'"odd":1.0', deep)
    async with relaying(Answer(begun), **LANE) as (http, _):
        answer = await ask(http, STREAM)
    last = json.loads(answer.content.removesuffix(DONE).rsplit(b"data: ", 1)[1])
    assert (last["type"], last["code"]) == ("error", "stream_truncated")


@pytest.mark.parametrize(
    "named", [{"status": "failed"}, {"status": "completed", "error": {"code": "c", "message": "m"}}]
)
async def test_a_response_that_failed_is_not_called_completed(relaying, named):
    told = event("response.completed", {"response": {**RESPONSE, **named}}, len(EVENTS) - 1)
    async with relaying(Answer(SSE[:ENDS] + told), **LANE) as (http, _):
        last = events(await ask(http, STREAM))[-1]
    assert last["type"] == "response.failed"
    assert last["response"]["id"] == "resp_v"


async def test_a_stream_that_does_not_say_what_it_is_of_ends_with_an_error_alone(relaying):
    async with relaying(Answer(b"".join(EVENTS[2:-1])), **LANE) as (http, _):
        last = events(await ask(http, STREAM))[-1]
    assert (last["type"], last["code"], last["param"]) == ("error", "stream_truncated", None)
    assert last["sequence_number"] == len(EVENTS) - 1


CLEAN = [
    event("response.failed", {"response": {**RESPONSE, "status": "failed", "error": {"code": "c", "message": "m"}}}, 9),
    event("error", {"code": None, "message": "m", "param": None}, 9),
    event("error", {"code": None, "message": "m", "param": None, "response": {"id": "resp_v"}}, 9),
    event("error", {"error": {"code": None, "message": "m", "inner": [{"why": "m"}]}}, 9),
]


@pytest.mark.parametrize("piece", [7, 65536])
@pytest.mark.parametrize("told", CLEAN)
async def test_what_the_vendor_says_of_a_failure_is_handed_on(relaying, told, piece):
    for after in (b"", DONE):
        async with relaying(Answer(SSE[:ENDS] + told + after, piece=piece), **LANE) as (http, upstream):
            answer = await ask(http, STREAM)
        assert answer.content == SSE[len(COMMENT) : ENDS] + told + DONE
        assert len(upstream.requests) == 1


@pytest.mark.parametrize("how", [{}, {"cut": 0}])
async def test_an_error_may_be_followed_by_the_response_that_failed_or_by_nothing(relaying, how):
    both = SSE[:ENDS] + CLEAN[1] + (b"" if how else CLEAN[0])
    cut = {"cut": len(both)} if how else {}
    async with relaying(Answer(both + b" ", piece=100, **cut), **LANE) as (http, _):
        answer = await ask(http, STREAM)
    assert answer.content == both.removeprefix(COMMENT) + DONE


@pytest.mark.parametrize("told", CLEAN)
async def test_secrets_are_taken_out_of_what_the_vendor_says(relaying, told):
    secret = told.replace(b'"m"', b'"sk-secret\\u002d1 at http://h/?key=abc"')
    async with relaying(Answer(SSE[:ENDS] + secret), **LANE) as (http, _):
        last = events(await ask(http, STREAM))[-1]
    clean = told.replace(b'"m"', b'"[key] at http://h/?key=[key]"')
    assert last == json.loads(clean.split(b"data: ")[1])


async def test_the_official_client_learns_of_a_failure_in_the_middle(answering):
    async with answering(Answer(SSE, cut=ENDS), Answer(SSE[:ENDS] + CLEAN[3])) as (gateway, _):
        *_, last = [one async for one in await gateway.openai.responses.create(**STREAM)]
        assert (last.type, last.response.status, last.response.error.code) == (
            "response.failed",
            "failed",
            "server_error",
        )
        with pytest.raises(openai.APIError):
            [one async for one in await gateway.openai.responses.create(**STREAM)]


@pytest.mark.parametrize("deep", [b"[" * 300 + b"]" * 300])
async def test_an_answer_that_cannot_be_written_again_is_an_error(relaying, deep):
    first = EVENTS[0].replace(b'"odd":1.0', b'"odd":' + deep)
    error = CLEAN[1].replace(b'"m"', b'"sk-secret-1","odd":' + deep)
    answers = whole(WHOLE.replace(b"1.0", deep)), Answer(first + EVENTS[2]), Answer(SSE[:ENDS] + error)
    async with relaying(*answers, **LANE) as (http, _):
        unstreamed, unknown, told = [await ask(http, STREAM) for _ in range(3)]
    assert (unstreamed.status_code, unstreamed.json()["error"]["code"]) == (502, "stream_garbled")
    assert events(unknown)[-1]["type"] == "error"
    assert (events(told)[-1]["message"], "odd" in events(told)[-1]) == ("[key]", True)


async def test_beginnings_without_end_are_not_kept_for_ever(relaying):
    begun = EVENTS[0] + EVENTS[1] * 100
    async with relaying(Answer(begun + b"x", stall=len(begun)), **LANE) as (http, _):
        async with http.stream("POST", "/v1/responses", json=STREAM) as answer:
            assert (await anext(answer.aiter_bytes())).startswith(EVENTS[0])


@pytest.mark.parametrize(
    ("answer", "limits", "code"),
    [
        (Answer(silent=True), {"first_token": 0.2}, "first_token_timeout"),
        (Answer(SSE, stall=SPOKEN), {"first_token": 0.2}, "first_token_timeout"),
        (Answer(SSE, stall=SPOKEN), {"total": 0.2}, "total_timeout"),
    ],
)
async def test_a_vendor_that_says_nothing_runs_into_a_limit(relaying, answer, limits, code):
    async with relaying(answer, limits=Limits(**{"retries": 0, **limits}), **LANE) as (http, _):
        failed = await ask(http, STREAM)
    assert (failed.status_code, failed.json()["error"]["code"]) == (504, code)


@pytest.mark.parametrize(("limit", "said"), [("idle", "fell silent"), ("total", "was not done")])
async def test_a_vendor_that_falls_silent_runs_into_a_limit(relaying, limit, said):
    limits = Limits(**{"retries": 0, limit: 0.2})
    async with relaying(Answer(SSE, stall=ENDS), limits=limits, **LANE) as (http, upstream):
        assert said in failure(await ask(http, STREAM))["message"]
        await upstream.requests[0].gone.wait()


async def test_a_silent_stream_is_kept_alive_between_its_events(relaying, monkeypatch):
    monkeypatch.setattr(_relay, "PING", 0.01)
    async with relaying(Answer(SSE, stall=ENDS + 20), **LANE) as (http, _):
        async with http.stream("POST", "/v1/responses", json=STREAM) as answer:
            read = b""
            async for piece in answer.aiter_bytes():
                read += piece
                if b": ping" in read:
                    break
    assert read.startswith(SSE[len(COMMENT) : ENDS] + b": ping\n\n")
