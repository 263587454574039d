"""What a body may hold, on a real socket: a wrong or an endless list must cost neither memory nor time."""

import resource

import pytest

from gateway.tools.settings import ServerSettings
from tests.conftest import say

pytestmark = pytest.mark.anyio

CHAT, RESPONSES, CONVERSATIONS = "/v1/chat/completions", "/v1/responses", "/v1/conversations"
MILLION = 1_000_000


def peak() -> int:
    """The most memory that this process ever had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


@pytest.mark.parametrize(
    ("path", "head", "tail", "param"),
    [
        (CHAT, '{"model":"helper","messages":[', "]}", "messages[0]"),
        (CHAT, '{"model":"helper","messages":[{"role":"user","content":[', "]}]}", "messages[0].content[0]"),
        (CHAT, '{"model":"helper","messages":[{"role":"user","content":"x"}],"stop":[', "]}", "stop[0]"),
        (CHAT, '{"model":"helper","messages":[{"role":"user","content":"x"}],"tools":[', "]}", "tools[0]"),
        (RESPONSES, '{"model":"helper","input":[', "]}", "input[0]"),
        (RESPONSES, '{"model":"helper","input":"x","tools":[', "]}", "tools[0]"),
        (RESPONSES, '{"model":"helper","input":"x","text":[', "]}", "text"),
    ],
)
async def test_the_first_wrong_element_is_told_and_a_million_cost_nothing_more(start_gateway, path, head, tail, param):
    async with start_gateway() as gateway:
        few = await gateway.http.post(path, content=f"{head}{','.join(['1'] * 500)}{tail}")
        before = peak()
        many = await gateway.http.post(path, content=f"{head}{','.join(['1'] * MILLION)}{tail}")
        grown = peak() - before
    assert (few.status_code, few.json()["error"]["param"]) == (400, param)
    assert (many.status_code, many.json()["error"]["code"]) == (400, "object_above_max_properties")
    assert grown < 100


@pytest.mark.parametrize("element", ["[]", "{}", '""', '{"role":"user","content":"x"}', r'"\\\","'])
async def test_a_million_values_are_refused_before_anything_is_made_of_them(start_gateway, element):
    async with start_gateway() as gateway:
        before = peak()
        for path, key in ((CHAT, "messages"), (RESPONSES, "input"), (CONVERSATIONS, "items")):
            content = f'{{"model":"helper","{key}":[{",".join([element] * (MILLION // 5))}]}}'
            answer = await gateway.http.post(path, content=content)
            assert (answer.status_code, answer.json()["error"]["code"]) == (400, "object_above_max_properties")
        grown = peak() - before
    assert grown < 100


async def test_a_tool_server_is_not_given_a_million_values_either(start_gateway):
    servers = {"clock": ServerSettings(module="tests.servers.clock")}
    accept = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
    call = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"now","arguments":{"a":[%s]}}}'
    async with start_gateway(servers=servers) as gateway:
        many = await gateway.http.post("/mcp/clock", content=call % ",".join(["[]"] * MILLION), headers=accept)
        large = await gateway.http.post("/mcp/clock", content=b" " * (20 * 1024 * 1024 + 1), headers=accept)
    assert (many.status_code, many.json()["error"]["code"]) == (400, "object_above_max_properties")
    assert large.status_code == 413


async def test_a_list_has_a_greatest_length_that_is_told(start_gateway):
    message = {"role": "user", "content": "x"}
    tool = {"type": "function", "function": {"name": "f"}}
    part = {"type": "text", "text": "x"}
    tries = [
        (CHAT, "messages", {"messages": [message] * 10_001}),
        (CHAT, "messages[0].content", {"messages": [{"role": "user", "content": [part] * 1001}]}),
        (CHAT, "tools", {"messages": [message], "tools": [tool] * 513}),
        (RESPONSES, "input", {"input": [message] * 10_001}),
        (RESPONSES, "tools", {"input": "x", "tools": [{"type": "function", "name": "f"}] * 513}),
    ]
    async with start_gateway() as gateway:
        for path, param, body in tries:
            error = (await gateway.http.post(path, json={"model": "helper", **body})).json()["error"]
            assert (error["param"], error["code"]) == (param, "array_above_max_length")
            assert "at most" in error["message"]


async def test_what_is_in_a_string_is_not_counted(start_gateway):
    text = 'a, b, [c] {d} "e" \\ ' * 100_000
    async with start_gateway([say("read")], [say("read")]) as gateway:
        one = await gateway.openai.responses.create(model="helper", input=text)
        two = await gateway.openai.chat.completions.create(
            model="helper", messages=[{"role": "user", "content": [{"type": "text", "text": text}]}]
        )
    assert (one.output_text, two.choices[0].message.content) == ("read", "read")
    assert gateway.provider.calls[0].items[-1].text == text


@pytest.mark.parametrize(
    ("path", "fields", "param"),
    [
        (RESPONSES, '"input":"x","max_output_tokens":1{}', "max_output_tokens"),
        (CHAT, '"messages":[{{"role":"user","content":"x"}}],"seed":-1{}', "seed"),
        (CHAT, '"messages":[{{"role":"user","content":"x"}}],"max_tokens":1{}', "max_tokens"),
        (CHAT, '"messages":[{{"role":"user","content":"x"}}],"max_completion_tokens":1{}', "max_completion_tokens"),
        (
            RESPONSES,
            '"input":"x","tools":[{{"type":"function","name":"f","parameters":{{"maximum":1{}}}}}]',
            "tools[0].parameters",
        ),
    ],
)
@pytest.mark.parametrize("more", ["", ',"stream":true', ',"store":false', ',"store":false,"stream":true'])
async def test_a_number_that_nothing_else_can_hold_is_refused(start_gateway, path, fields, param, more):
    async with start_gateway() as gateway:
        body = f'{{"model":"helper",{fields.format("0" * 30)}{more}}}'
        answer = await gateway.http.post(path, content=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


@pytest.mark.parametrize(
    ("value", "param", "message"),
    [
        ("5", "input", "a string or an array"),
        ("[5]", "input[0]", "object"),
        ("null", "input", "a string or an array"),
    ],
)
async def test_a_wrong_kind_of_input_is_told_in_the_clients_words(start_gateway, value, param, message):
    async with start_gateway() as gateway:
        error = (await gateway.http.post(RESPONSES, content=f'{{"model":"helper","input":{value}}}')).json()["error"]
    assert (error["param"], error["code"]) == (param, "invalid_type")
    assert message in error["message"]
