"""A conversation has a greatest size: each turn of it is read, and sent to a model, as a whole."""

import pytest

from tests.conftest import say

pytestmark = pytest.mark.anyio


def error(answer):
    said = answer.json()["error"]
    return answer.status_code, said["code"], said["param"]


async def test_a_conversation_that_is_too_long_takes_no_more(start_gateway):
    async with start_gateway([say("x" * 600)], [say("ok", "b")], max_history=1000) as gateway:
        post = gateway.http.post
        first = (await post("/v1/responses", json={"model": "helper", "input": "y" * 300})).json()
        body = {"model": "helper", "previous_response_id": first["id"]}
        full = await post("/v1/responses", json={**body, "input": "z" * 101})
        fits = await post("/v1/responses", json={**body, "input": "z" * 100})
        assert len(gateway.provider.calls) == 2
    assert error(full) == (400, "context_length_exceeded", "input")
    assert fits.status_code == 200


async def test_items_that_are_added_count_too(start_gateway):
    item = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "x" * 600}
    result = {"type": "function_call_output", "call_id": "c", "output": "x" * 500}
    picture = {"type": "input_image", "image_url": "data:image/png;base64," + "x" * 980}
    async with start_gateway(max_history=1000) as gateway:
        made = (await gateway.http.post("/v1/conversations", json={})).json()
        url = f"/v1/conversations/{made['id']}/items"
        for items in ([item, result], [{"role": "user", "content": [picture]}]):
            assert error(await gateway.http.post(url, json={"items": items})) == (
                400,
                "context_length_exceeded",
                "items",
            )
        assert (await gateway.http.post(url, json={"items": [item]})).status_code == 200


async def test_a_chat_that_is_too_long_is_told_so_in_its_own_words(start_gateway):
    async with start_gateway(max_history=1000) as gateway:
        body = {"model": "helper", "messages": [{"role": "user", "content": "x" * 1001}]}
        answer = await gateway.http.post("/v1/chat/completions", json=body)
    assert error(answer) == (400, "context_length_exceeded", "messages")


@pytest.mark.parametrize(
    "item",
    [
        {"role": "user", "content": "hi", "id": "m" * 1100},
        {
            "role": "assistant",
            "content": [
                {"type": "output_text", "text": "hi", "annotations": [{"type": "file_path", "file_id": "f" * 1000}]}
            ],
        },
        {"type": "mcp_call", "id": "c", "server_label": "s", "name": "n" * 1100, "arguments": "{}", "output": ""},
        {"role": "user", "content": [{"type": "input_file", "file_data": "data:,x", "filename": "n" * 1100}]},
    ],
    ids=["id", "annotation", "name", "file"],
)
async def test_what_stands_beside_the_text_counts_too(start_gateway, item):
    async with start_gateway(max_history=1000) as gateway:
        answer = await gateway.http.post("/v1/responses", json={"model": "helper", "input": [item]})
    assert error(answer) == (400, "context_length_exceeded", "input")
