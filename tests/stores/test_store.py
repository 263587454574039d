"""What every store promises, on each entry of STORES."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from types import MappingProxyType

import pytest

from gateway.errors import InvalidRequest, NotFound, ProviderRateLimited
from gateway.events import Usage
from gateway.items import Item, Message, Text
from gateway.ports import ToolSpec, Turn
from gateway.storage import Conversation, Store, TurnEnd
from tests.stores.turns import AGENT, DONE, EVERY_ITEM, asked, exchange, said

pytestmark = pytest.mark.anyio

TOOL = ToolSpec(name="look", description="Looks.", schema={"type": "object"}, strict=True, per_run=2)


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


@pytest.mark.parametrize(
    "message",
    [
        replace(said("hi"), role="tool"),
        replace(said("hi"), phase="last"),
        replace(said("hi"), complete="yes"),
        replace(said("hi"), name=7),
        replace(said("hi"), content=[Text(text="hi")]),
        replace(said("hi"), content=(Text(text=b"hi"),)),
        replace(said("hi"), content=(Text(text="hi", annotations=("see",)),)),
        replace(said("hi"), content=(Text(text="hi", logprobs=("p",)),)),
    ],
)
async def test_what_could_not_be_read_back_is_refused(store: Store, message: Message) -> None:
    with pytest.raises(InvalidRequest):
        await store.begin(asked(message))
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
