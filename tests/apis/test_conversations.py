"""/v1/conversations, driven by the official client with strict validation."""

import asyncio
import sqlite3
from contextlib import closing

import pytest
from openai import BadRequestError, NotFoundError

from tests.conftest import say

pytestmark = pytest.mark.anyio


def message(text):
    return {"type": "message", "role": "user", "content": text}


async def test_a_conversation_remembers_its_turns(start_gateway):
    async with start_gateway([say("one", "a")], [say("two", "b")]) as gateway:
        conversation = await gateway.openai.conversations.create(metadata={"topic": "demo"})
        for text in ("first", "second"):
            await gateway.openai.responses.create(model="helper", input=text, conversation=conversation.id)
        seen = [item.text for item in gateway.provider.calls[1].items]
        again = await gateway.openai.conversations.retrieve(conversation.id)
    assert seen == ["You help.", "first", "one", "second"]
    assert again.metadata == {"topic": "demo"}


async def test_items_put_in_by_hand_are_what_the_model_sees(start_gateway):
    async with start_gateway([say("yes")]) as gateway:
        conversation = await gateway.openai.conversations.create(items=[message("My name is Ada.")])
        await gateway.openai.conversations.items.create(conversation.id, items=[message("I like tea.")])
        await gateway.openai.responses.create(model="helper", input="Who am I?", conversation=conversation.id)
        seen = [item.text for item in gateway.provider.calls[0].items]
    assert seen == ["You help.", "My name is Ada.", "I like tea.", "Who am I?"]


async def test_items_are_listed_newest_first_and_the_pages_end(start_gateway):
    async with start_gateway() as gateway:
        conversation = await gateway.openai.conversations.create()
        for start in (0, 20):
            items = [message(str(number)) for number in range(start, start + 20)]
            await gateway.openai.conversations.items.create(conversation.id, items=items)
        listed = [item async for item in gateway.openai.conversations.items.list(conversation.id, limit=7)]
        oldest = await gateway.openai.conversations.items.list(conversation.id, limit=3, order="asc")
    assert [item.content[0].text for item in listed] == [str(number) for number in reversed(range(40))]
    assert [item.content[0].text for item in oldest.data] == ["0", "1", "2"]
    assert oldest.has_more


async def test_items_before_one_are_those_right_before_it(start_gateway):
    async with start_gateway() as gateway:
        conversation = await gateway.openai.conversations.create(items=[message(str(n)) for n in range(5)])
        path = f"/v1/conversations/{conversation.id}/items"
        whole = [item["id"] for item in (await gateway.http.get(path, params={"order": "asc"})).json()["data"]]

        async def ids(**query):
            page = (await gateway.http.get(path, params=query)).json()
            return [item["id"] for item in page["data"]], page["has_more"]

        assert await ids(order="asc", before=whole[3]) == (whole[:3], False)
        assert await ids(order="asc", before=whole[3], limit=2) == (whole[1:3], True)
        assert await ids(before=whole[1], limit=2) == (whole[3:1:-1], True)
        assert await ids(order="asc", after=whole[0], before=whole[4], limit=2) == (whole[1:3], True)
        unknown = await gateway.http.get(path, params={"before": "msg_none"})
    assert (unknown.status_code, unknown.json()["error"]["param"]) == (404, "before")


async def test_an_item_can_be_read_and_deleted(start_gateway):
    async with start_gateway() as gateway:
        items = gateway.openai.conversations.items
        conversation = await gateway.openai.conversations.create(items=[message("a"), message("b")])
        first = (await items.list(conversation.id, order="asc")).data[0]
        assert (await items.retrieve(first.id, conversation_id=conversation.id)).content[0].text == "a"
        await items.delete(first.id, conversation_id=conversation.id)
        left = [item.content[0].text async for item in items.list(conversation.id)]
    assert left == ["b"]


async def test_metadata_is_replaced_and_a_deleted_conversation_is_gone(start_gateway):
    async with start_gateway() as gateway:
        conversations = gateway.openai.conversations
        made = await conversations.create(metadata={"a": "1"})
        assert (await conversations.update(made.id, metadata={"b": "2"})).metadata == {"b": "2"}
        assert (await conversations.delete(made.id)).deleted
        with pytest.raises(NotFoundError):
            await conversations.retrieve(made.id)


async def test_two_turns_at_once_do_not_interleave(start_gateway):
    asked, hold = asyncio.Event(), asyncio.Event()

    def slowly(_):
        asked.set()
        return [hold, say("one", "a")]

    async with start_gateway(slowly, [say("two", "b")]) as gateway:
        conversation = (await gateway.openai.conversations.create()).id
        create = gateway.openai.responses.create
        first = asyncio.create_task(create(model="helper", input="first", conversation=conversation))
        await asked.wait()
        second = asyncio.create_task(create(model="helper", input="second", conversation=conversation))
        with pytest.raises(BadRequestError) as locked:
            header = {"X-Homeport-When-Busy": "reject"}
            await create(model="helper", input="third", conversation=conversation, extra_headers=header)
        hold.set()
        await asyncio.gather(first, second)
        seen = [item.text for item in gateway.provider.calls[1].items]
    assert (locked.value.code, locked.value.param) == ("conversation_locked", "conversation")
    assert seen == ["You help.", "first", "one", "second"]


async def test_an_unknown_conversation_is_a_404(start_gateway):
    async with start_gateway() as gateway:
        with pytest.raises(NotFoundError):
            await gateway.openai.responses.create(model="helper", input="hi", conversation="conv_nope")


@pytest.mark.parametrize("limit", ["0", "101", "-1", "x", "", "9" * 5000])
async def test_a_page_has_1_to_100_items(start_gateway, limit):
    async with start_gateway() as gateway:
        conversation = (await gateway.openai.conversations.create()).id
        answer = await gateway.http.get(f"/v1/conversations/{conversation}/items", params={"limit": limit})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "limit")


async def test_a_conversation_whose_items_are_refused_is_not_made(start_gateway, home):
    forged = {"type": "compaction", "encrypted_content": "hp1.forged"}
    approval = {"type": "mcp_approval_response", "approval_request_id": "mcpr_nobody", "approve": True}
    async with start_gateway(max_history=1000) as gateway:
        for items in ([message("a"), forged], [message("a"), approval], [message("a" * 1001)]):
            refused = await gateway.http.post("/v1/conversations", json={"items": items})
            assert refused.status_code == 400
        made = await gateway.openai.conversations.create(items=[message("a"), message("b")])
        listed = [item.content[0].text async for item in gateway.openai.conversations.items.list(made.id, order="asc")]
        await gateway.openai.conversations.items.create(made.id, items=[message("c")])
    with closing(sqlite3.connect(home / "data" / "homeport.db")) as kept:
        conversations = kept.execute("select id from conversations").fetchall()
        turns = kept.execute("select count(*) from turns").fetchone()
    assert listed == ["a", "b"]
    assert (conversations, turns) == ([(made.id,)], (2,))
