"""What `include` brings into a response: when it is made, in its stream, and when it is read back."""

import json

import pytest

from gateway.items import Reasoning, ToolCall
from tests.apis.test_background import frames
from tests.apis.test_encrypted_reasoning import QUESTION, STATE, THOUGHT
from tests.apis.test_file_search import ANSWER, ASK, TOOL, rag
from tests.conftest import say
from tests.upstream import upstream

pytestmark = pytest.mark.anyio

__all__ = ["rag"]
SCORES = [
    {
        "token": "two ",
        "logprob": -0.1,
        "bytes": [116],
        "top_logprobs": [{"token": "ten", "logprob": -3.0, "bytes": []}],
    },
    {"token": "words", "logprob": -0.2, "bytes": [119], "top_logprobs": []},
]
ASK_SCORES = {"include": ["message.output_text.logprobs"], "top_logprobs": 1}


def parsed(text):
    return [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]


@pytest.mark.parametrize("background", [False, True])
async def test_probabilities_come_with_the_text_they_are_of(start_gateway, home, background):
    (home / "agents" / "raw.yaml").write_text("name: raw\nmodel: acme/one\n")
    async with upstream({"text": "two words", "logprobs": SCORES}) as provider:
        settings = {"providers": {"acme": {"base_url": provider.url}}}
        async with start_gateway(**settings) as gateway:
            body = {"model": "raw", "input": "hi", "stream": True, "background": background, **ASK_SCORES}
            live = (await gateway.http.post("/v1/responses", json=body)).text
            events = parsed(live)
            stored = (await gateway.http.get(f"/v1/responses/{events[-1]['response']['id']}")).json()
            again, _ = await frames(gateway.http, stored["id"])
    deltas = [event for event in events if event["type"] == "response.output_text.delta"]
    (text,) = [event for event in events if event["type"] == "response.output_text.done"]
    (part,) = [event for event in events if event["type"] == "response.content_part.done"]
    assert [(event["delta"], event["logprobs"]) for event in deltas] == [
        ("two ", SCORES[:1]),
        ("words", SCORES[1:]),
    ]
    assert text["logprobs"] == part["part"]["logprobs"] == SCORES
    assert stored["output"][0]["content"][0] == part["part"]
    assert (provider.requests[0]["logprobs"], provider.requests[0]["top_logprobs"]) == (True, 1)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert not background or again.decode() == live


async def test_several_citations_are_numbered_between_the_text_and_its_end(start_gateway, rag, home):
    (home / "help" / "terms.md").write_text("# Terms\n\nMoney back is a right.\n")
    answer = "See refunds.md and terms.md."
    async with start_gateway([ASK], [say(answer)], servers=rag) as gateway:
        body = {"model": "helper", "input": "Refunds?", "tools": [TOOL], "stream": True}
        events = parsed((await gateway.http.post("/v1/responses", json=body)).text)
    kinds = [event["type"].removeprefix("response.output_text.") for event in events if "output_text" in event["type"]]
    notes = [event for event in events if event["type"] == "response.output_text.annotation.added"]
    assert kinds[-3:] == ["annotation.added", "annotation.added", "done"]
    assert set(kinds[:-3]) == {"delta"}
    assert [note["annotation_index"] for note in notes] == [0, 1]
    assert [note["annotation"]["filename"] for note in notes] == ["refunds.md", "terms.md"]
    assert {(note["item_id"], note["output_index"], note["content_index"]) for note in notes} == {("msg_1", 1, 0)}


@pytest.mark.parametrize("name", ["include[]", "include"])
async def test_results_of_a_search_are_read_back_by_who_asks(start_gateway, rag, name):
    async with start_gateway([ASK], [say(ANSWER)], servers=rag) as gateway:
        made = await gateway.openai.responses.create(model="helper", input="Refunds?", tools=[TOOL])
        url = f"/v1/responses/{made.id}"
        bare = (await gateway.http.get(url)).json()
        whole = (await gateway.http.get(url, params={name: "file_search_call.results"})).json()
        query = {name: ["reasoning.encrypted_content", "file_search_call.results"], "stream": "true"}
        told = parsed((await gateway.http.get(url.removeprefix("/v1"), params=query)).text)
    assert bare["output"][0]["results"] is None
    assert whole["output"][0]["results"][0]["filename"] == "refunds.md"
    assert told[-1]["response"]["output"] == whole["output"]


@pytest.mark.parametrize("name", ["include[]", "include"])
async def test_a_conversation_shows_what_a_search_found_to_who_asks(start_gateway, rag, name):
    async with start_gateway([ASK], [say(ANSWER)], [say("So.", "msg_2")], servers=rag) as gateway:
        conversation = await gateway.openai.conversations.create()
        await gateway.openai.responses.create(
            model="helper", input="Refunds?", tools=[TOOL], conversation=conversation.id
        )
        url = f"/v1/conversations/{conversation.id}/items"
        asked = {name: "file_search_call.results"}
        pages = [(await gateway.http.get(url, params=query)).json()["data"] for query in ({}, asked)]
        searches = [next(item for item in page if item["type"] == "file_search_call") for page in pages]
        one = (await gateway.http.get(f"{url}/{searches[0]['id']}", params=asked)).json()
        added = (await gateway.http.post(url, params=asked, json={"items": [one]})).json()["data"]
        again = await gateway.openai.responses.create(model="helper", input=[one, QUESTION])
        inputs = f"/v1/responses/{again.id}/input_items"
        given = [(await gateway.http.get(inputs, params=query)).json()["data"][-1] for query in ({}, asked)]
    assert searches[0]["results"] is None
    assert searches[1] == one
    assert one["results"][0]["filename"] == "refunds.md"
    assert [item["results"][0]["text"] for item in (added[0], given[1])] == [one["results"][0]["text"]] * 2
    assert given[0]["results"] is None


async def test_a_conversation_seals_reasoning_for_who_asks(start_gateway):
    async with start_gateway([THOUGHT, say("So.")], [say("Sure.", "msg_2")]) as gateway:
        conversation = (await gateway.openai.conversations.create()).id
        await gateway.openai.responses.create(model="helper", input="Why?", conversation=conversation)
        items = gateway.openai.conversations.items
        sealed = [item async for item in items.list(conversation, include=["reasoning.encrypted_content"])][1]
        bare = await items.retrieve(sealed.id, conversation_id=conversation)
        kept = sealed.model_dump(exclude_none=True)
        await gateway.openai.responses.create(model="helper", input=[QUESTION, kept, QUESTION], store=False)
        seen = next(item for item in gateway.provider.calls[1].items if isinstance(item, Reasoning))
    assert bare.encrypted_content is None
    assert seen.state == STATE


async def test_reasoning_is_sealed_for_who_asks_later(start_gateway):
    async with start_gateway([THOUGHT, say("So.")], [say("Sure.", "msg_2")]) as gateway:
        made = await gateway.openai.responses.create(model="helper", input="Why?")
        read = await gateway.openai.responses.retrieve(made.id, include=["reasoning.encrypted_content"])
        kept = read.output[0].model_dump()
        await gateway.openai.responses.create(model="helper", input=[QUESTION, kept, QUESTION], store=False)
        seen = next(item for item in gateway.provider.calls[1].items if isinstance(item, Reasoning))
    assert made.output[0].encrypted_content is None
    assert seen.state == STATE


@pytest.mark.parametrize("name", ["include[]", "include"])
async def test_what_cannot_be_included_is_refused(start_gateway, name):
    async with start_gateway([say("hi")]) as gateway:
        conversation = await gateway.openai.conversations.create()
        made = await gateway.openai.responses.create(model="helper", input="hi", conversation=conversation.id)
        items = f"/v1/conversations/{conversation.id}/items"
        paths = (f"/v1/responses/{made.id}", f"/v1/responses/{made.id}/input_items", items, f"{items}/msg_1")
        refused = [await gateway.http.get(path, params={name: "everything"}) for path in paths]
        added = {"items": [{"role": "user", "content": "no"}]}
        refused.append(await gateway.http.post(items, params={name: "everything"}, json=added))
        left = (await gateway.http.get(items)).json()["data"]
    errors = [(each.status_code, each.json()["error"]["param"], each.json()["error"]["code"]) for each in refused]
    assert errors == [(400, "include", "invalid_value")] * 5
    assert len(left) == 2


async def test_a_reference_brings_the_providers_state_of_a_thought_and_of_a_call(start_gateway):
    signed = ToolCall(id="fc_1", call_id="call_1", name="mine", arguments="{}", state={"signature": "proof"})
    mine = {"type": "function", "name": "mine", "parameters": {"type": "object", "properties": {}}}
    async with start_gateway([THOUGHT, signed], [say("So.")]) as gateway:
        made = await gateway.openai.responses.create(model="helper", input="Why?", tools=[mine])
        references = [{"type": "item_reference", "id": item.id} for item in made.output]
        output = {"type": "function_call_output", "call_id": "call_1", "output": "42"}
        await gateway.openai.responses.create(
            model="helper", input=[QUESTION, *references, output], tools=[mine], store=False
        )
        seen = gateway.provider.calls[1].items
    assert [item.state for item in seen if isinstance(item, Reasoning | ToolCall)] == [STATE, {"signature": "proof"}]
