"""The local model among other providers: it is started and told its defaults only when a call's turn comes to it."""

import contextlib
import json
import os
import signal
from pathlib import Path

import pytest

from gateway.local_model.server import LocalModel
from gateway.providers.local import LocalProvider
from gateway.providers.router import ProviderRouter
from gateway.providers.settings import Limits, ProviderSettings
from tests.providers.conftest import Asking, ask
from tests.providers.replay import Answer, Upstream
from tests.providers.wires import LEGS

pytestmark = pytest.mark.anyio

GOOD = Answer(LEGS[0].whole)
BUSY = Answer(b"{}", 503, "application/json")
LIMIT = "max_completion_tokens"
DEFAULTS = {"temperature": 0.0, LIMIT: 1024}


@pytest.fixture(autouse=True)
def engine(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent / "local_model" / "stand_in"))


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "model.gguf"
    path.write_text("fine")
    return path


@contextlib.asynccontextmanager
async def both(answer, weights):
    """A router to a remote provider `x` and a local model; the requests to `x`; and the local model."""
    model = LocalModel(weights, lazy=True)
    async with Upstream(answer) as upstream:
        remote = ProviderSettings(name="x", litellm_provider="openai", base_url=upstream.url)
        async with ProviderRouter([remote], Limits(retries=0), {}, [LocalProvider(model)]) as router:
            yield Asking(router), upstream.requests, model


def options(body):
    return {name: body[name] for name in ("temperature", LIMIT) if name in body}


def heard(asked):
    """What the stand-in of the local model says it was asked, and its process."""
    told = json.loads(asked.items[0].text)
    return options(told["asked"]), told["process"]


async def test_a_fallback_that_is_not_needed_neither_starts_nor_changes_the_request(weights):
    async with both(GOOD, weights) as (router, requests, model):
        asked = await router(ask(model="x/m", fallbacks=("local/small",)))
        assert (asked.step.model, options(requests[0].body), model.running) == ("x/m", {}, False)


async def test_a_fallback_that_is_needed_starts_and_has_its_defaults(weights):
    async with both(BUSY, weights) as (router, requests, _):
        asked = await router(ask(model="x/m", fallbacks=("local/small",)))
        assert (asked.step.model, options(requests[0].body), heard(asked)[0]) == ("local/small", {}, DEFAULTS)
        asked = await router(ask(model="local/small", temperature=0.5))
        assert heard(asked)[0] == {**DEFAULTS, "temperature": 0.5}


async def test_a_local_model_that_cannot_start_leaves_the_call_to_the_next_as_it_was(tmp_path):
    async with both(GOOD, tmp_path / "missing") as (router, requests, _):
        asked = await router(ask(model="local/small", fallbacks=("x/m",)))
    assert (asked.step.model, options(requests[0].body)) == ("x/m", {})


async def test_a_local_model_that_died_is_found_at_its_new_address(weights):
    async with both(GOOD, weights) as (router, _, model):
        _, first = heard(await router(ask(model="local/small")))
        os.kill(first, signal.SIGKILL)
        await model.wait()
        _, second = heard(await router(ask(model="local/small")))
    assert first != second
