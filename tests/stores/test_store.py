"""What every store promises, on each entry of STORES."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from types import MappingProxyType

import pytest

from gateway.errors import ConversationLocked, InvalidRequest, NotFound, ProviderRateLimited
from gateway.events import Usage
from gateway.items import Approval, Image, Item, Message, Reasoning, Refusal, Text, ToolCall, ToolResult
from gateway.ports import Conversation, Store, ToolSpec, Turn, TurnEnd
from tests.stores.turns import AGENT, DONE, asked, exchange, said

pytestmark = pytest.mark.anyio

TOOL = ToolSpec(name="look", description="Looks.", schema={"type": "object"}, strict=True, per_run=2)
EVERY_ITEM: tuple[Item, ...] = (
    Message(id="m", role="user", content=(Text(text="hi", annotations=({"a": [1]},)), Image(url="data:,"))),
    Message(id="n", role="assistant", content=(Refusal(text="no"),), complete=False),
    Reasoning(id="r", text="hm", summary="s", state={"signature": "x", "n": 1.0}),
    ToolCall(id="c", call_id="1", name="look", arguments="{not json", server="files", tool="look", state={"t": None}),
    ToolResult(id="t", call_id="1", content=(Text(text="\x00 \u2028 𝄞"),), is_error=True),
    Approval(id="a", call_id="1", approved=False, reason="why"),
)


async def test_a_turn_comes_back_equal_with_its_agent_and_ending(open_store: Callable[[], Store]) -> None:
    first = asked(said("before"))
    turn = Turn(
        id="resp_full",
        agent=AGENT,
        input=EVERY_ITEM,
        parent=first.id,
        conversation="conv",
        instructions="today only",
        client_tools=(TOOL,),
        options=MappingProxyType({"temperature": 0, "tool_choice": {"name": "look"}}),
        stored=False,
        wire={"metadata": {"k": "v"}, "deep": [{"a": None}]},
        owner="key_1",
        created_at=1234.5678,
    )
    end = TurnEnd(status="incomplete", reason="length", model="m", usage=Usage(input_tokens=3, cached_tokens=1))
    async with open_store() as store:
        await store.begin(first)
        await store.end(first.id, DONE)
        await store.create_conversation(Conversation(id="conv", created_at=1, metadata={}, newest=first.id))
        await store.begin(turn)
        await store.append(turn.id, *EVERY_ITEM)
        await store.end(turn.id, end, said("last", "assistant"))
    async with open_store() as store:
        stored = await store.get(turn.id)
        assert replace(stored.turn, options=dict(turn.options)) == replace(turn, options=dict(turn.options))
        assert stored.end == end
        assert [*stored.output[:-1]] == [*EVERY_ITEM]
        assert (await store.get(first.id)).turn == first


async def test_a_failure_comes_back_with_what_a_client_saw_of_it(store: Store) -> None:
    turn = asked(said("hi"))
    error = ProviderRateLimited("Slow down.", param="model", retry_after=3.5)
    error.code = None
    await store.begin(turn)
    await store.end(turn.id, TurnEnd(status="failed", error=error))
    end = (await store.get(turn.id)).end
    assert end and end.error and str(end.error) == "Slow down."
    assert (end.error.status, end.error.type, end.error.code) == (429, "rate_limit_error", None)
    assert (end.error.param, end.error.retry_after) == ("model", 3.5)


async def test_agents_of_one_digest_and_two_names_stay_two(store: Store) -> None:
    turns = [replace(asked(said("hi")), agent=replace(AGENT, name=name)) for name in ("a", "b")]
    for turn in turns:
        await store.begin(turn)
    assert [(await store.get(turn.id)).turn.agent.name for turn in turns] == ["a", "b"]


async def test_history_is_input_then_output_of_each_turn_of_the_branch(open_store: Callable[[], Store]) -> None:
    items = [said(str(n)) for n in range(8)]
    async with open_store() as store:
        first = await exchange(store, items[0], items[1])
        second = await exchange(store, items[2], items[3], first)
        fork = await exchange(store, items[4], items[5], first)
        running = asked(items[6], parent=second)
        await store.begin(running)
        await store.append(running.id, items[7])
        expected = {first: [0, 1], second: [0, 1, 2, 3], fork: [0, 1, 4, 5], running.id: [0, 1, 2, 3, 6, 7]}
        for id, numbers in expected.items():
            seen = await store.history(id)
            assert seen == [items[n] for n in numbers]
            seen.clear()  # A reader's list is its own.
            assert len(await store.history(id)) == len(numbers)
    async with open_store() as store:
        for id, numbers in expected.items():
            assert await store.history(id) == [items[n] for n in numbers]


async def test_history_stays_right_through_random_use_and_after_a_restart(open_store: Callable[[], Store]) -> None:
    dice = random.Random(7)
    expected: dict[str, list[Item]] = {}
    running: list[str] = []
    async with open_store() as store:
        for n in range(400):
            act = dice.random()
            item = said(f"{n} " + "x" * dice.randrange(2000))
            ended = [id for id in expected if id not in running]
            if act < 0.4 or not running:
                parent = dice.choice(ended) if ended and dice.random() < 0.9 else None
                turn = asked(item, parent=parent)
                await store.begin(turn)
                expected[turn.id] = [*(expected[parent] if parent else []), item]
                running.append(turn.id)
            elif act < 0.6:
                id = dice.choice(running)
                await store.append(id, item, item)
                expected[id] += [item, item]
            elif act < 0.9:
                id = running.pop(dice.randrange(len(running)))
                await store.end(id, DONE, item)
                expected[id].append(item)
            elif ended:
                id = dice.choice(ended)
                await store.delete(id)
                del expected[id]
            if expected:
                id = dice.choice(list(expected))
                assert await store.history(id) == expected[id]
    async with open_store() as store:
        for id, items in expected.items():
            assert await store.history(id) == items


async def test_reading_while_writing_never_leaves_an_old_history_behind(open_store: Callable[[], Store]) -> None:
    turn = asked(said("0"))
    async with open_store() as store:
        await store.begin(turn)
    async with open_store() as store:  # Nothing in memory: the first reads come from the database.
        for n in range(1, 30):
            await asyncio.gather(store.history(turn.id), store.append(turn.id, said(str(n))), store.history(turn.id))
            assert len(await store.history(turn.id)) == n + 1


async def test_a_write_whose_caller_gave_up_is_in_the_history_if_it_was_stored(open_store: Callable[[], Store]) -> None:
    turn = asked(said("0"))
    async with open_store() as store:
        await store.begin(turn)
        writes = [asyncio.ensure_future(store.append(turn.id, said(str(n)))) for n in range(20)]
        await asyncio.sleep(0)
        for write in writes[::2]:
            write.cancel()
        await asyncio.gather(*writes, return_exceptions=True)
        await store.append(turn.id, said("last"))
        seen = await store.history(turn.id)
    async with open_store() as store:
        assert await store.history(turn.id) == seen


async def test_an_unknown_parent_is_named(store: Store) -> None:
    with pytest.raises(NotFound) as raised:
        await store.begin(asked(said("hi"), parent="resp_none"))
    assert str(raised.value) == "Previous response with id 'resp_none' not found."
    assert (raised.value.code, raised.value.param) == ("previous_response_not_found", "previous_response_id")


async def test_unknown_ids_are_not_found(store: Store) -> None:
    calls = (
        store.get("x"),
        store.history("x"),
        store.delete("x"),
        store.append("x", said("a")),
        store.append("x", begun=["1"]),
        store.end("x", DONE),
        store.conversation("x"),
        store.update_conversation("x", {}),
        store.delete_conversation("x"),
        store.conversation_items("x", after=None, limit=1, newest_first=False),
        store.conversation_item("x", "y"),
        store.delete_conversation_item("x", "y"),
        store.begin(asked(conversation="x")),
    )
    for call in calls:
        with pytest.raises(NotFound):
            await call
    assert await store.unfinished() == []


async def test_a_refused_write_leaves_nothing_and_harms_no_other(store: Store) -> None:
    turns = [asked(said(str(n)), parent="resp_none" if n % 2 else None) for n in range(40)]
    results = await asyncio.gather(*(store.begin(turn) for turn in turns), return_exceptions=True)
    assert [isinstance(result, NotFound) for result in results] == [bool(n % 2) for n in range(40)]
    assert [stored.turn for stored in await store.unfinished()] == turns[::2]


async def test_text_that_utf8_cannot_say_is_refused(store: Store) -> None:
    for turn in (asked(said("\ud800")), replace(asked(), wire={"user": "\ud800"})):
        with pytest.raises(InvalidRequest):
            await store.begin(turn)
    assert await store.unfinished() == []


async def test_an_id_is_used_once_and_a_turn_ends_once(store: Store) -> None:
    turn = asked(said("hi"))
    await store.begin(turn)
    with pytest.raises(ValueError):
        await store.begin(turn)
    await store.end(turn.id, DONE)
    for late in (store.end(turn.id, DONE), store.append(turn.id, said("late"))):
        with pytest.raises(ValueError):
            await late
    assert len(await store.history(turn.id)) == 1


async def test_unfinished_are_the_turns_without_an_end_and_know_their_intents(open_store: Callable[[], Store]) -> None:
    async with open_store() as store:
        await exchange(store, said("a"), said("b"))
        left = [asked(said("1")), asked(said("2"))]
        for turn in left:
            await store.begin(turn)
        await store.append(left[0].id, EVERY_ITEM[3])
        await store.append(left[0].id, begun=["1", "2"])
        await store.append(left[0].id, begun=["2"])
    async with open_store() as store:
        unfinished = await store.unfinished()
    assert [stored.turn for stored in unfinished] == left
    assert unfinished[0].intents == {"1", "2"} and unfinished[0].output == (EVERY_ITEM[3],)
    assert unfinished[0].end is None


async def test_a_deleted_turn_is_gone_but_not_from_what_continues_it(open_store: Callable[[], Store]) -> None:
    async with open_store() as store:
        first = await exchange(store, said("a"), said("b"))
        second = await exchange(store, said("c"), said("d"), first)
        await store.delete(first)
        for read in (store.get(first), store.history(first), store.delete(first)):
            with pytest.raises(NotFound):
                await read
        with pytest.raises(NotFound, match="Previous response"):
            await store.begin(asked(said("e"), parent=first))
        third = await exchange(store, said("e"), said("f"), second)
        assert len(await store.history(third)) == 6
    async with open_store() as store:
        assert len(await store.history(third)) == 6
        await store.delete(second)
        await store.delete(third)
        with pytest.raises(NotFound):
            await store.history(third)


async def test_a_turn_deleted_while_it_runs_comes_to_its_end(store: Store) -> None:
    turn = asked(said("a"))
    await store.begin(turn)
    await store.delete(turn.id)
    assert await store.unfinished() == []
    await store.append(turn.id, said("b"))
    assert len(await store.history(turn.id)) == 2
    await store.end(turn.id, DONE)
    for read in (store.get(turn.id), store.history(turn.id)):
        with pytest.raises(NotFound):
            await read


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
