"""Who may come in, and what is answered when something is wrong, on a real socket."""

import asyncio
import json
import re

import anyio
import httpx
import pytest

from gateway.cli.keys import ring
from gateway.http_server import Limits
from tests.conftest import say

pytestmark = pytest.mark.anyio

FOUR_KEYS = {"message", "type", "param", "code"}


@pytest.mark.parametrize("header", [None, "", "Bearer", "Basic abc", "Bearer hp_wrong", "Bearer ' or 1=1 --"])
async def test_without_a_good_key_nothing_is_answered(start_gateway, header):
    async with start_gateway() as gateway:
        headers = {"authorization": header} if header is not None else {}
        gateway.http.headers.pop("authorization")
        answer = await gateway.http.get("/v1/models", headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
    assert answer.headers["x-request-id"].startswith("req_")


async def test_a_key_made_and_revoked_beside_the_running_gateway_counts_at_once(start_gateway):
    async with start_gateway() as gateway:
        key = ring(gateway.settings).create("guest")
        headers = {"authorization": f"Bearer {key}"}
        assert (await gateway.http.get("/v1/models", headers=headers)).status_code == 200
        ring(gateway.settings).revoke("guest")
        assert (await gateway.http.get("/v1/models", headers=headers)).status_code == 401


async def test_another_keys_responses_and_conversations_do_not_exist(start_gateway):
    async with start_gateway([say("mine")]) as gateway:
        headers = {"authorization": f"Bearer {ring(gateway.settings).create('guest')}"}
        conversation = await gateway.openai.conversations.create()
        response = await gateway.openai.responses.create(model="helper", input="hi", conversation=conversation.id)
        base = {"model": "helper", "input": "hi"}
        tries = [
            await gateway.http.get(f"/v1/responses/{response.id}", headers=headers),
            await gateway.http.delete(f"/v1/responses/{response.id}", headers=headers),
            await gateway.http.get(f"/v1/conversations/{conversation.id}", headers=headers),
            await gateway.http.post(f"/v1/conversations/{conversation.id}", json={"metadata": {}}, headers=headers),
            await gateway.http.delete(f"/v1/conversations/{conversation.id}", headers=headers),
            await gateway.http.get(f"/v1/conversations/{conversation.id}/items", headers=headers),
            await gateway.http.post(f"/v1/conversations/{conversation.id}/items", json={"items": []}, headers=headers),
            await gateway.http.post("/v1/responses", json={**base, "conversation": conversation.id}, headers=headers),
            await gateway.http.post(
                "/v1/responses", json={**base, "previous_response_id": response.id}, headers=headers
            ),
            await gateway.http.post(
                "/v1/responses", json={**base, "previous_response_id": response.id, "store": False}, headers=headers
            ),
        ]
    assert [answer.status_code for answer in tries] == [404] * 8 + [400] * 2
    assert len(gateway.provider.calls) == 1


async def test_another_keys_busy_conversation_looks_like_none_and_is_not_waited_for(start_gateway):
    asked, hold = asyncio.Event(), asyncio.Event()

    def slowly(_):
        asked.set()
        return [hold, say("mine")]

    async with start_gateway(slowly) as gateway:
        headers = {"authorization": f"Bearer {ring(gateway.settings).create('guest')}"}
        conversation = (await gateway.openai.conversations.create()).id
        asking = asyncio.ensure_future(
            gateway.openai.responses.create(model="helper", input="hi", conversation=conversation)
        )
        await asked.wait()
        body = {"model": "helper", "input": "hi", "conversation": conversation}
        reject = {**headers, "x-homeport-when-busy": "reject"}
        waiting = await gateway.http.post("/v1/responses", json=body, headers=headers)
        rejecting = await gateway.http.post("/v1/responses", json=body, headers=reject)
        hold.set()
        await asking
    assert (waiting.status_code, rejecting.status_code) == (404, 404)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/nothing", 404), ("POST", "/v1/audio/speech", 404), ("PUT", "/v1/models", 405), ("GET", "/", 404)],
)
async def test_an_unknown_url_has_openais_error_body(start_gateway, method, path, status):
    async with start_gateway() as gateway:
        answer = await gateway.http.request(method, path)
    assert answer.status_code == status
    assert answer.json()["error"].keys() == FOUR_KEYS


async def test_paths_work_with_and_without_v1(start_gateway):
    async with start_gateway() as gateway:
        bare, versioned = await gateway.http.get("/models"), await gateway.http.get("/v1/models")
    assert bare.json() == versioned.json()
    assert [model["id"] for model in bare.json()["data"]] == ["helper"]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'"hi"', b"\xff\xfe", b"null", b"[" * 100_000, b'{"a":' + b"1" * 5000 + b"}"]
)
async def test_a_body_that_is_not_the_right_json_is_a_400(start_gateway, body):
    async with start_gateway() as gateway:
        for path in ("/v1/responses", "/v1/chat/completions", "/v1/conversations"):
            answer = await gateway.http.post(path, content=body)
            assert answer.status_code == 400, path
            assert answer.json()["error"].keys() == FOUR_KEYS


async def test_a_body_that_is_too_large_is_refused_with_and_without_a_length(start_gateway):
    async def pieces():
        for _ in range(21):
            yield b" " * 2**20

    async with start_gateway() as gateway:
        declared = await gateway.http.post("/v1/responses", content=b" " * (21 * 2**20))
        chunked = await gateway.http.post("/v1/responses", content=pieces())
    assert (declared.status_code, chunked.status_code) == (413, 413)
    assert declared.json()["error"]["code"] == "request_too_large"


async def test_a_foreign_host_is_refused(start_gateway):
    async with start_gateway() as gateway:
        answer = await gateway.http.get("/v1/models", headers={"host": "evil.example"})
    assert answer.status_code == 403


async def test_headers_that_are_too_large_close_the_connection(start_gateway):
    async with start_gateway() as gateway:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", gateway.settings.port or int(gateway.url[-5:].strip(":/"))
        )
        writer.write(b"GET / HTTP/1.1\r\nhost: localhost\r\n")
        with anyio.fail_after(10):
            try:
                while True:
                    writer.write(b"x-filler: " + b"a" * 8000 + b"\r\n")
                    await writer.drain()
                    if reader.at_eof() or writer.is_closing():
                        break
                    await asyncio.sleep(0)
            except ConnectionError:
                pass
        writer.close()
        assert (await gateway.http.get("/healthz")).status_code == 200


@pytest.mark.parametrize("key", ["", "wrong"])
async def test_a_refused_request_is_not_read_to_its_end(start_gateway, key):
    async with start_gateway(clients=Limits(linger_seconds=0.05)) as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(gateway.url).port)
        head = f"POST /v1/responses HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\n"
        writer.write(f"{head}content-length: 100000000\r\n\r\n".encode())
        answer = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"x")
        body = await reader.read()
        writer.close()
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b"\r\nconnection: close\r\n" in answer
    assert json.loads(body)["error"]["code"] == "invalid_api_key"


async def test_a_refused_request_that_came_as_a_whole_leaves_the_connection_open(start_gateway):
    async with start_gateway() as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(gateway.url).port)
        for _ in range(2):
            writer.write(b"POST /v1/responses HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n{}")
            answer = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", answer)
            await reader.readexactly(int(length[1]))
            assert b"connection: close" not in answer
        writer.close()


async def test_health_needs_no_key(start_gateway):
    async with start_gateway() as gateway:
        gateway.http.headers.pop("authorization")
        health, ready = await gateway.http.get("/healthz"), await gateway.http.get("/readyz")
    assert (health.status_code, ready.status_code) == (200, 200)


async def test_a_second_gateway_on_the_same_data_does_not_start(start_gateway, capfd):
    async with start_gateway() as gateway:
        with pytest.raises(AssertionError, match="did not start"):
            async with start_gateway(data=gateway.settings.data):
                pass
