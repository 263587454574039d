"""What a drop-in must get right, line by line: unknown request fields, and wrong values of those that are known."""

import pytest

from gateway.providers.settings import ProviderSettings
from tests.compat.model import called, said
from tests.compat.wire import WEATHER, asks, chats, error_of, respond

pytestmark = pytest.mark.anyio

TOMORROW = {"of_next_month": {"deep": [None, {"a": 1}]}}
COMPLETION = {"model": "helper", "prompt": "hi"}
BODIES = {
    "/v1/chat/completions": chats("hi"),
    "/v1/chat/completions/STORED": {"metadata": {}},
    "/v1/responses": asks("hi"),
    "/v1/responses/input_tokens": asks("hi"),
    "/v1/responses/compact": asks("hi"),
    "/v1/conversations": {},
    "/v1/conversations/CONVERSATION": {"metadata": {}},
    "/v1/conversations/CONVERSATION/items": {"items": [{"role": "user", "content": "hi"}]},
    "/v1/completions": COMPLETION,
    "/v1/approvals/APPROVAL": {"approve": False},
}
LISTS = (
    "/v1/chat/completions",
    "/v1/conversations/CONVERSATION/items",
    "/v1/responses/RESPONSE/input_items",
    "/v1/approvals",
    "/v1/models",
)


def step(call):
    return [called("clock__count", "{}")] if call.tools and call.items[-1].kind == "message" else [said("hello")]


@pytest.fixture
def careful(home, clock):
    (home / "agents" / "careful.yaml").write_text(
        "name: careful\nmodel: scripted/one\ntools: [{tool: clock.count, approval: always}]\n"
    )
    return clock


async def ids(running):
    """What the capitals in a path stand for."""
    waiting = await respond(running, {**asks("go"), "model": "careful"})
    completion = (await running.http.post("/v1/chat/completions", json=chats("hi", store=True))).json()
    conversation = (await running.http.post("/v1/conversations", json={})).json()
    return {
        "APPROVAL": waiting["output"][0]["id"],
        "STORED": completion["id"],
        "CONVERSATION": conversation["id"],
        "RESPONSE": waiting["id"],
    }


def under(path, known):
    for name, id in known.items():
        path = path.replace(name, id)
    return path


@pytest.mark.requirement("unknown-fields")
async def test_unknown_request_fields_are_ignored_on_every_endpoint(gateway, careful):
    async with gateway(*[step] * 50, servers=careful) as running:
        paths = (await running.http.get("/openapi.json")).json()["paths"]
        known = await ids(running)
        for path, body in BODIES.items():
            answer = await running.http.post(under(path, known), json={**body, **TOMORROW}, params={"tomorrow": "1"})
            assert answer.status_code == 200, (path, answer.text)
            assert "of_next_month" not in answer.text
        for path in LISTS:
            answer = await running.http.get(under(path, known), params={"tomorrow": "1"})
            assert answer.status_code == 200, (path, answer.text)
    takes_a_body = [path for path, methods in paths.items() if "requestBody" in methods.get("post", {})]
    assert len(takes_a_body) == len(BODIES) + 1, "vectors are tried below"


@pytest.mark.requirement("unknown-fields")
async def test_unknown_request_fields_are_ignored_where_vectors_are_made(gateway):
    nowhere = ProviderSettings(name="x", base_url="http://127.0.0.1:9")
    async with gateway(providers={"x": nowhere}) as running:
        body = {"model": "local/all-minilm-l6-v2", "input": "hi", **TOMORROW}
        answer = await running.http.post("/v1/embeddings", json=body)
    assert answer.status_code == 200, answer.text


def tool(**more):
    return {"tools": [{**WEATHER, **more}]}


WRONG = [
    *[
        ("/v1/responses", {**asks("hi"), **wrong}, param)
        for wrong, param in (
            ({"model": 3}, "model"),
            ({"input": 3}, "input"),
            ({"input": [{"role": "nobody", "content": "hi"}]}, "input[0].role"),
            ({"input": [{"role": "user", "content": [{"type": "smell"}]}]}, "input[0].content[0]"),
            ({"instructions": ["a"]}, "instructions"),
            ({"previous_response_id": {}}, "previous_response_id"),
            ({"conversation": 3}, "conversation"),
            ({"conversation": {"name": "x"}}, "conversation"),
            ({"stream": "perhaps"}, "stream"),
            ({"store": {}}, "store"),
            ({"include": "all"}, "include"),
            ({"tools": {}}, "tools"),
            (tool(parameters="none"), "tools[0].parameters"),
            ({"tool_choice": 3}, "tool_choice"),
            ({"parallel_tool_calls": [1]}, "parallel_tool_calls"),
            ({"max_output_tokens": 1.5}, "max_output_tokens"),
            ({"temperature": "hot"}, "temperature"),
            ({"reasoning": {"summary": "long"}}, "reasoning.summary"),
            ({"text": {"format": {"type": "json_schema", "schema": "none"}}}, "text.format.schema"),
            ({"truncation": True}, "truncation"),
            ({"context_management": [{"type": "forgetting"}]}, "context_management[0].type"),
            ({"metadata": {"a": {}}}, "metadata.a"),
            ({"prompt": {"id": "helper", "variables": []}}, "prompt.variables"),
        )
    ],
    *[
        ("/v1/chat/completions", {**chats("hi"), **wrong}, param)
        for wrong, param in (
            ({"messages": []}, "messages"),
            ({"messages": [{"role": "nobody", "content": "hi"}]}, "messages[0].role"),
            ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content"),
            ({"temperature": -0.1}, "temperature"),
            ({"max_completion_tokens": 0}, "max_completion_tokens"),
            ({"presence_penalty": 3}, "presence_penalty"),
            ({"response_format": {"type": "xml"}}, "response_format.type"),
            ({"seed": "x"}, "seed"),
            ({"stream_options": 3}, "stream_options"),
        )
    ],
    ("/v1/completions", {**COMPLETION, "top_p": 1.1}, "top_p"),
    ("/v1/embeddings", {"model": "local/all-minilm-l6-v2", "input": "hi", "encoding_format": "hex"}, "encoding_format"),
    ("/v1/embeddings", {"model": "local/all-minilm-l6-v2", "input": "hi", "dimensions": 0}, "dimensions"),
    ("/v1/responses/input_tokens", {**asks("hi"), "top_p": 2}, "top_p"),
    ("/v1/responses/compact", {**asks("hi"), "service_tier": "gold"}, "service_tier"),
    ("/v1/conversations", {"items": [{"role": "user", "content": "hi"}] * 21}, "items"),
    ("/v1/conversations", {"metadata": "x"}, "metadata"),
    ("/v1/conversations", {"metadata": {"str": 1, "a": 2}}, "metadata.str"),
    ("/v1/conversations/CONVERSATION", {"metadata": {"a": 1}}, "metadata.a"),
    ("/v1/conversations/CONVERSATION/items", {"items": [{"type": "smell"}]}, "items[0].type"),
    ("/v1/chat/completions/STORED", {"metadata": []}, "metadata"),
    ("/v1/approvals/APPROVAL", {"approve": {}}, "approve"),
    ("/v1/approvals/APPROVAL", {"approve": False, "reason": 3}, "reason"),
]


@pytest.mark.requirement("unknown-fields")
async def test_wrong_values_of_known_fields_are_400_with_their_param(gateway, careful):
    found = []
    async with gateway(*[step] * 5, servers=careful) as running:
        known = await ids(running)
        asked = len(running.provider.calls)
        for path, body, _ in WRONG:
            answer = await running.http.post(under(path, known), json=body)
            found.append((path, body, error_of(answer)["param"] if answer.status_code == 400 else answer.text))
        spent = len(running.provider.calls) - asked
    assert [one for one, wanted in zip(found, WRONG, strict=True) if one != wanted] == []
    assert spent == 0
