"""What a drop-in must get right, line by line: a turn after any other, and the fields of requests."""

import pytest

from gateway.items import Reasoning, new_id
from tests.compat.model import called, said
from tests.compat.wire import WEATHER, asks, events, respond

pytestmark = pytest.mark.anyio

SEARCH = {"type": "file_search", "vector_store_ids": ["help"]}
CUSTOM = {"type": "custom", "name": "note"}
FIRST = [{"role": "user", "content": "first"}]
ENDS = {
    "message": [said("one")],
    "reasoning": [said("one"), Reasoning(id=new_id("rs"), text="hm")],
    "function_call": [called("weather", "{}")],
    "custom_tool_call": [called("note", '{"input": "x"}')],
    "mcp_call": [called("clock__now", "{}")],
    "mcp_approval_request": [called("clock__count", "{}")],
    "file_search_call": [called("rag__search", '{"query": "money", "knowledge_base": "help"}')],
    "compaction": [said("Something was said first.")],
}
"""What the model says in a turn that ends with an item of this type."""


def answer(item):
    """What a client goes on with after this item."""
    match item["type"]:
        case "function_call" | "custom_tool_call" as kind:
            return [{"type": f"{kind}_output", "call_id": item["call_id"], "output": "cold"}]
        case "mcp_approval_request":
            return [{"type": "mcp_approval_response", "approval_request_id": item["id"], "approve": False}]
        case _:
            return "second"


async def ended(running, body, way):
    """The response at its end, however it was asked for."""
    if way.endswith("streamed"):
        return (await events(running, {**body, "background": way != "streamed"}))[-1]["response"]
    response = await respond(running, {**body, "background": way == "background"})
    while response["status"] in ("queued", "in_progress"):
        response = (await running.http.get(f"/v1/responses/{response['id']}")).json()
    return response


@pytest.fixture
def tools(home, clock, rag, request):
    """The servers of two agents: `short` ends its turn where it has called a tool, `careful` asks before it does."""
    for name, limits in (("short", "{max_steps: 1}"), ("careful", "{}")):
        (home / "agents" / f"{name}.yaml").write_text(
            f"name: {name}\nmodel: scripted/one\nlimits: {limits}\n"
            "tools: [clock.now, {tool: clock.count, approval: always}]\n"
        )
    return {**clock, **rag} if "file_search" in request.node.callspec.id else clock


@pytest.mark.requirement("continue-any")
@pytest.mark.parametrize("way", ["plain", "streamed", "background", "background and streamed"])
@pytest.mark.parametrize("kind", ENDS)
async def test_a_turn_is_continued_at_once_after_any_item_type(gateway, tools, kind, way):
    offered = [WEATHER, CUSTOM, *([SEARCH] if kind == "file_search_call" else [])]
    trigger = [{"type": "compaction_trigger"}] if kind == "compaction" else []
    agent = "careful" if kind == "mcp_approval_request" else "short"
    body = {**asks([*FIRST, *trigger], tools=offered), "model": agent}
    async with gateway(ENDS[kind], [said("two")], servers=tools) as running:
        asked = await ended(running, body, way)
        last = asked["output"][-1]
        went_on = await respond(running, {**body, "input": answer(last), "previous_response_id": asked["id"]})
        history = [getattr(item, "text", "") for item in running.provider.calls[-1].items]
    assert last["type"] == kind
    assert went_on["output"][-1]["content"][0]["text"] == "two"
    assert "first" in history


@pytest.mark.requirement("chat-options")
async def test_every_option_of_sampling_reaches_the_model_from_chat_and_from_responses(gateway):
    shared = {"temperature": 0.5, "top_p": 0.9, "parallel_tool_calls": False, "user": "u"}
    chat = {
        **shared,
        "stop": ["x"],
        "seed": 7,
        "presence_penalty": 1.0,
        "frequency_penalty": -1.0,
        "logit_bias": {"5": 1.0},
        "reasoning_effort": "low",
        "verbosity": "high",
    }
    one = {"model": "helper", "messages": FIRST}
    async with gateway() as running:
        for limit in ("max_tokens", "max_completion_tokens"):
            made = await running.http.post("/v1/chat/completions", json={**one, **chat, limit: 99})
            assert made.status_code == 200, made.text
        more = {"max_output_tokens": 99, "reasoning": {"effort": "low"}, "text": {"verbosity": "high"}}
        await respond(running, {**asks("hi"), **shared, **more})
        options = [dict(call.options) for call in running.provider.calls]
    assert options[:2] == [{**chat, "max_output_tokens": 99}] * 2
    assert options[2] == {**shared, "max_output_tokens": 99, "reasoning_effort": "low", "verbosity": "high"}
