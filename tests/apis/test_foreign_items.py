"""Items of tools that ran elsewhere: whole conversations are taken over, and read back as they were."""

import openai
import pytest
from openai.types.conversations import ConversationItem
from openai.types.responses import ResponseItem
from pydantic import TypeAdapter

from gateway.items import Image, ToolCall, ToolResult
from tests.conftest import say

pytestmark = pytest.mark.anyio

PIXEL = "data:image/png;base64,iVBORw0KGgo="
FUNCTION = {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": False}
SEARCH = {"type": "search", "query": "fjords", "sources": [{"type": "url", "url": "https://example.com/a"}]}
HOSTED = [
    {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": SEARCH},
    {
        "type": "web_search_call",
        "id": "ws_2",
        "status": "completed",
        "action": {"type": "open_page", "url": "https://a.b"},
    },
    {
        "type": "web_search_call",
        "id": "ws_3",
        "status": "failed",
        "action": {"type": "find_in_page", "url": "https://a.b", "pattern": "x"},
    },
    {
        "type": "code_interpreter_call",
        "id": "ci_1",
        "code": "print(1)",
        "container_id": "cntr_1",
        "outputs": [{"type": "logs", "logs": "1"}, {"type": "image", "url": "https://example.com/i.png"}],
        "status": "completed",
    },
    {"type": "image_generation_call", "id": "ig_1", "result": "aGk=", "revised_prompt": "a cat", "status": "completed"},
    {"type": "file_search_call", "id": "fs_1", "queries": ["refunds"], "status": "completed", "results": None},
]
CLIENTS = [
    {
        "type": "computer_call",
        "id": "cu_1",
        "call_id": "c1",
        "action": {"type": "click", "button": "left", "x": 1, "y": 2},
        "pending_safety_checks": [{"id": "check"}],
        "status": "completed",
    },
    {
        "type": "computer_call_output",
        "id": "cuo_1",
        "call_id": "c1",
        "output": {"type": "computer_screenshot", "image_url": PIXEL},
        "status": "completed",
    },
    {
        "type": "local_shell_call",
        "id": "lsh_1",
        "call_id": "c2",
        "action": {"type": "exec", "command": ["ls"], "env": {}},
        "status": "completed",
    },
    {"type": "local_shell_call_output", "id": "c2", "output": "a.txt"},
    {
        "type": "shell_call",
        "id": "sh_1",
        "call_id": "c3",
        "action": {"commands": ["ls"], "timeout_ms": 1000, "max_output_length": None},
        "status": "completed",
    },
    {
        "type": "shell_call_output",
        "id": "sho_1",
        "call_id": "c3",
        "output": [{"stdout": "b.txt", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}],
        "status": "completed",
        "max_output_length": None,
    },
    {
        "type": "apply_patch_call",
        "id": "apc_1",
        "call_id": "c4",
        "operation": {"type": "delete_file", "path": "a.txt"},
        "status": "completed",
    },
    {"type": "apply_patch_call_output", "id": "apco_1", "call_id": "c4", "status": "failed", "output": "no such file"},
    {"type": "program", "id": "prog_1", "call_id": "c5", "code": "f()", "fingerprint": "x"},
    {"type": "program_output", "id": "progo_1", "call_id": "c5", "result": "done", "status": "completed"},
]
SILENT = [
    {
        "type": "tool_search_call",
        "id": "tsc_1",
        "call_id": "c6",
        "arguments": {"query": "f"},
        "execution": "client",
        "status": "completed",
    },
    {
        "type": "tool_search_output",
        "id": "tso_1",
        "call_id": "c6",
        "tools": [FUNCTION],
        "execution": "client",
        "status": "completed",
    },
    {"type": "additional_tools", "id": "at_1", "role": "developer", "tools": [FUNCTION]},
]
NEWER = [{"type": "configuration_update", "id": "cfg_1", "reasoning": {"effort": "low"}}]
"""What the installed client has no type for."""
EVERYTHING = [*HOSTED, *CLIENTS, *SILENT, *NEWER]
ASKED = {"role": "user", "content": "well?"}


async def shown(gateway, given, **fields):
    """What a model is shown of this input, behind the agent's instructions and without the question."""
    await gateway.openai.responses.create(model="helper", input=[*given, ASKED], **fields)
    return list(gateway.provider.calls[-1].items[1:-1])


async def test_they_are_read_back_as_they_came_and_as_the_client_has_them(start_gateway):
    async with start_gateway([say("ok")]) as gateway:
        response = await gateway.openai.responses.create(model="helper", input=[*EVERYTHING, ASKED])
        page = f"/v1/responses/{response.id}/input_items?order=asc&limit=100"
        listed = (await gateway.http.get(page)).json()["data"]
        made = await gateway.http.post("/v1/conversations", json={"items": EVERYTHING})
        items = f"/v1/conversations/{made.json()['id']}/items"
        kept = (await gateway.http.get(f"{items}?order=asc&limit=100")).json()["data"]
        one = (await gateway.http.get(f"{items}/ws_1")).json()
    assert listed[:-1] == kept == EVERYTHING
    assert one == EVERYTHING[0]
    for item in [*HOSTED, *CLIENTS, *SILENT]:
        TypeAdapter(ResponseItem).validate_python(item)
        TypeAdapter(ConversationItem).validate_python(item)


async def test_what_a_client_left_out_is_filled_in(start_gateway):
    left_out = {"id", "status", "execution", "pending_safety_checks"}
    given = [{name: value for name, value in item.items() if name not in left_out} for item in [*HOSTED[:3], *SILENT]]
    given.append({"type": "computer_call", "call_id": "c", "action": {"type": "wait"}, "id": None})
    async with start_gateway() as gateway:
        made = await gateway.openai.conversations.create(items=given)
        read = [item async for item in gateway.openai.conversations.items.list(made.id, order="asc")]
    prefixes = ["ws", "ws", "ws", "tsc", "tso", "at", "cu"]
    assert [item.id.partition("_")[0] for item in read] == prefixes
    assert {item.status for item in read if item.type != "additional_tools"} == {"completed"}


async def test_a_model_is_told_what_was_called_and_what_came_of_it(start_gateway):
    async with start_gateway([say("ok")]) as gateway:
        items = await shown(gateway, EVERYTHING)
    calls = [(item.name, item.arguments) for item in items if isinstance(item, ToolCall)]
    results = {item.call_id: item for item in items if isinstance(item, ToolResult)}
    assert calls == [
        ("web_search", '{"query": "fjords"}'),
        ("web_search", '{"url": "https://a.b"}'),
        ("web_search", '{"url": "https://a.b", "pattern": "x"}'),
        ("code_interpreter", '{"code": "print(1)"}'),
        ("image_generation", '{"prompt": "a cat"}'),
        ("computer", '{"actions": [{"type": "click", "button": "left", "x": 1, "y": 2}]}'),
        ("local_shell", '{"command": ["ls"], "env": {}}'),
        ("shell", '{"commands": ["ls"], "timeout_ms": 1000}'),
        ("apply_patch", '{"type": "delete_file", "path": "a.txt"}'),
        ("program", '{"code": "f()"}'),
    ]
    assert len(items) == 20 and {item.call_id for item in items if isinstance(item, ToolCall)} == results.keys()
    assert results["ws_1"].text == "https://example.com/a"
    assert results["ws_3"].is_error and results["c4"].is_error
    assert results["ci_1"].text == "1\nhttps://example.com/i.png"
    assert "aGk=" not in results["ig_1"].text
    assert results["c1"].content == (Image(url=PIXEL),)
    assert (results["c2"].text, results["c4"].text, results["c5"].text) == ("a.txt", "no such file", "done")
    assert "b.txt" in results["c3"].text


async def test_a_conversation_goes_on_with_them(start_gateway):
    async with start_gateway([say("one")], [say("two")], [say("three")]) as gateway:
        create = gateway.openai.responses.create
        first = await create(model="helper", input=[*EVERYTHING, ASKED])
        before = list(gateway.provider.calls[0].items)
        second = await create(model="helper", input="more?", previous_response_id=first.id)
        after = list(gateway.provider.calls[1].items)
        reference = {"type": "item_reference", "id": "ws_1"}
        third = await create(model="helper", input=[reference, ASKED])
        referred = gateway.provider.calls[2].items[1]
    assert after[: len(before)] == before
    assert (second.output_text, third.output_text) == ("two", "three")
    assert isinstance(referred, ToolCall) and referred.name == "web_search"


async def test_what_leaves_a_short_context_is_never_a_call_without_its_output(start_gateway, home):
    document = "name: short\nmodel: scripted/one\ninstructions: You help.\ncontext: {budget_tokens: 150}\n"
    (home / "agents" / "short.yaml").write_text(document)
    call, output = CLIENTS[4:6]
    long = [{"role": "user", "content": "word " * 400}, {"role": "assistant", "content": "noted"}]
    async with start_gateway([say("ok")]) as gateway:
        made = await gateway.openai.conversations.create(items=[*long, {"role": "user", "content": "list"}, call])
        await gateway.openai.responses.create(model="short", conversation=made.id, input=[output])
        items = gateway.provider.calls[0].items
    assert [item.kind for item in items] == ["message", "message", "tool_call", "tool_result"]


@pytest.mark.parametrize("place", range(0, 8, 2))
@pytest.mark.parametrize("half", [0, 1])
async def test_a_call_leaves_a_conversation_with_its_output(start_gateway, place, half):
    pair = CLIENTS[place : place + 2]
    async with start_gateway([say("ok")]) as gateway:
        conversations = gateway.openai.conversations
        made = await conversations.create(items=[ASKED, *pair])
        await conversations.items.delete(pair[half]["id"], conversation_id=made.id)
        left = [item.type async for item in conversations.items.list(made.id)]
        await gateway.openai.responses.create(model="helper", conversation=made.id, input="and?")
        shown = [item.kind for item in gateway.provider.calls[0].items]
    assert (left, shown) == (["message"], ["message"] * 3)


async def test_a_page_that_was_opened_may_have_what_a_search_has(start_gateway):
    opened = {"type": "web_search_call", "id": "ws_9", "status": "completed"}
    opened["action"] = {"type": "open_page", "url": "https://a.b", "sources": ["https://example.com"]}
    async with start_gateway([say("ok")]) as gateway:
        await gateway.openai.responses.create(model="helper", input=[opened, ASKED])
        (told,) = (item for item in gateway.provider.calls[0].items if item.kind == "tool_result")
    assert "example.com" not in told.text


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([CLIENTS[4]], "No tool output found for function call c3."),
        ([CLIENTS[5]], "No tool call found for function call output with call_id c3."),
    ],
)
async def test_a_call_and_its_output_belong_together(start_gateway, given, said):
    async with start_gateway() as gateway:
        with pytest.raises(openai.BadRequestError, match=said):
            await gateway.openai.responses.create(model="helper", input=[*given, ASKED])


def without(item, name):
    return {key: value for key, value in item.items() if key != name}


@pytest.mark.parametrize(
    ("item", "place"),
    [
        (without(HOSTED[0], "action"), "action"),
        ({**HOSTED[0], "action": {"type": "dance"}}, "action.type"),
        ({**HOSTED[0], "action": {"type": "find_in_page", "url": "https://a.b"}}, "action.pattern"),
        ({**HOSTED[0], "status": "gone"}, "status"),
        (without(HOSTED[3], "container_id"), "container_id"),
        ({**HOSTED[3], "outputs": [{"type": "logs"}]}, "outputs[0].logs"),
        ({**HOSTED[4], "result": 5}, "result"),
        (without(HOSTED[5], "queries"), "queries"),
        ({**CLIENTS[0], "action": {"type": "click", "x": 1, "y": 2}}, "action.button"),
        ({**CLIENTS[0], "actions": [{"type": "type"}]}, "actions[0].text"),
        (without(CLIENTS[1], "output"), "output"),
        ({**CLIENTS[2], "action": {"type": "exec", "command": "ls", "env": {}}}, "action.command"),
        (without(CLIENTS[3], "output"), "output"),
        (without(CLIENTS[4], "call_id"), "call_id"),
        ({**CLIENTS[5], "output": [{"stdout": ""}]}, "output[0].stderr"),
        ({**CLIENTS[6], "operation": {"type": "create_file", "path": "a"}}, "operation.diff"),
        (without(CLIENTS[7], "status"), "status"),
        (without(CLIENTS[8], "fingerprint"), "fingerprint"),
        (without(SILENT[0], "arguments"), "arguments"),
        ({**SILENT[1], "tools": [{}]}, "tools[0].type"),
        ({**SILENT[2], "role": "user"}, "role"),
        ({**NEWER[0], "reasoning": {"effort": "huge"}}, "reasoning.effort"),
        ({**HOSTED[0], "more": 2**70}, ""),
        ({"type": "nothing"}, "type"),
    ],
)
async def test_one_that_is_not_whole_is_refused_with_its_place(start_gateway, item, place):
    async with start_gateway() as gateway:
        answer = await gateway.http.post("/v1/responses", json={"model": "helper", "input": [ASKED, item]})
        added = await gateway.http.post("/v1/conversations", json={"items": [ASKED, item]})
    params = [answer.json()["error"]["param"], added.json()["error"]["param"]]
    assert params == [f"{name}[1].{place}".rstrip(".") for name in ("input", "items")]
    assert (answer.status_code, added.status_code) == (400, 400)
