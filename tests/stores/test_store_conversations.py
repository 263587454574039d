"""What every store promises of conversations and their items."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from gateway.errors import ConversationLocked, NotFound
from gateway.items import Item
from gateway.storage import Conversation, Store
from tests.stores.turns import DONE, EVERY_ITEM, asked, exchange, said

pytestmark = pytest.mark.anyio


async def test_of_many_turns_at_once_on_a_conversation_one_begins(store: Store) -> None:
    await store.create_conversation(Conversation(id="c", created_at=1, metadata={}))
    turns = [asked(said(str(n)), conversation="c") for n in range(20)]
    results = await asyncio.gather(*(store.begin(turn) for turn in turns), return_exceptions=True)
    assert [result is None for result in results].count(True) == 1
    assert all(result is None or isinstance(result, ConversationLocked) for result in results)
    newest = (await store.conversation("c")).newest
    assert newest == turns[results.index(None)].id


async def test_a_conversation_is_locked_until_its_newest_turn_ends_and_to_other_parents(store: Store) -> None:
    await store.create_conversation(Conversation(id="c", created_at=1, metadata={}))
    first = asked(said("a"), conversation="c")
    await store.begin(first)
    with pytest.raises(ConversationLocked):
        await store.begin(asked(said("b"), parent=first.id, conversation="c"))
    with pytest.raises(ConversationLocked):
        await store.begin(asked(said("b"), parent=first.id))
    await store.end(first.id, DONE)
    with pytest.raises(ConversationLocked):
        await store.begin(asked(said("b"), conversation="c"))
    await exchange(store, said("b"), said("c"), first.id, "c")
    with pytest.raises(ConversationLocked):
        await store.begin(asked(said("d"), parent=first.id, conversation="c"))
    await exchange(store, said("fork"), said("ok"), first.id)


async def test_a_conversation_outlives_the_deletion_of_its_newest_turn(store: Store) -> None:
    await store.create_conversation(Conversation(id="c", created_at=1, metadata={}))
    first = await exchange(store, said("a"), said("b"), conversation="c")
    await store.delete(first)
    assert (await store.conversation("c")).newest == first
    second = await exchange(store, said("c"), said("d"), first, "c")
    assert len(await store.history(second)) == 4


async def test_a_conversation_keeps_and_changes_its_metadata(store: Store) -> None:
    conversation = Conversation(id="c", created_at=12.5, metadata={"a": "1"}, owner="key_1")
    await store.create_conversation(conversation)
    assert await store.conversation("c") == conversation
    with pytest.raises(ValueError):
        await store.create_conversation(conversation)
    changed = await store.update_conversation("c", {"b": "2"})
    assert changed == replace(conversation, metadata={"b": "2"}) == await store.conversation("c")


async def test_many_conversations_are_all_known_before_and_after_a_restart(open_store: Callable[[], Store]) -> None:
    """More than a store may have in mind, changed in every way while they are read."""
    ids = [f"c{n}" for n in range(5000)]
    newest: dict[str, str | None] = dict.fromkeys(ids)
    async with open_store() as store:
        await asyncio.gather(*(store.create_conversation(Conversation(id=id, created_at=1, metadata={})) for id in ids))
        for id in [*ids[:3], *ids[-3:]]:
            await asyncio.gather(store.conversation(id), store.update_conversation(id, {"changed": id}))
            turn = asked(said("a"), conversation=id)
            await asyncio.gather(store.begin(turn), store.conversation(id))
            await asyncio.gather(store.conversation(id), store.end(turn.id, DONE))
            newest[id] = turn.id
        await store.delete_conversation(ids[0])
        before = [await store.conversation(id) for id in ids[1:]]
        with pytest.raises(NotFound):
            await store.conversation(ids[0])
    async with open_store() as store:
        after = [await store.conversation(id) for id in ids[1:]]
        with pytest.raises(NotFound):
            await store.conversation(ids[0])
    assert before == after
    assert [conversation.newest for conversation in after] == [newest[id] for id in ids[1:]]
    assert [after[0].metadata, after[5].metadata] == [{"changed": ids[1]}, {}]


async def test_deleting_a_conversation_keeps_its_turns(store: Store) -> None:
    await store.create_conversation(Conversation(id="c", created_at=1, metadata={}))
    first = await exchange(store, said("a"), said("b"), conversation="c")
    await store.delete_conversation("c")
    with pytest.raises(NotFound):
        await store.conversation("c")
    assert (await store.get(first)).turn.id == first
    assert len(await store.history(await exchange(store, said("c"), said("d"), first))) == 4


@pytest.mark.parametrize("newest_first", [False, True])
async def test_pages_of_a_conversation_join_to_the_whole(store: Store, newest_first: bool) -> None:
    await store.create_conversation(Conversation(id="c", created_at=1, metadata={}))
    assert await store.conversation_items("c", after=None, limit=5, newest_first=newest_first) == ([], False)
    parent = None
    for n in range(6):
        parent = await exchange(store, said(f"q{n}"), said(f"a{n}"), parent, "c")
    whole = await store.history(parent or "")
    if newest_first:
        whole.reverse()
    for limit in (1, 5, 6, 12, 100):
        pages: list[Item] = []
        after, more = None, True
        while more:
            page, more = await store.conversation_items("c", after=after, limit=limit, newest_first=newest_first)
            assert len(page) == limit or not more
            pages += page
            after = page[-1].id
        assert pages == whole
    with pytest.raises(NotFound) as raised:
        await store.conversation_items("c", after="msg_none", limit=1, newest_first=newest_first)
    assert raised.value.param == "after"


@pytest.mark.parametrize("newest_first", [False, True])
async def test_an_item_sent_twice_under_one_id_is_listed_once_and_paging_ends(store: Store, newest_first: bool) -> None:
    await store.create_conversation(Conversation(id="c", created_at=1, metadata={}))
    same, other, last = said("again"), said("a"), said("b")
    first = await exchange(store, same, other, None, "c")
    second = await exchange(store, same, last, first, "c")
    after, more, listed = None, True, list[Item]()
    while more:
        page, more = await store.conversation_items("c", after=after, limit=1, newest_first=newest_first)
        after = page[-1].id
        listed += page
    assert listed == ([last, other, same] if newest_first else [same, other, last])
    assert await store.history(second) == [same, other, same, last]


async def test_a_deleted_item_leaves_the_conversation_and_its_history_but_not_the_turn(
    open_store: Callable[[], Store],
) -> None:
    kept, dropped = said("kept"), said("dropped")
    async with open_store() as store:
        await store.create_conversation(Conversation(id="c", created_at=1, metadata={}))
        first = await exchange(store, kept, dropped, conversation="c")
        assert await store.conversation_item("c", dropped.id) == [dropped]
        await store.delete_conversation_item("c", dropped.id)
        for gone in (store.conversation_item("c", dropped.id), store.delete_conversation_item("c", dropped.id)):
            with pytest.raises(NotFound):
                await gone
        assert await store.history(first) == [kept]
        second = await exchange(store, said("q"), said("a"), first, "c")
        assert len(await store.history(second)) == 3
        page, _ = await store.conversation_items("c", after=None, limit=10, newest_first=False)
        assert dropped not in page and len(page) == 3
        assert (await store.get(first)).output == (dropped,)
    async with open_store() as store:
        assert len(await store.history(second)) == 3


@pytest.mark.parametrize("half", ["c", "t"])
async def test_half_of_a_tool_call_never_stays_in_a_conversation(store: Store, half: str) -> None:
    await store.create_conversation(Conversation(id="c", created_at=1, metadata={}))
    turn = asked(EVERY_ITEM[0], conversation="c")
    await store.begin(turn)
    await store.end(turn.id, DONE, *EVERY_ITEM[2:])
    await store.delete_conversation_item("c", half)
    assert [item.id for item in await store.history(turn.id)] == ["m", "r"]


async def test_items_are_added_to_a_conversation_without_a_model(store: Store) -> None:
    await store.create_conversation(Conversation(id="c", created_at=1, metadata={}))
    notes = [said("one"), said("two")]
    added = asked(*notes, conversation="c")
    await store.begin(added)
    await store.end(added.id, DONE)
    assert await store.conversation_items("c", after=None, limit=9, newest_first=False) == (notes, False)
    answered = await exchange(store, said("q"), said("a"), added.id, "c")
    assert (await store.history(answered))[:2] == notes
