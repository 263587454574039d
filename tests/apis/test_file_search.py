"""`file_search`: the rag server's search as OpenAI's clients know it, with its items, events, results and citations."""

import openai
import pytest

from gateway.tools.settings import ServerSettings
from tests.conftest import call, say

pytestmark = pytest.mark.anyio

TOOL = {"type": "file_search", "vector_store_ids": ["help"]}
ASK = call("rag__search", '{"query": "money back", "knowledge_base": "help"}')
ANSWER = "According to refunds.md, within 14 days."


@pytest.fixture
def rag(home):
    """Settings of a rag server with two knowledge bases, `help` and `staff`."""
    for id, name, text in (
        ("help", "refunds.md", "# Refunds\n\nYour money is back within 14 days.\n"),
        ("staff", "secrets.md", "# Margins\n\nWe earn money on every refund.\n"),
    ):
        (home / id).mkdir()
        (home / id / name).write_text(text)
    bases = {id: {"folder": str(home / id)} for id in ("help", "staff")}
    return {
        "rag": ServerSettings(module="mcp_tools.rag", settings={"data": str(home / "index"), "knowledge_bases": bases})
    }


async def test_a_search_is_an_item_with_its_query_and_the_answer_cites_the_file(start_gateway, rag):
    async with start_gateway([ASK], [say(ANSWER)], servers=rag) as gateway:
        response = await gateway.openai.responses.create(model="helper", input="Refunds?", tools=[TOOL])
        stored = await gateway.openai.responses.retrieve(response.id)
        result = gateway.provider.calls[1].items[-1]
    search, message = response.output
    assert (search.type, search.status, search.queries, search.results) == (
        "file_search_call", "completed", ["money back"], None,
    )  # fmt: skip
    assert "within 14 days" in result.text
    (note,) = message.content[0].annotations
    assert (note.type, note.filename, note.index) == ("file_citation", "refunds.md", len("According to refunds.md"))
    assert stored.output == response.output
    assert response.tools[0].model_dump(exclude_none=True) == TOOL


async def test_results_are_shown_only_to_who_asks_for_them(start_gateway, rag):
    async with start_gateway([ASK], [say(ANSWER)], servers=rag) as gateway:
        response = await gateway.openai.responses.create(
            model="helper", input="Refunds?", tools=[TOOL], include=["file_search_call.results"]
        )
        stored = await gateway.openai.responses.retrieve(response.id)
    (found,) = response.output[0].results
    assert (found.filename, found.attributes) == ("refunds.md", {"knowledge_base": "help"})
    assert "14 days" in found.text and 0 < found.score <= 1
    assert stored.output[0].results == response.output[0].results


async def test_the_stream_has_the_events_of_a_search_and_of_its_citation(start_gateway, rag):
    async with start_gateway([ASK], [say(ANSWER)], servers=rag) as gateway:
        ask = {"model": "helper", "input": "Refunds?", "tools": [TOOL]}
        stream = await gateway.openai.responses.create(**ask, stream=True)
        events = [event async for event in stream]
        stored = await gateway.openai.responses.retrieve(events[-1].response.id)
    kinds = [event.type.removeprefix("response.") for event in events if "delta" not in event.type]
    assert kinds == [
        "created",
        "in_progress",
        "output_item.added",
        "file_search_call.in_progress",
        "file_search_call.searching",
        "file_search_call.completed",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.annotation.added",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert stored.output == events[-1].response.output


async def test_only_the_named_knowledge_bases_are_searched(start_gateway, rag):
    other = call("rag__search", '{"query": "money", "knowledge_base": "staff"}')
    anywhere = call("rag__search", '{"query": "money back"}', "call_2")
    async with start_gateway([other, anywhere], [say("I cannot.")], servers=rag) as gateway:
        response = await gateway.openai.responses.create(
            model="helper", input="?", tools=[{**TOOL, "max_num_results": 2}], include=["file_search_call.results"]
        )
        offered = gateway.provider.calls[0].tools[0].schema
        results = [item.text for item in gateway.provider.calls[1].items if item.kind == "tool_result"]
    assert [item.status for item in response.output[:2]] == ["failed", "completed"]
    assert [found.attributes["knowledge_base"] for found in response.output[1].results] == ["help"]
    assert not any("margin" in text.lower() or "earn" in text for text in results)
    assert offered["properties"]["limit"]["maximum"] == 2


async def test_of_several_knowledge_bases_the_model_names_one(start_gateway, rag):
    anywhere = call("rag__search", '{"query": "money"}')
    staff = call("rag__search", '{"query": "money", "knowledge_base": "staff"}', "call_2")
    both = {**TOOL, "vector_store_ids": ["help", "staff"]}
    async with start_gateway([anywhere, staff], [say("We earn.")], servers=rag) as gateway:
        response = await gateway.openai.responses.create(
            model="helper", input="?", tools=[both], include=["file_search_call.results"]
        )
        offered = gateway.provider.calls[0].tools[0].schema
    assert [item.status for item in response.output[:2]] == ["failed", "completed"]
    assert [found.filename for found in response.output[1].results] == ["secrets.md"]
    assert offered["properties"]["knowledge_base"]["enum"] == ["help", "staff"]


async def test_a_conversation_goes_on_after_a_search_and_can_be_replayed(start_gateway, rag):
    async with start_gateway([ASK], [say(ANSWER)], [say("Yes.", "b")], [say("Yes.", "c")], servers=rag) as gateway:
        create = gateway.openai.responses.create
        first = await create(model="helper", input="Refunds?", tools=[TOOL], include=["file_search_call.results"])
        await create(model="helper", input="Sure?", previous_response_id=first.id)
        replayed = [{"role": "user", "content": "Refunds?"}, *(item.model_dump() for item in first.output)]
        await create(model="helper", input=[*replayed, {"role": "user", "content": "Sure?"}], store=False)
        kinds = [[item.kind for item in asked.items] for asked in gateway.provider.calls]
    assert kinds[2] == kinds[3] == ["message", "message", "tool_call", "tool_result", "message", "message"]


async def test_it_may_be_the_tool_that_must_be_called(start_gateway, rag):
    async with start_gateway([ASK], [say(ANSWER)], servers=rag) as gateway:
        response = await gateway.openai.responses.create(
            model="helper", input="Refunds?", tools=[TOOL], tool_choice={"type": "file_search"}
        )
        choice = gateway.provider.calls[0].options["tool_choice"]
    assert (choice, response.tool_choice.type) == ({"name": "rag__search"}, "file_search")


@pytest.mark.parametrize(
    ("tool", "param"),
    [
        ({"type": "file_search"}, "tools[0].vector_store_ids"),
        ({**TOOL, "vector_store_ids": []}, "tools[0].vector_store_ids"),
        ({**TOOL, "max_num_results": 51}, "tools[0].max_num_results"),
        ({**TOOL, "filters": {"type": "eq", "key": "a", "value": 1}}, "tools[0].filters"),
        ({**TOOL, "ranking_options": {"score_threshold": 0.5}}, "tools[0].ranking_options.score_threshold"),
    ],
)
async def test_what_a_search_cannot_do_is_refused_and_not_ignored(start_gateway, rag, tool, param):
    async with start_gateway(servers=rag) as gateway:
        with pytest.raises(openai.BadRequestError) as refused:
            await gateway.openai.responses.create(model="helper", input="?", tools=[tool])
    assert refused.value.param == param


async def test_without_a_rag_server_it_is_refused(start_gateway):
    async with start_gateway() as gateway:
        with pytest.raises(openai.BadRequestError, match="'rag'") as refused:
            await gateway.openai.responses.create(model="helper", input="?", tools=[TOOL])
        assert gateway.provider.calls == []
    assert (refused.value.param, refused.value.code) == ("tools", "tool_unavailable")
