"""An agent document fixes the knowledge base of its search: the model need not know of it and cannot leave it."""

import shutil
from pathlib import Path

import pytest

from gateway.tools.settings import ServerSettings
from tests.conftest import call, say

pytestmark = pytest.mark.anyio

SHIPPED = Path(__file__).parents[2] / "agents" / "support-copilot.yaml"
SEARCH = "rag__search"
NAMED = '{"query": "API key", "knowledge_base": "mydocs"}'


@pytest.fixture
def start_copilot(home, start_gateway):
    """A gateway with the agent that comes with Homeport, its knowledge base `homeport`, and another one, `mydocs`."""
    shutil.copy(SHIPPED, home / "agents")
    for id, name, text in (
        ("homeport", "keys.md", "# Keys\n\nMake an API key with `homeport keys create`.\n"),
        ("mydocs", "other.md", "# Keys\n\nMake an API key at the reception desk.\n"),
    ):
        (home / id).mkdir()
        (home / id / name).write_text(text)
    bases = {id: {"folder": str(home / id)} for id in ("homeport", "mydocs")}
    rag = ServerSettings(module="mcp_tools.rag", settings={"data": str(home / "index"), "knowledge_bases": bases})

    def start(*steps):
        return start_gateway(*steps, servers={"rag": rag}, environment={"HOMEPORT_MODEL": "scripted/one"})

    return start


async def ask(gateway):
    """What the search told the model."""
    await gateway.openai.responses.create(model="support-copilot", input="How do I make an API key?")
    return gateway.provider.calls[1].items[-1]


async def test_the_shipped_agent_searches_its_own_knowledge_base_whichever_others_there_are(start_copilot):
    async with start_copilot(
        [call(SEARCH, '{"query": "make an API key"}')], [say("According to keys.md, …")]
    ) as gateway:
        found = await ask(gateway)
    assert not found.is_error
    assert "keys.md" in found.text and "other.md" not in found.text


@pytest.mark.parametrize("base", ['"mydocs"', "null"])
async def test_a_model_that_names_another_is_told_which_it_may_have(start_copilot, base):
    elsewhere = call(SEARCH, f'{{"query": "make an API key", "knowledge_base": {base}}}')
    async with start_copilot([elsewhere], [say("I cannot.")]) as gateway:
        found = await ask(gateway)
    assert found.is_error
    assert "knowledge_base" in found.text and "'homeport'" in found.text
    assert "reception" not in found.text


async def test_a_model_may_name_the_one_that_it_has(start_copilot):
    named = call(SEARCH, '{"query": "make an API key", "knowledge_base": "homeport"}')
    async with start_copilot([named], [say("According to keys.md, …")]) as gateway:
        found = await ask(gateway)
    assert "keys.md" in found.text and not found.is_error


async def test_who_may_search_some_of_them_searches_no_other_by_naming_none(home, start_copilot):
    args = "{properties: {knowledge_base: {enum: [mydocs]}, limit: {maximum: 1, default: 1}}}"
    document = f"model: scripted/one\ntools:\n  - {{tool: rag.search, args: {args}}}\n"
    (home / "agents" / "some.yaml").write_text(document)
    steps = [[call(SEARCH, '{"query": "API key"}')], [call(SEARCH, NAMED, "call_2")]]
    async with start_copilot(*steps, [say("At the desk.")]) as gateway:
        await gateway.openai.responses.create(model="some", input="How do I make an API key?")
        refused, found = (item for item in gateway.provider.calls[2].items if item.kind == "tool_result")
    assert refused.is_error and "knowledge_base" in refused.text and "limit" not in refused.text
    assert "reception" in found.text
