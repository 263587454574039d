"""What is in a request: what of it the answer repeats, and what can be read but not be kept is refused."""

import pytest

from tests.conftest import say

pytestmark = pytest.mark.anyio

USER = {"role": "user", "content": "hi"}


def function(**more):
    return {"type": "function", "name": "mine", "parameters": {"type": "object", "properties": {}}, **more}


async def test_a_response_tells_the_settings_that_were_used(start_gateway, home):
    (home / "agents" / "cool.yaml").write_text(
        "name: cool\n"
        "model: {primary: scripted/one, params: {temperature: 0.2, top_p: 0.5, presence_penalty: 1.0, "
        "max_output_tokens: 99, reasoning_effort: low, verbosity: high, parallel_tool_calls: false, "
        "response_format: {type: json_object}}}\n"
    )
    async with start_gateway([say("{}")], [say("{}", "b")]) as gateway:
        response = await gateway.openai.responses.create(
            model="cool", input="hi", top_p=0.9, tools=[function()], truncation="auto", reasoning={"summary": "auto"}
        )
        read_back = await gateway.openai.responses.retrieve(response.id)
        plain = await gateway.openai.responses.create(model="helper", input="hi")
        used = gateway.provider.calls[0].options
    shown = response.to_dict()
    for name in ("temperature", "top_p", "presence_penalty", "max_output_tokens", "parallel_tool_calls"):
        assert shown[name] == used[name]
    assert (shown["temperature"], shown["top_p"], shown["frequency_penalty"]) == (0.2, 0.9, 0.0)
    assert shown["text"] == {"format": {"type": "json_object"}, "verbosity": "high"}
    assert shown["reasoning"] == {"effort": "low", "summary": "auto"}
    assert (shown["truncation"], shown["max_tool_calls"]) == ("auto", None)
    assert shown["tools"] == [{**function(), "description": None, "strict": None}]
    assert read_back == response
    assert (plain.temperature, plain.top_p, plain.text.format.type) == (1.0, 1.0, "text")


async def test_a_schema_for_the_answer_is_repeated_as_it_was_used(start_gateway):
    form = {"type": "json_schema", "name": "city", "description": "A city.", "schema": {"type": "object"}}
    async with start_gateway([say("{}")]) as gateway:
        response = await gateway.openai.responses.create(
            model="helper", input="hi", text={"format": form}, tools=[function(strict=True)], tool_choice="required"
        )
        used = gateway.provider.calls[0].options
    assert response.to_dict()["text"]["format"] == {**form, "strict": None} == used["response_format"]
    assert (response.tool_choice, response.tools[0].strict) == ("required", True)


async def test_a_plain_text_answer_can_be_asked_of_an_agent_that_answers_in_json(start_gateway, home):
    (home / "agents" / "json.yaml").write_text(
        "name: json\nmodel: {primary: scripted/one, params: {response_format: {type: json_object}}}\n"
    )
    async with start_gateway([say("hi")]) as gateway:
        response = await gateway.openai.responses.create(model="json", input="hi", text={"format": {"type": "text"}})
        used = gateway.provider.calls[0].options
    assert (used["response_format"], response.text.format.type) == ({"type": "text"}, "text")


HALF = r"\ud83d"
CHAT, RESPONSES, CONVERSATIONS = "/v1/chat/completions", "/v1/responses", "/v1/conversations"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, '{"model": "helper", "messages": [{"role": "user", "content": "HALF"}]}'),
        (CHAT, '{"model": "HALF", "messages": [{"role": "user", "content": "hi"}]}'),
        (RESPONSES, '{"model": "helper", "input": "HALF"}'),
        (RESPONSES, '{"model": "helper", "input": "hi", "metadata": {"HALF": "x"}}'),
        (RESPONSES, '{"model": "helper", "input": "hi", "previous_response_id": "HALF"}'),
        (RESPONSES, '{"model": "helper", "input": [{"role": "user", "content": [{"type": "HALF"}]}]}'),
        (CONVERSATIONS, '{"metadata": {"a": "HALF"}}'),
        (CONVERSATIONS, '{"items": [{"type": "HALF"}]}'),
    ],
)
async def test_half_a_surrogate_pair_is_refused(start_gateway, path, body):
    async with start_gateway() as gateway:
        for stands_for_it in (HALF.encode(), b"\xed\xa0\xbd"):
            answer = await gateway.http.post(path, content=body.encode().replace(b"HALF", stands_for_it))
            assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")


@pytest.mark.parametrize(
    "path", ["/v1/models/%ED%A0%BD", "/v1/responses/%ED%A0%BD", "/v1/conversations/%ED%A0%BD/items"]
)
async def test_half_a_surrogate_pair_in_an_address_is_not_found(start_gateway, path):
    async with start_gateway() as gateway:
        answer = await gateway.http.get(path)
        conversation = (await gateway.openai.conversations.create()).id
        page = await gateway.http.get(f"/v1/conversations/{conversation}/items?after=%ED%A0%BD")
    assert (answer.status_code, page.status_code) == (404, 404)
    assert page.json()["error"]["param"] == "after"


HUGE = 10**30


def quoting(annotations):
    return {"role": "assistant", "content": [{"type": "output_text", "text": "hi", "annotations": annotations}]}


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        (RESPONSES, {"input": "hi", "tools": [function(parameters={"minimum": HUGE})]}, "tools[0].parameters"),
        (RESPONSES, {"input": [quoting([{"index": HUGE}])]}, "input[0].content[0].annotations"),
        (RESPONSES, {"input": [quoting([1])]}, "input[0].content[0].annotations"),
        (
            CHAT,
            {"messages": [USER], "tools": [{"type": "function", "function": {"name": "a", "parameters": {"x": HUGE}}}]},
            "tools[0].function.parameters",
        ),
        (
            CHAT,
            {
                "messages": [USER],
                "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"x": HUGE}}},
            },
            "response_format.json_schema.schema",
        ),
        (CONVERSATIONS, {"items": [quoting([{"index": HUGE}])]}, "items[0].content[0].annotations"),
    ],
)
async def test_what_could_not_be_written_again_is_refused_with_its_place(start_gateway, path, body, param):
    async with start_gateway() as gateway:
        for more in ({}, {"store": False}):
            answer = await gateway.http.post(path, json={"model": "helper", **body, **more})
            assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
