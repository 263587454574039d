"""POST /v1/responses/input_tokens: about how long the request is that a response would send to its model."""

import pytest

from gateway.tools.settings import ServerSettings
from tests.apis.asking import somebody_else
from tests.conftest import call, say

pytestmark = pytest.mark.anyio

FUNCTION = {"type": "function", "name": "ask_user", "parameters": {"type": "object", "properties": {}}}
HI = {"type": "input_text", "text": "hi"}
PICTURE = {"type": "input_image", "image_url": "data:image/png;base64," + "A" * 8000}


async def count(gateway, **body):
    answer = await gateway.http.post("/v1/responses/input_tokens", json={"model": "helper", **body})
    assert answer.status_code == 200, answer.text
    assert answer.json().keys() == {"object", "input_tokens"}
    assert answer.json()["object"] == "response.input_tokens"
    return answer.json()["input_tokens"]


async def test_a_token_is_four_bytes_and_an_item_four_tokens(start_gateway, home):
    (home / "agents" / "bare.yaml").write_text("name: bare\nmodel: scripted/one\n")
    async with start_gateway() as gateway:
        counted = await gateway.openai.responses.input_tokens.count(model="bare", input="a" * 400)
        chinese = await count(gateway, model="bare", input="字" * 100)
        again = await gateway.http.post("/responses/input_tokens", json={"model": "bare", "input": "a" * 400})
        assert gateway.provider.calls == []
    assert (counted.input_tokens, chinese, again.json()["input_tokens"]) == (104, 79, 104)


async def test_everything_that_the_model_would_be_sent_counts(start_gateway, home):
    (home / "agents" / "keeper.yaml").write_text("name: keeper\nmodel: scripted/one\ntools: [clock.now]\n")
    clock = {"clock": ServerSettings(module="tests.servers.clock", settings={"folder": str(home)})}
    schema = {"type": "json_schema", "name": "x", "schema": {"type": "object", "description": "long " * 100}}
    async with start_gateway(servers=clock) as gateway:
        plain = await count(gateway, input="hi")
        more = [
            await count(gateway, input="hi", instructions="Be brief."),
            await count(gateway, input="hi", tools=[FUNCTION]),
            await count(gateway, model="keeper", input="hi", instructions="You help."),
            await count(gateway, input="hi", text={"format": schema}),
        ]
        picture = await count(gateway, input=[{"role": "user", "content": [HI, PICTURE]}])
    assert all(each > plain for each in more)
    # However large a picture is, it is taken to be a thousand tokens.
    assert picture == plain + 1000


async def test_what_was_said_before_counts_as_the_model_will_see_it(start_gateway):
    async with start_gateway([say("long " * 200)], [say("Sure.", "msg_2")]) as gateway:
        conversation = (await gateway.openai.conversations.create()).id
        first = await gateway.openai.responses.create(model="helper", input="hi", conversation=conversation)
        plain = await count(gateway, input="and?")
        after = await count(gateway, input="and?", previous_response_id=first.id)
        within = await count(gateway, input="and?", conversation=conversation)
        items = (await gateway.http.get(f"/v1/conversations/{conversation}/items")).json()["data"]
    assert after == within > plain + 250
    # Nothing was added to the conversation.
    assert len(items) == 2


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({"model": "nobody", "input": "hi"}, "model", "model_not_found"),
        ({"model": "helper"}, "input", "missing_required_parameter"),
        ({"input": "hi"}, "model", "missing_required_parameter"),
        ({"model": "helper", "input": [1]}, "input[0]", "invalid_type"),
        ({"model": "helper", "input": "hi", "temperature": 3}, "temperature", "invalid_value"),
        (
            {"model": "helper", "input": "hi", "previous_response_id": "resp_x"},
            "previous_response_id",
            "previous_response_not_found",
        ),
        ({"model": "helper", "input": "hi", "conversation": "conv_x"}, "conversation", "not_found"),
        ({"model": "helper", "input": "hi", "tool_choice": {"type": "function", "name": "x"}}, "tool_choice", None),
        (
            {"model": "helper", "input": [{"type": "function_call_output", "call_id": "c", "output": "42"}]},
            "input",
            "invalid_request",
        ),
    ],
)
async def test_what_a_response_refuses_is_not_counted_either(start_gateway, body, param, code):
    async with start_gateway() as gateway:
        counted = await gateway.http.post("/v1/responses/input_tokens", json=body)
        created = await gateway.http.post("/v1/responses", json=body)
    assert (counted.status_code, counted.json()) == (created.status_code, created.json())
    assert counted.json()["error"]["param"] == param
    assert code is None or counted.json()["error"]["code"] == code


async def test_another_keys_response_and_calls_without_outputs_are_refused(start_gateway):
    async with start_gateway([call("ask_user")]) as gateway:
        first = await gateway.openai.responses.create(model="helper", input="go", tools=[FUNCTION])
        body = {"model": "helper", "input": "hi", "previous_response_id": first.id}
        open_call = await gateway.http.post("/v1/responses/input_tokens", json=body)
        async with somebody_else(gateway) as other:
            hidden = await other.post("/v1/responses/input_tokens", json=body)
    assert "No tool output found" in open_call.json()["error"]["message"]
    assert hidden.json()["error"]["code"] == "previous_response_not_found"
