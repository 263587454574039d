"""What goes wrong at a vendor's, in every lane: it is a ProviderError with the right meaning, never a "stop"."""

import asyncio
import contextlib
import gzip
import json
from dataclasses import replace

import pytest

from gateway.errors import (
    ContextTooLong,
    ProviderError,
    ProviderKeyRejected,
    ProviderOverloaded,
    ProviderQuotaExceeded,
    ProviderRateLimited,
    ProviderRefused,
    ProviderTimeout,
)
from gateway.events import StepDone, TextDelta
from gateway.providers.answers import LARGEST_BODY
from gateway.providers.settings import Limits
from gateway.providers.sse import LONGEST_EVENT
from tests.providers.conftest import ask
from tests.providers.replay import Answer, Upstream
from tests.providers.wires import LEGS

pytestmark = pytest.mark.anyio

every_lane = pytest.mark.parametrize("leg", LEGS, ids=lambda leg: f"{leg.lane}-{leg.vendor}")

OPEN_ENDED = Limits(first_token=30, idle=30, total=60, retries=0)
ONCE_MORE = Limits(first_token=30, idle=30, total=60, retries=1)


async def failure(asking, leg, answer, limits=OPEN_ENDED):
    """The error of one call, after checking that no step was reported as done."""
    async with Upstream(answer) as upstream, asking(upstream.url, limits=limits, **leg.settings) as router:
        with pytest.raises(ProviderError) as caught:
            await router()
        assert not any(isinstance(event, StepDone) for event in router.said)
        return caught.value, "".join(event.text for event in router.said if isinstance(event, TextDelta))


@every_lane
async def test_the_answer_used_here_is_a_good_one(asking, leg):
    async with Upstream(Answer(leg.whole)) as upstream, asking(upstream.url, **leg.settings) as router:
        asked = await router()
    assert (asked.items[0].text, asked.step.finish, asked.step.model) == ("Hello.", "stop", "x/m")


@every_lane
async def test_bytes_may_come_one_at_a_time(asking, leg):
    async with Upstream(Answer(leg.whole, piece=1)) as upstream, asking(upstream.url, **leg.settings) as router:
        assert (await router()).items[0].text == "Hello."


@every_lane
async def test_a_stream_without_a_finish_reason_is_a_failure_after_what_it_said(asking, leg):
    error, text = await failure(asking, leg, Answer(leg.whole, end=leg.begun))
    assert (error.code, error.status, text) == ("stream_truncated", 502, "Hello.")


@every_lane
async def test_a_connection_that_breaks_is_a_failure(asking, leg):
    error, text = await failure(asking, leg, Answer(leg.whole, cut=leg.begun))
    assert error.status in (502, 500)
    assert text in ("Hello.", "Hel", "")


@every_lane
async def test_no_bytes_at_all_are_a_failure(asking, leg):
    error, _ = await failure(asking, leg, Answer(b""))
    assert error.status == 502


@every_lane
async def test_a_line_that_is_not_json_is_a_failure(asking, leg):
    broken = leg.whole[: leg.begun] + b'data: {"broken": \n\n' + leg.whole[leg.begun :]
    if leg.lane == "litellm" and leg.vendor == "gemini":
        # LiteLLM joins it with the lines that follow and never comes to an end of it.
        broken = leg.whole[: leg.begun] + b'data: {"broken": \n\n'
    error, _ = await failure(asking, leg, Answer(broken))
    assert error.status == 502


STATUSES = [
    (429, {"code": "rate_limit_exceeded"}, ProviderRateLimited),
    (429, {"code": "insufficient_quota", "type": "insufficient_quota"}, ProviderQuotaExceeded),
    (402, {"type": "billing_error"}, ProviderQuotaExceeded),
    (401, {"type": "authentication_error"}, ProviderKeyRejected),
    (403, {"type": "permission_error"}, ProviderKeyRejected),
    (400, {"code": "context_length_exceeded"}, ContextTooLong),
    (400, {"type": "invalid_request_error"}, ProviderRefused),
    (500, {"type": "api_error"}, ProviderError),
    (503, {"type": "server_error"}, ProviderOverloaded),
    (529, {"type": "overloaded_error"}, ProviderOverloaded),
    (504, {"type": "timeout_error"}, ProviderTimeout),
]


@every_lane
@pytest.mark.parametrize(("status", "error", "kind"), STATUSES)
async def test_a_vendors_error_is_told_by_status_and_code(asking, leg, status, error, kind):
    # Words that mislead whoever reads them, and a key that must not be passed on.
    words = "rate limit? context_length_exceeded! key sk-secret-1 at https://v.com/?key=abc"
    body = json.dumps({"error": {"message": words, **error}}).encode()
    answer = Answer(body, status, "application/json", {"retry-after": "7"})
    raised, _ = await failure(asking, leg, answer)
    assert type(raised) is kind
    assert raised.retry_after == 7
    assert "rate limit?" in str(raised)
    assert "sk-secret-1" not in str(raised)
    assert "abc" not in str(raised)


async def test_a_page_of_html_is_not_passed_on(asking):
    error, _ = await failure(asking, LEGS[0], Answer(b"<html>Bad gateway</html>", 502, "text/html"))
    assert (error.status, str(error)) == (502, "x answered 502.")


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ({"error": {"message": "Overloaded", "code": 503}}, ProviderOverloaded),
        (
            {"error": {"message": "slow", "code": 429}, "choices": [{"delta": {}, "finish_reason": "error"}]},
            ProviderRateLimited,
        ),
        ({"error": {"message": "oops", "type": "server_error"}}, ProviderError),
        ({"object": "error", "message": "oops", "type": "invalid_request_error"}, ProviderRefused),
    ],
)
async def test_an_error_in_the_stream_is_that_error(asking, event, kind):
    leg = LEGS[0]
    body = leg.whole[: leg.begun] + f"data: {json.dumps(event)}\n\ndata: [DONE]\n\n".encode()
    error, text = await failure(asking, leg, Answer(body))
    assert (type(error), text) == (kind, "Hello.")


@pytest.mark.parametrize("leg", LEGS[:2], ids=["openai", "anthropic"])
async def test_an_error_in_the_stream_does_not_show_the_key(asking, leg):
    event = b'data: {"type": "error", "error": {"message": "bad key sk-secret-1"}}\n\n'
    error, _ = await failure(asking, leg, Answer(leg.whole[: leg.begun] + event))
    assert "bad key [key]" in str(error)


@every_lane
@pytest.mark.parametrize("kind", ["application/json", "text/event-stream"])
@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize("error", [{"message": "bad key sk-secret-1", "code": 401}, "bad key sk-secret-1"])
async def test_an_error_that_comes_with_200_does_not_show_the_key(asking, leg, kind, live, error):
    body = json.dumps({"type": "error", "error": error}).encode()
    answer = Answer(body if "json" in kind else b"data: " + body + b"\n\n", content_type=kind)
    async with Upstream(answer) as upstream, asking(upstream.url, **leg.settings) as router:
        with pytest.raises(ProviderError) as caught:
            await router(replace(ask(), live=live))
    assert "sk-secret-1" not in str(caught.value)


SECRETS = ("header-secret", "other-secret", "opens sesame", "opens%20sesame", "YWRhOm9wZW5zIHNlc2FtZQ==")


@pytest.mark.parametrize("leg", LEGS[:2], ids=["openai", "anthropic"])
async def test_neither_a_part_of_a_header_nor_the_password_of_an_address_is_shown(asking, leg):
    headers = {"X-Bearer": "Bearer header-secret", "X-Pair": "id=other-secret, a"}
    error = {"message": " | ".join(SECRETS), "type": "authentication_error"}
    answer = Answer(json.dumps({"error": error}).encode(), 401, "application/json")
    async with Upstream(answer) as upstream:
        url = upstream.url.replace("://", "://ada:opens%20sesame@")
        async with asking(url, headers=headers, **leg.settings) as router:
            with pytest.raises(ProviderKeyRejected) as caught:
                await router()
    assert str(caught.value).endswith(": " + " | ".join("[key]" for _ in SECRETS))


async def test_a_finish_reason_does_not_show_the_key(asking):
    body = b'data: {"choices":[{"delta":{"content":"Hi"},"finish_reason":"bad key sk-secret-1"}]}\n\n'
    error, _ = await failure(asking, LEGS[0], Answer(body))
    assert (error.code, "sk-secret-1" in str(error)) == ("stream_broken_off", False)


async def test_anthropics_error_event_is_that_error(asking):
    leg = LEGS[1]
    event = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    error, text = await failure(asking, leg, Answer(leg.whole[: leg.begun] + f"data: {json.dumps(event)}\n\n".encode()))
    assert (type(error), text) == (ProviderOverloaded, "Hello.")


@pytest.mark.parametrize("leg", LEGS[:2], ids=["openai", "anthropic"])
@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"choices": []}',
        b'{"choices": ["a"]}',
        b'{"choices": [{"message": {"tool_calls": [5]}}], "content": [5]}',
        b"[1]",
        b"hello",
        b'{"choices": [{"message": {"content": "Hi"}}]}',
        b'{"error": {"message": "no"}}',
    ],
)
async def test_json_that_is_no_whole_answer_is_a_failure(asking, leg, body):
    error, _ = await failure(asking, leg, Answer(body, content_type="application/json"))
    assert error.status == 502


@pytest.mark.parametrize("finish", ["error", "insufficient_system_resource", "malformed_function_call", "abort"])
async def test_a_finish_reason_that_means_failure_is_one(asking, finish):
    body = f'data: {{"choices":[{{"delta":{{"content":"Hi"}},"finish_reason":"{finish}"}}]}}\n\ndata: [DONE]\n\n'
    error, _ = await failure(asking, LEGS[0], Answer(body.encode()))
    assert error.code == "stream_broken_off"


async def test_an_empty_answer_is_a_failure(asking):
    body = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    error, _ = await failure(asking, LEGS[0], Answer(body))
    assert error.code == "empty_answer"


@every_lane
async def test_a_server_that_never_answers_runs_into_the_first_token_limit(asking, leg):
    await warm(asking, leg)
    error, _ = await failure(asking, leg, Answer(silent=True), Limits(first_token=0.2, retries=0))
    assert (type(error), error.code) == (ProviderTimeout, "first_token_timeout")


@every_lane
async def test_a_stream_that_falls_silent_runs_into_the_idle_limit(asking, leg):
    await warm(asking, leg)
    answer = Answer(leg.whole, stall=leg.begun)
    error, text = await failure(asking, leg, answer, Limits(first_token=30, idle=0.2, retries=0))
    assert (type(error), error.code) == (ProviderTimeout, "idle_timeout")
    assert text == "Hello."


async def test_comments_keep_a_stream_from_being_idle_but_are_no_first_token(asking):
    error, _ = await failure(
        asking, LEGS[0], Answer(b": working\n\n", stall=11), Limits(first_token=0.2, idle=30, retries=0)
    )
    assert error.code == "first_token_timeout"


async def test_the_whole_call_has_a_limit_too(asking):
    leg = LEGS[0]
    limits = Limits(first_token=30, idle=30, total=0.2, retries=5)
    error, _ = await failure(asking, leg, Answer(leg.whole, stall=leg.begun), limits)
    assert error.code == "total_timeout"


@every_lane
@pytest.mark.parametrize("how", ["closed", "cancelled"])
async def test_the_upstream_request_is_aborted(asking, leg, how):
    answer = Answer(leg.whole, stall=leg.begun)
    async with Upstream(answer) as upstream, asking(upstream.url, limits=OPEN_ENDED, **leg.settings) as router:
        events = router.router.stream(ask())
        await anext(events)
        if how == "closed":
            await events.aclose()
        else:
            task = asyncio.create_task(drain(events))
            await asyncio.sleep(0)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        async with asyncio.timeout(5):
            await upstream.requests[0].gone.wait()


@every_lane
async def test_a_call_that_is_cancelled_before_its_first_event_is_aborted(asking, leg):
    async with (
        Upstream(Answer(silent=True)) as upstream,
        asking(upstream.url, limits=OPEN_ENDED, **leg.settings) as router,
    ):
        task = asyncio.create_task(router(ask()))
        async with asyncio.timeout(30):
            await upstream.asked.wait()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        async with asyncio.timeout(5):
            await upstream.requests[0].gone.wait()


async def drain(events):
    async for _ in events:
        pass


async def warm(asking, leg):
    """LiteLLM's import and first call take longer than the limits of these tests."""
    if leg.lane != "openai":
        async with Upstream(Answer(leg.whole)) as upstream, asking(upstream.url, **leg.settings) as router:
            await router()


@every_lane
async def test_an_event_without_an_end_is_given_up_and_not_asked_for_again(asking, leg):
    endless = Answer(leg.whole[: leg.begun] + b"data: " + b"a" * (LONGEST_EVENT + 1))
    async with Upstream(endless) as upstream, asking(upstream.url, limits=ONCE_MORE, **leg.settings) as router:
        with pytest.raises(ProviderError) as caught:
            await router()
    assert (caught.value.code, len(upstream.requests)) == ("answer_too_large", 1)


@every_lane
async def test_a_whole_answer_that_is_too_large_is_given_up(asking, leg):
    endless = Answer(b"[" + b" " * LARGEST_BODY, content_type="application/json")
    async with Upstream(endless) as upstream, asking(upstream.url, limits=ONCE_MORE, **leg.settings) as router:
        with pytest.raises(ProviderError) as caught:
            await router(replace(ask(), live=False))
    assert (caught.value.code, len(upstream.requests)) == ("answer_too_large", 1)


@every_lane
async def test_of_an_error_only_the_beginning_is_read(asking, leg):
    answer = Answer(b'{"error": {"message": "' + b"a" * LARGEST_BODY, 429, "application/json")
    error, _ = await failure(asking, leg, answer)
    assert isinstance(error, ProviderRateLimited)


@every_lane
async def test_a_compressed_answer_is_not_asked_for_and_not_read(asking, leg):
    packed = Answer(gzip.compress(leg.whole), headers={"content-encoding": "gzip"})
    async with Upstream(packed) as upstream, asking(upstream.url, limits=OPEN_ENDED, **leg.settings) as router:
        with pytest.raises(ProviderError) as caught:
            await router()
    assert (caught.value.status, caught.value.code) == (502, "provider_unreachable")
    assert upstream.requests[0].headers.get("accept-encoding", "identity") == "identity"
