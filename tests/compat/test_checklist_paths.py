"""What a drop-in must get right, line by line: paths, and the headers of every answer."""

import pytest

from tests.compat.model import called, said
from tests.compat.wire import asks, chats, error_of, respond

pytestmark = pytest.mark.anyio

BODIES = {
    "POST /v1/chat/completions": chats("hi"),
    "POST /v1/chat/completions/{id}": {"metadata": {"a": "b"}},
    "POST /v1/responses": asks("hi"),
    "POST /v1/responses/input_tokens": asks("hi"),
    "POST /v1/responses/compact": asks("hi"),
    "POST /v1/conversations": {},
    "POST /v1/conversations/{id}": {"metadata": {}},
    "POST /v1/conversations/{id}/items": {"items": []},
    "POST /v1/embeddings": {"model": "local/all-minilm-l6-v2", "input": "hi"},
    "POST /v1/completions": {"model": "helper", "prompt": "hi"},
    "POST /v1/approvals/{id}": {"approve": False},
}
REFUSED = {
    "DELETE /v1/models/{name}": (403, "insufficient_permissions"),
    "POST /v1/embeddings": (404, "model_not_found"),
    "POST /v1/responses/{id}/cancel": (400, "invalid_request"),
}
"""What a scripted gateway answers as it should, but not with 200."""


def step(call):
    """An agent with a tool calls it; the others say something."""
    return [called("clock__count", "{}")] if call.tools and call.items[-1].kind == "message" else [said("hello")]


@pytest.fixture
def careful(home, clock):
    (home / "agents" / "careful.yaml").write_text(
        "name: careful\nmodel: scripted/one\ntools: [{tool: clock.count, approval: always}]\n"
    )
    return clock


async def made(http, prefix):
    """The ids of one thing of each kind, by the first part of their paths."""

    async def create(path, body):
        answer = await http.post(prefix + path, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    asked = await create("/responses", {**asks("go"), "model": "careful"})
    conversation = await create("/conversations", {"items": [{"role": "user", "content": "hi"}]})
    items = (await http.get(f"{prefix}/conversations/{conversation['id']}/items")).json()
    return {
        "responses": (await create("/responses", asks("hi")))["id"],
        "chat": (await create("/chat/completions", chats("hi", store=True)))["id"],
        "conversations": conversation["id"],
        "item": items["data"][0]["id"],
        "approvals": asked["output"][0]["id"],
        "models": "helper",
    }


def under(path, ids):
    """The path with ids of things that are there."""
    kind = path.split("/")[2]
    filled = path.replace("{item}", ids["item"])
    return filled.replace("{id}", ids.get(kind, "")).replace("{name}", ids.get(kind, ""))


@pytest.mark.requirement("prefix")
@pytest.mark.parametrize("prefix", ["", "/v1"])
async def test_every_path_is_served_with_and_without_the_prefix(gateway, careful, prefix):
    async with gateway(*[step] * 50, servers=careful) as running:
        paths = (await running.http.get("/openapi.json")).json()["paths"]
        operations = [f"{method.upper()} {path}" for path, methods in paths.items() for method in methods]
        ids = await made(running.http, prefix)
        for operation in sorted(operations, key=lambda one: (one.startswith("DELETE"), -one.count("/"), one)):
            method, path = operation.split(" ")
            if not path.startswith("/v1/"):
                continue
            url = prefix + under(path, ids).removeprefix("/v1")
            answer = await running.http.request(method, url, json=BODIES.get(operation))
            status, code = REFUSED.get(operation, (200, None))
            assert answer.status_code == status, (operation, answer.text)
            assert code is None or error_of(answer)["code"] == code, operation


@pytest.mark.requirement("route-order")
@pytest.mark.parametrize("prefix", ["", "/v1"])
async def test_compact_and_input_tokens_are_no_ids_of_responses(gateway, prefix):
    async with gateway() as running:
        for name, kind in (("compact", "response.compaction"), ("input_tokens", "response.input_tokens")):
            made = await running.http.post(f"{prefix}/responses/{name}", json=asks("hi"))
            assert (made.status_code, made.json()["object"]) == (200, kind)
            for method in ("GET", "DELETE"):
                missing = await running.http.request(method, f"{prefix}/responses/{name}")
                assert (missing.status_code, error_of(missing)["param"]) == (404, "id")


@pytest.mark.requirement("poll-after")
async def test_who_polls_is_told_when_to_ask_again(gateway, held):
    async with gateway([held, said("done")]) as running:
        created = await running.http.post("/v1/responses", json=asks("hi", background=True))
        url = f"/v1/responses/{created.json()['id']}"
        meanwhile = await running.http.get(url)
        held.set()
        while (done := await running.http.get(url)).json()["status"] != "completed":
            assert done.headers["openai-poll-after-ms"] == "250"
        waited = await running.http.post("/v1/responses", json=asks("hi", store=False, model="nobody"))
    assert [one.json()["status"] for one in (created, meanwhile)] == ["queued", "in_progress"]
    assert [one.headers.get("openai-poll-after-ms") for one in (created, meanwhile)] == ["250", "250"]
    assert [one.headers.get("openai-poll-after-ms") for one in (done, waited)] == [None, None]


@pytest.mark.requirement("rate-limit-headers")
async def test_headers_of_limits_and_organizations_are_not_made_up(gateway):
    async with gateway() as running:
        headers = {"openai-organization": "org-1", "openai-project": "proj_1", "x-client-request-id": "mine"}
        answer = await running.http.post("/v1/responses", json=asks("hi"), headers=headers)
    assert answer.status_code == 200
    assert {"x-request-id", "openai-processing-ms", "openai-version"} <= set(answer.headers)
    assert [name for name in answer.headers if "ratelimit" in name or name == "openai-organization"] == []


@pytest.mark.requirement("metadata")
async def test_metadata_is_kept_and_shown_with_what_it_was_given_for(gateway):
    given = {f"key {number}": "x" * 512 for number in range(16)}
    async with gateway() as running:
        response = await respond(running, asks("hi", metadata=given))
        completion = (
            await running.http.post("/v1/chat/completions", json=chats("hi", store=True, metadata=given))
        ).json()
        conversation = (await running.http.post("/v1/conversations", json={"metadata": given})).json()
        urls = [f"/v1/responses/{response['id']}", f"/v1/chat/completions/{completion['id']}"]
        urls.append(f"/v1/conversations/{conversation['id']}")
        kept = [(await running.http.get(url)).json()["metadata"] for url in urls]
        changed = [(await running.http.post(url, json={"metadata": {"a": "b"}})).json()["metadata"] for url in urls[1:]]
        read = [(await running.http.get(url)).json()["metadata"] for url in urls[1:]]
    assert kept == [given] * 3
    assert changed == read == [{"a": "b"}] * 2
