"""Ids of calls begin as OpenAI's do, by which clients tell them apart; they are the same wherever a call is shown."""

import json

import pytest

from gateway.providers.settings import ProviderSettings
from gateway.tools.settings import ServerSettings
from tests.upstream import upstream

pytestmark = pytest.mark.anyio

TOOLS = [
    {"type": "function", "name": "mine", "parameters": {"type": "object", "properties": {}}},
    {"type": "custom", "name": "sql"},
    {"type": "file_search", "vector_store_ids": ["help"]},
]
CALLS = {
    "fc": ("mine", {}),
    "ctc": ("sql", {"input": "select 1"}),
    "fs": ("rag__search", {"query": "money", "knowledge_base": "help"}),
    "mcp": ("clock__now", {}),
}


@pytest.mark.parametrize("native", [True, False], ids=["tool calling", "by schema"])
@pytest.mark.parametrize("prefix", CALLS)
async def test_an_id_begins_with_what_the_call_is(start_gateway, home, prefix, native):
    (home / "help").mkdir()
    (home / "help" / "refunds.md").write_text("# Refunds\n\nYour money is back within 14 days.\n")
    (home / "agents" / "asked.yaml").write_text("name: asked\nmodel: fake/m\ntools: [clock.now]\n")
    bases = {"data": str(home / "index"), "knowledge_bases": {"help": {"folder": str(home / "help")}}}
    servers = {
        "clock": ServerSettings(module="tests.servers.clock", settings={"folder": str(home)}),
        "rag": ServerSettings(module="mcp_tools.rag", settings=bases),
    }
    name, arguments = CALLS[prefix]
    calls = {"text": json.dumps({"tool": name, "arguments": arguments})}
    answers = {"text": json.dumps({"tool": "answer", "arguments": {"text": "ok"}})}
    if native:
        calls, answers = {"call": (name, json.dumps(arguments))}, {"text": "ok"}
    async with upstream(calls, answers) as provider:
        fake = ProviderSettings(name="fake", base_url=provider.url, native_tools=native)
        async with start_gateway(providers={"fake": fake}, servers=servers) as gateway:
            stream = await gateway.openai.responses.create(model="asked", input="?", tools=TOOLS, stream=True)
            events = [event async for event in stream]
            stored = await gateway.openai.responses.retrieve(events[-1].response.id)
            reference = {"type": "item_reference", "id": stored.output[0].id}
            body = {"model": "asked", "input": [reference, {"role": "user", "content": "?"}], "tools": TOOLS}
            referred = await gateway.http.post("/v1/responses/input_tokens", json=body)
    ids = {event.item.id for event in events if event.type == "response.output_item.added" and event.output_index == 0}
    ids |= {event.item_id for event in events if hasattr(event, "item_id") and event.output_index == 0}
    assert ids == {stored.output[0].id} and stored.output[0].id.startswith(f"{prefix}_")
    assert referred.status_code == (200 if prefix in ("fs", "mcp") else 400), referred.text
    assert "tool output" in referred.text or referred.status_code == 200
