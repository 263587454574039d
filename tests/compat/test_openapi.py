"""/openapi.json says what is served, and what is served keeps to it whatever it is sent."""

import asyncio
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case
from schemathesis.specs.openapi import checks

from tests.compat.model import reply

pytestmark = pytest.mark.anyio

EXAMPLES = 25
"""Requests an operation. They are the same in every run."""
PARTS = ("chat", "responses", "conversations", "models")
"""Each is tried on its own, so that they are tried at once."""
CHECKS = [
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.status_code_conformance,
]


@pytest.mark.requirement("openapi")
async def test_the_document_needs_no_key_and_lists_what_is_served(start_gateway):
    async with start_gateway() as gateway, httpx.AsyncClient(base_url=gateway.url) as bare:
        document = (await bare.get("/openapi.json")).raise_for_status().json()
    assert document["openapi"] == "3.1.0"
    body = document["paths"]["/v1/responses"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    schema = document["components"]["schemas"][body["$ref"].rpartition("/")[2]]
    assert schema["properties"]["max_output_tokens"]["anyOf"][0]["minimum"] == 16
    assert {"/v1/models/{name}", "/v1/chat/completions", "/v1/conversations/{id}/items"} <= set(document["paths"])


@pytest.mark.requirement("openapi-holds")
@pytest.mark.parametrize("part", [*PARTS, "other"])
async def test_no_request_breaks_the_gateway_or_the_document(start_gateway, part):
    async with start_gateway(*[reply] * 10_000) as gateway:
        document = (await gateway.http.get("/openapi.json")).json()
        conversation = await gateway.openai.conversations.create(items=[{"role": "user", "content": "hi"}])
        item = (await gateway.openai.conversations.items.list(conversation.id)).data[0]
        response = await gateway.openai.responses.create(model="helper", input="hi")
        known = {"conversations": conversation.id, "responses": response.id, "models": "helper", "item": item.id}
        document["paths"] = {path: found for path, found in document["paths"].items() if part_of(path) == part}
        await asyncio.to_thread(try_everything, document, gateway.url, gateway.key, known)


def part_of(path: str) -> str:
    """What comes after `/v1/`, if it is one of PARTS."""
    name = path.removeprefix("/v1/").partition("/")[0]
    return name if name in PARTS else "other"


def try_everything(document: dict[str, Any], url: str, key: str, known: dict[str, str]) -> None:
    """Every operation with what Hypothesis thinks of, half of it about things that exist, else all would be 404."""
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=url)
    headers = {"authorization": f"Bearer {key}"}
    for found in schema.get_all_operations():
        operation = found.ok()

        @settings(
            max_examples=EXAMPLES,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def holds(case: Case) -> None:
            meet(case, known)
            answer = case.call_and_validate(headers=headers, checks=CHECKS, timeout=30)
            # 502 and its like are a model's failures; 500 is the gateway's.
            assert answer.status_code != 500, answer.text

        holds()


def meet(case: Case, known: dict[str, str]) -> None:
    """Make every other request ask for what is there."""
    if isinstance(case.body, dict) and len(str(case.body)) % 4:
        if "model" in case.body:
            case.body["model"] = "helper"
        for name in ("previous_response_id", "conversation"):
            case.body.pop(name, None)
        if "messages" in case.body and len(str(case.body)) % 2:
            case.body["messages"] = [{"role": "user", "content": "hi"}]
    parameters = case.path_parameters or {}
    if case.method == "DELETE" or not len(str(parameters)) % 3:
        return
    for name in parameters:
        kind = "item" if name == "item" else case.path.split("/")[2]
        parameters[name] = known.get(kind, parameters[name])
