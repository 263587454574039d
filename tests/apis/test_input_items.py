"""What may be in `input`: whole conversations, whoever had them before, with or without types and ids."""

import openai
import pytest

from gateway.items import ToolCall, ToolResult
from tests.conftest import call, say

pytestmark = pytest.mark.anyio

WEATHER = {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}}


async def shown(start_gateway, given):
    """What a model is shown of this input, behind the agent's instructions."""
    async with start_gateway([say("ok")]) as gateway:
        response = await gateway.openai.responses.create(model="helper", input=given, tools=[WEATHER])
        assert response.output_text == "ok"
        return list(gateway.provider.calls[0].items[1:])


async def test_messages_need_no_type_no_id_and_no_status(start_gateway):
    items = await shown(
        start_gateway,
        [
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": [{"type": "output_text", "text": "b"}]},
            {"role": "assistant", "content": "c", "phase": "final_answer"},
            {"role": "user", "content": [{"type": "input_text", "text": "d"}]},
        ],
    )
    assert [(item.role, item.text) for item in items] == [
        ("user", "a"), ("assistant", "b"), ("assistant", "c"), ("user", "d"),
    ]  # fmt: skip


async def test_a_history_of_another_service_is_read_with_its_own_ids(start_gateway):
    items = await shown(
        start_gateway,
        [
            {"type": "message", "id": "msg_elsewhere", "role": "user", "content": "Oslo and Bergen?"},
            {"type": "reasoning", "id": "rs_elsewhere", "summary": [], "encrypted_content": None, "content": None},
            {"type": "function_call", "id": "fc_a", "call_id": "a", "name": "weather", "arguments": "{}"},
            {"type": "function_call", "call_id": "b", "name": "weather", "arguments": "{}", "status": None},
            {"type": "function_call_output", "call_id": "a", "output": "rain"},
            {"type": "function_call_output", "call_id": "b", "output": [{"type": "input_text", "text": "more rain"}]},
            {"role": "user", "content": "and tomorrow?"},
        ],
    )
    assert [item.id for item in items[:3]] == ["msg_elsewhere", "rs_elsewhere", "fc_a"]
    assert [(item.call_id, item.text) for item in items if isinstance(item, ToolResult)] == [
        ("a", "rain"), ("b", "more rain"),
    ]  # fmt: skip


async def test_what_a_response_put_out_can_be_put_in_again(start_gateway):
    calls = [call("weather", call_id="call_a"), call("weather", call_id="call_b")]
    async with start_gateway([say("I look."), *calls], [say("rain", "msg_2")]) as gateway:
        first = await gateway.openai.responses.create(model="helper", input="?", tools=[WEATHER], store=False)
        outputs = [
            {"type": "function_call_output", "call_id": item.call_id, "output": "rain"}
            for item in first.output
            if item.type == "function_call"
        ]
        replayed = [{"role": "user", "content": "?"}, *(item.model_dump() for item in first.output), *outputs]
        second = await gateway.openai.responses.create(model="helper", input=replayed, tools=[WEATHER], store=False)
        kinds = [item.kind for item in gateway.provider.calls[1].items]
    assert second.output_text == "rain"
    assert kinds == ["message", "message", "message", "tool_call", "tool_call", "tool_result", "tool_result"]


async def test_what_the_tools_of_another_service_did_is_kept_where_it_says_something(start_gateway):
    found = [{"file_id": "f", "filename": "a.md", "score": 0.9, "text": "Five days.", "attributes": {}}]
    items = await shown(
        start_gateway,
        [
            {"type": "mcp_list_tools", "id": "mcpl_1", "server_label": "x", "tools": []},
            {"type": "file_search_call", "id": "fs_1", "queries": ["refunds"], "status": "completed"},
            {"type": "file_search_call", "id": "fs_2", "queries": ["refunds"], "results": found, "status": "completed"},
            {
                "type": "mcp_call",
                "id": "mcp_1",
                "server_label": "x",
                "name": "look",
                "arguments": "{}",
                "output": "seen",
                "error": None,
            },
            {"role": "user", "content": "well?"},
        ],
    )
    search, results, look, seen, _ = items
    assert isinstance(search, ToolCall) and "refunds" in search.arguments
    assert isinstance(results, ToolResult) and "a.md" in results.text and "Five days." in results.text
    assert isinstance(look, ToolCall) and isinstance(seen, ToolResult) and seen.text == "seen"


@pytest.mark.parametrize(
    ("item", "param"),
    [
        ({"type": "web_search_call", "id": "ws_1", "status": "completed"}, "input[0].action"),
        ({"type": "computer_call_output", "call_id": "c"}, "input[0].output"),
        ({"content": "who?"}, "input[0].type"),
        ({"type": "custom_tool_call", "call_id": "c", "name": "sql"}, "input[0].input"),
        ({"role": "user", "content": [{"type": "input_image", "file_id": "file-1"}]}, "input[0].content[0].file_id"),
        ({"role": "user", "content": [{"type": "input_file", "file_id": "file-1"}]}, "input[0].content[0].file_id"),
        ({"role": "user", "content": [{"type": "input_file", "filename": "a.pdf"}]}, "input[0].content[0]"),
        (
            {"role": "user", "content": [{"type": "input_image", "image_url": "file:///etc/passwd"}]},
            "input[0].content[0].image_url",
        ),
        ({"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}, "input[0].content[0].type"),
    ],
)
async def test_what_cannot_be_had_here_is_refused_with_its_place(start_gateway, item, param):
    async with start_gateway() as gateway:
        with pytest.raises(openai.BadRequestError) as refused:
            await gateway.openai.responses.create(model="helper", input=[item])
        assert gateway.provider.calls == []
    assert refused.value.param == param
