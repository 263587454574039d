"""Options about how OpenAI serves a request: sent to who takes them, and left out for everybody else."""

import contextlib
import json

import pytest

from gateway.providers.settings import ProviderSettings
from tests.providers.relays import PATIENT
from tests.providers.replay import Answer, Upstream
from tests.providers.wires import ANTHROPIC, OPENAI

pytestmark = pytest.mark.anyio

HI = [{"role": "user", "content": "Hi."}]
OPTIONS = {
    "service_tier": "priority",
    "prompt_cache_key": "k",
    "prompt_cache_retention": "24h",
    "safety_identifier": "s",
}
PREDICTION = {"prediction": {"type": "content", "content": "Hello."}}
AGENT = "name: {name}\nmodel: x/m\n"
TIERED = [{**OPENAI[0], "service_tier": "priority"}, *OPENAI[1:]]
LAST = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [],
        "service_tier": "flex", "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}  # fmt: skip


def sse(*events):
    return Answer("".join(f"data: {json.dumps(event)}\n\n" for event in events).encode())


@pytest.fixture
def agent_of(start_gateway, home):
    """`async with agent_of(vendor, answer) as (gateway, upstream)`: its agent `pal` is at that vendor's."""
    (home / "agents" / "pal.yaml").write_text(AGENT.format(name="pal"))

    @contextlib.asynccontextmanager
    async def start(vendor, answer):
        async with Upstream(answer) as upstream:
            provider = ProviderSettings(name="x", litellm_provider=vendor, base_url=upstream.url, api_key="sk-secret-1")
            async with start_gateway(providers={"x": provider}, limits=PATIENT) as gateway:
                yield gateway, upstream

    return start


async def test_openais_wire_is_told_all_of_them_and_says_which_tier_it_was(agent_of):
    async with agent_of("openai", sse(*TIERED, LAST)) as (gateway, upstream):
        response = await gateway.openai.responses.create(model="pal", input="Hi.", **OPTIONS)
        answer = await gateway.openai.chat.completions.create(model="pal", messages=HI, **OPTIONS, **PREDICTION)
        stream = await gateway.openai.chat.completions.create(model="pal", messages=HI, stream=True)
        tiers = [chunk.service_tier async for chunk in stream]
        read_back = await gateway.openai.responses.retrieve(response.id)
    first, second, third = (request.body for request in upstream.requests)
    assert {name: first.get(name) for name in OPTIONS} == OPTIONS
    assert {name: second.get(name) for name in (*OPTIONS, *PREDICTION)} == OPTIONS | PREDICTION
    assert third.keys().isdisjoint(OPTIONS)
    assert (response.service_tier, read_back.service_tier, answer.service_tier) == ("flex", "flex", "flex")
    assert tiers[-1] == "flex"


@pytest.mark.parametrize(
    ("told", "shown"), [("fast", "fast"), ("ultrafast", "fast"), ("on_demand", None), (None, None), (5, None)]
)
async def test_a_tier_that_clients_do_not_know_is_not_said_to_be_the_usual_one(agent_of, told, shown):
    async with agent_of("openai", sse(*TIERED, {**LAST, "service_tier": told})) as (gateway, _):
        answer = await gateway.openai.chat.completions.create(model="pal", messages=HI)
        stream = await gateway.openai.chat.completions.create(model="pal", messages=HI, stream=True)
        tiers = [chunk.service_tier async for chunk in stream]
        response = await gateway.openai.responses.create(model="pal", input="Hi.")
    # Open Responses wants a text in every response.
    assert (answer.service_tier, tiers[-1], response.service_tier) == (shown, shown, shown or "default")


@pytest.mark.parametrize(
    ("vendor", "answer"), [("", sse(*OPENAI)), ("anthropic", sse(*ANTHROPIC)), ("deepseek", sse(*OPENAI))]
)
async def test_others_are_not_told_and_the_answer_is_none_the_worse(agent_of, vendor, answer):
    async with agent_of(vendor, answer) as (gateway, upstream):
        response = await gateway.openai.responses.create(model="pal", input="Hi.", stream=True, **OPTIONS)
        *_, last = [event async for event in response]
        chat = gateway.openai.chat.completions
        completion = await chat.create(model="pal", messages=HI, stream=True, **OPTIONS, **PREDICTION)
        said = [chunk.choices[0].delta.content or "" async for chunk in completion]
    assert (last.response.output_text, "".join(said), last.response.service_tier) == ("Hello.", "Hello.", "default")
    assert all(request.body.keys().isdisjoint({**OPTIONS, **PREDICTION}) for request in upstream.requests)
