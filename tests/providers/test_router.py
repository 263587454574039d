"""Which model is asked, how often, and after how long: retries and fallbacks before the first event only."""

import asyncio
import contextlib
import json
import logging
import re
import subprocess
import sys

import pytest

from gateway.errors import (
    ContextTooLong,
    ProviderError,
    ProviderKeyRejected,
    ProviderOverloaded,
    ProviderQuotaExceeded,
    ProviderRateLimited,
    ProviderRefused,
)
from gateway.providers import router as router_module
from gateway.providers.router import may_fall_back, pause_before_retry
from gateway.providers.settings import Limits, ProviderSettings
from tests.providers.conftest import ask
from tests.providers.replay import Answer, Upstream
from tests.providers.wires import LEGS

pytestmark = pytest.mark.anyio

GOOD = Answer(LEGS[0].whole)
CUT = Answer(LEGS[0].whole, end=LEGS[0].begun)
TRY_AGAIN = Limits(retries=2)


def refusal(status: int, code: str = "", **headers: str) -> Answer:
    body = json.dumps({"error": {"message": "no", "code": code}}).encode()
    return Answer(body, status, "application/json", {name.replace("_", "-"): value for name, value in headers.items()})


async def outcome(asking, *answers, fallback=None, limits=TRY_AGAIN):
    """How the call ended and how often each of the two providers was asked."""
    async with Upstream(*answers) as first, Upstream(fallback or GOOD) as second:
        more = ProviderSettings(name="y", base_url=second.url)
        async with asking(first.url, more, limits=limits) as router:
            try:
                end = (await router(ask(fallbacks=("y/m",) if fallback else ()))).step.model
            except ProviderError as error:
                end = type(error)
        return end, len(first.requests), len(second.requests)


async def test_a_failure_before_the_first_event_is_tried_again(asking):
    assert await outcome(asking, refusal(500), Answer(b""), GOOD) == ("x/m", 3, 0)


async def test_retries_come_to_an_end(asking):
    assert await outcome(asking, refusal(500)) == (ProviderError, 3, 0)


async def test_nothing_is_tried_again_after_the_first_event(asking):
    assert await outcome(asking, CUT, fallback=GOOD) == (ProviderError, 1, 0)


async def test_retry_after_is_obeyed_once(asking):
    slow_down = refusal(429, retry_after="0.01")
    assert await outcome(asking, slow_down, GOOD) == ("x/m", 2, 0)
    assert await outcome(asking, slow_down) == (ProviderRateLimited, 2, 0)


async def test_a_wait_that_is_too_long_is_told_to_the_client(asking):
    async with Upstream(refusal(429, retry_after="3600")) as upstream, asking(upstream.url, limits=TRY_AGAIN) as router:
        with pytest.raises(ProviderRateLimited) as caught:
            await router()
    assert caught.value.retry_after == 3600
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("status", [429, 503, 529])
async def test_a_busy_provider_is_left_at_once_for_the_fallback(asking, status):
    assert await outcome(asking, refusal(status, retry_after="5"), fallback=GOOD) == ("y/m", 1, 1)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (refusal(401), ProviderKeyRejected),
        (refusal(429, "insufficient_quota"), ProviderQuotaExceeded),
        (refusal(400, "context_length_exceeded"), ContextTooLong),
        (refusal(404, "model_not_found"), ProviderRefused),
    ],
)
async def test_what_another_model_may_cure_is_not_retried_but_falls_back(asking, answer, kind):
    assert await outcome(asking, answer) == (kind, 1, 0)
    assert await outcome(asking, answer, fallback=GOOD) == ("y/m", 1, 1)


@pytest.mark.parametrize("answer", [refusal(400), refusal(422), refusal(400, "content_filter")])
async def test_a_wrong_request_is_neither_retried_nor_sent_elsewhere(asking, answer):
    assert await outcome(asking, answer, fallback=GOOD) == (ProviderRefused, 1, 0)


async def test_a_vendor_that_says_not_to_retry_is_not_asked_again(asking):
    assert await outcome(asking, refusal(500, x_should_retry="false"), GOOD) == (ProviderError, 1, 0)


async def test_a_first_token_that_never_comes_leads_to_the_fallback(asking):
    limits = Limits(first_token=0.2, retries=2)
    assert await outcome(asking, Answer(silent=True), fallback=GOOD, limits=limits) == ("y/m", 1, 1)


async def unstreamed(start_gateway, home, limits, *answers, models=("x/m", "y/m", "z/m")):
    """What a client that wants no stream gets of an agent with so many models, and how often each was asked."""
    primary, *others = models[: len(answers)]
    (home / "agents" / "a.yaml").write_text(
        f"name: a\nmodel: {{primary: {primary}, fallbacks: [{', '.join(others)}]}}\n"
    )
    async with contextlib.AsyncExitStack() as stack:
        upstreams = [await stack.enter_async_context(Upstream(answer)) for answer in answers]
        providers = {
            name: ProviderSettings(name=name, base_url=upstream.url)
            for name, upstream in zip("xyz", upstreams, strict=False)
        }
        gateway = await stack.enter_async_context(start_gateway(providers=providers, limits=limits))
        answer = await gateway.http.post("/v1/responses", json={"model": "a", "input": "Hi.", "store": False})
        return answer.status_code, answer.json(), [len(upstream.requests) for upstream in upstreams]


WHOLE = Answer(
    b'{"choices": [{"message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}]}',
    content_type="application/json",
)
SILENT = Answer(silent=True)


async def test_a_whole_answer_that_never_comes_leaves_time_for_the_fallbacks(start_gateway, home):
    limits = Limits(first_token=0.1, total=3, retries=2)
    status, answer, asked = await unstreamed(start_gateway, home, limits, SILENT, SILENT, WHOLE)
    assert (status, asked) == (200, [1, 1, 1])
    assert answer["output"][0]["content"][0]["text"] == "Hello."


async def test_the_last_model_is_said_to_have_had_what_was_left(start_gateway, home):
    limits = Limits(first_token=0.1, total=1, retries=2)
    status, answer, asked = await unstreamed(start_gateway, home, limits, SILENT, SILENT)
    assert (status, answer["error"]["code"], asked) == (504, "total_timeout", [1, 1])
    assert re.search(
        r"y/m was not done within the 0\.\d+ seconds that were left to it of 1\.", answer["error"]["message"]
    )


async def test_nobody_is_asked_when_the_time_is_used_up(start_gateway, home):
    limits = Limits(first_token=5, total=0.2, retries=2)
    status, answer, asked = await unstreamed(start_gateway, home, limits, SILENT, WHOLE)
    assert (status, answer["error"]["code"], asked) == (504, "total_timeout", [1, 0])
    assert "x/m was not done within 0.2 seconds" in answer["error"]["message"]


async def test_a_server_that_is_not_there_leads_to_the_fallback(asking):
    async with Upstream(GOOD) as second:
        more = ProviderSettings(name="y", base_url=second.url)
        async with asking("http://127.0.0.1:9", more) as router:
            assert (await router(ask(fallbacks=("y/m",)))).step.model == "y/m"
            with pytest.raises(ProviderError) as caught:
                await router()
    assert (caught.value.code, caught.value.status) == ("provider_unreachable", 502)


async def test_the_fallback_is_logged_without_the_key(asking, caplog):
    with caplog.at_level(logging.WARNING, router_module.__name__):
        await outcome(asking, refusal(401), fallback=GOOD)
    assert "falling back to y/m" in caplog.text
    assert "sk-secret-1" not in caplog.text


async def test_a_missing_key_names_the_variable_and_may_fall_back(asking):
    async with Upstream(GOOD) as upstream, asking(upstream.url) as router:
        with pytest.raises(ProviderKeyRejected, match="Set GROQ_API_KEY"):
            await router(ask(model="groq/llama"))
        assert (await router(ask(model="groq/llama", fallbacks=("x/m",)))).step.model == "x/m"


@pytest.mark.parametrize("model", ["gpt-4o", "nobody/m", "/m", "x/", "github_copilot/gpt"])
async def test_a_model_that_leads_nowhere_is_refused(asking, model):
    async with asking("http://127.0.0.1:9") as router:
        with pytest.raises(ProviderRefused) as caught:
            await router(ask(model=model))
    assert caught.value.status == 400


async def test_keys_and_addresses_come_from_the_vendors_own_variables(asking):
    async with Upstream(GOOD) as upstream:
        keys = {"OPENAI_API_KEY": "sk-env-2", "OPENAI_BASE_URL": f"{upstream.url}/v1", "OLLAMA_API_BASE": upstream.url}
        async with asking("http://127.0.0.1:9", keys=keys) as router:
            await router(ask(model="openai/gpt-4o"))
            await router(ask(model="ollama/qwen3:8b"))
    first, second = upstream.requests
    assert (first.path, first.headers["authorization"]) == ("/v1/chat/completions", "Bearer sk-env-2")
    assert (second.path, second.body["model"], "authorization" in second.headers) == (
        "/v1/chat/completions", "qwen3:8b", False,
    )  # fmt: skip


async def test_a_vendors_key_does_not_go_to_another_configured_address(asking):
    async with Upstream(GOOD) as upstream:
        own = ProviderSettings(name="z", litellm_provider="openai", base_url=upstream.url)
        async with asking("http://127.0.0.1:9", own, keys={"OPENAI_API_KEY": "sk-env-2"}) as router:
            await router(ask(model="z/m"))
    assert "authorization" not in upstream.requests[0].headers


ASKING_BOTH = """
import asyncio, json, sys

from gateway.providers.router import ProviderRouter
from gateway.providers.settings import Limits, ProviderSettings
from tests.providers.conftest import Asking, ask

async def main(url, claude):
    own, other = {"name": "x", "base_url": url}, {"name": "y", "base_url": url, **json.loads(claude)}
    providers = [ProviderSettings(**own), ProviderSettings(**other)]
    keys = {"ANTHROPIC_API_KEY": "k", "GEMINI_API_KEY": "k"}
    async with ProviderRouter(providers, Limits(retries=0), keys) as router:
        for model in ("x/m", "y/claude-sonnet-4-5"):
            await Asking(router)(ask(model=model))
            print("litellm" in sys.modules)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_litellm_is_imported_for_a_call_that_needs_it_and_not_for_a_key():
    claude = LEGS[1]
    async with Upstream(GOOD, Answer(claude.whole)) as upstream:
        # In a process of its own: another test may have imported it in this one.
        given = [sys.executable, "-c", ASKING_BOTH, upstream.url, json.dumps({**claude.settings, "api_key": "k"})]
        process = await asyncio.create_subprocess_exec(*given, stdout=subprocess.PIPE)
        said, _ = await process.communicate()
    assert said.split() == [b"False", b"True"]


async def test_a_model_can_be_a_script(asking, tmp_path):
    script = tmp_path / "script.yaml"
    script.write_text("- {say: One.}\n- {say: Two.}\n")
    async with asking("http://127.0.0.1:9") as router:
        said = [(await router(ask(model=f"scripted/{script}"))).items[0].text for _ in range(2)]
        with pytest.raises(ProviderError, match="no step"):
            await router(ask(model=f"scripted/{script}"))
    assert said == ["One.", "Two."]


def test_pauses_grow_and_never_outlast_the_call():
    error = ProviderError()
    first, third = (pause_before_retry(error, attempt, 100, more=False, waited=False) for attempt in (0, 2))
    assert first is not None
    assert third is not None
    assert 0 < first <= 0.5 < 1 <= third <= 2
    assert pause_before_retry(error, 0, 0.1, more=False, waited=False) is None


def test_only_errors_that_depend_on_the_model_fall_back():
    assert may_fall_back(ProviderOverloaded())
    assert may_fall_back(ContextTooLong())
    assert not may_fall_back(ProviderRefused())
