"""`GET /v1/responses/{id}/prompt` of a model that is asked with Responses."""

import contextlib
import json

import pytest

from gateway.providers.settings import ProviderSettings
from tests.providers.relays import PATIENT
from tests.providers.replay import Upstream
from tests.providers.responses import CLOCK, SAID, THOUGHT, USAGE, called, streamed, whole

pytestmark = pytest.mark.anyio


@contextlib.asynccontextmanager
async def two_steps(start_gateway):
    """A gateway, and the id of the second of two responses: a call, and the answer to its result."""
    answers = (whole(streamed(THOUGHT, called(1))[-1]), whole(streamed(SAID, usage={**USAGE, "input_tokens": 900})[-1]))
    async with Upstream(*answers) as upstream:
        provider = ProviderSettings(name="x", base_url=upstream.url, lane="responses")
        async with start_gateway(providers={"x": provider}, models=("x/*",), limits=PATIENT) as gateway:
            asked = {"model": "x/m", "tools": [CLOCK], "instructions": "Be brief.", "text": {"verbosity": "low"}}
            first = await gateway.openai.responses.create(input="What is the time?", **asked)
            result = {"type": "function_call_output", "call_id": "call_v1", "output": "noon"}
            last = await gateway.openai.responses.create(input=[result], previous_response_id=first.id, **asked)
            yield gateway, last.id


async def test_every_section_of_the_request_is_told_apart(start_gateway):
    async with two_steps(start_gateway) as (gateway, id):
        (request,) = (await gateway.http.get(f"/v1/responses/{id}/prompt")).json()["data"]
    assert [item.get("type", "message") for item in json.loads(request["body"])["input"]] == [
        "message", "reasoning", "function_call", "function_call_output",
    ]  # fmt: skip
    sections = {name for name, amount in request["tokens"].items() if amount and name != "total"}
    assert sections >= {"instructions", "tools", "response_format", "input", "output", "tool_results"}
    assert not request["tokens"]["history"]
