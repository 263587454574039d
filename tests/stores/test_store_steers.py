"""What every store promises of what is said to a turn that runs: it waits, and one turn is told it, once."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from gateway.errors import InvalidRequest, NotFound
from gateway.items import Answer, new_id
from gateway.ports import Turn
from gateway.steers import Steer, SteersTaken
from gateway.storage import Store
from tests.stores.turns import DONE, EVERY_ITEM, asked, said

pytestmark = pytest.mark.anyio


def steer(turn: Turn) -> Steer:
    return Steer(id=new_id("steer"), turn=turn.id, items=(said("In Oslo."), EVERY_ITEM[0]))


async def steered(store: Store, number: int = 1) -> tuple[Turn, list[Steer]]:
    """A turn that has ended, and what was said to it."""
    turn = asked(said("time?"))
    steers = [steer(turn) for _ in range(number)]
    await store.begin(turn)
    for one in steers:
        await store.keep_steer(one)
    await store.end(turn.id, DONE)
    return turn, steers


async def test_it_waits_in_its_order_until_a_turn_was_told(open_store: Callable[[], Store]) -> None:
    async with open_store() as store:
        turn, (first, second, third) = await steered(store, 3)
        other, (apart,) = await steered(store)
    async with open_store() as store:
        assert await store.steers(turn.id) == [first, second, third]
        await store.begin(asked(said("Well?"), parent=turn.id), told=[first.id, third.id])
        assert await store.steers(turn.id) == [second]
    async with open_store() as store:
        assert await store.steers(turn.id) == [second]
        await store.begin(asked(said("Well?"), parent=turn.id), told=[second.id])
        assert not await store.steers(turn.id)
        assert await store.steers(other.id) == [apart]
        await store.begin(asked(said("Well?"), parent=other.id))
        assert await store.steers(other.id) == [apart]
    async with open_store() as store:
        assert not await store.steers(turn.id)
        assert await store.steers(other.id) == [apart]


async def test_what_one_turn_was_told_no_other_can_begin_with(store: Store) -> None:
    turn, steers = await steered(store, 2)
    rivals = [asked(said("Well?"), parent=turn.id) for _ in range(20)]
    told = [store.begin(rival, told=[one.id for one in steers]) for rival in rivals]
    errors = await asyncio.gather(*told, return_exceptions=True)
    begun = {stored.turn.id for stored in await store.unfinished()}
    assert [type(error) for error in errors if error] == [SteersTaken] * 19
    assert begun == {rival.id for rival, error in zip(rivals, errors, strict=True) if not error}


@pytest.mark.parametrize("way", ["told", "passed_on"])
async def test_a_turn_begins_with_all_of_it_or_not_at_all(store: Store, way: str) -> None:
    turn, (first, second) = await steered(store, 2)
    _, (foreign,) = await steered(store)
    await store.drop_steers(turn.id, [first.id])
    for gone in (first.id, foreign.id):
        late = asked(said("Well?"), parent=turn.id)
        with pytest.raises(SteersTaken):
            await store.begin(late, **{way: [second.id, gone]})
        with pytest.raises(NotFound):
            await store.get(late.id)
    refused = asked(said("Well?"), parent=turn.id)
    with pytest.raises(InvalidRequest):
        await store.begin(refused, answers=[Answer(id="mcpr_none", approved=True)], **{way: [second.id]})
    assert await store.steers(turn.id) == [second]
    assert await store.steers(foreign.turn) == [foreign]


async def test_a_turn_may_leave_it_to_the_next(open_store: Callable[[], Store]) -> None:
    async with open_store() as store:
        turn, (first, second) = await steered(store, 2)
        middle = asked(said("Well?"), parent=turn.id)
        await store.begin(middle, told=[second.id], passed_on=[first.id])
        assert (await store.steers(turn.id), await store.steers(middle.id)) == ((), [replace(first, turn=middle.id)])
    async with open_store() as store:
        assert await store.steers(middle.id) == [replace(first, turn=middle.id)]
        assert not await store.steers(turn.id)


async def test_what_is_dropped_was_waiting(store: Store) -> None:
    turn, (first, second, third) = await steered(store, 3)
    await store.begin(asked(said("Well?"), parent=turn.id), told=[second.id])
    assert list(await store.drop_steers(turn.id, [second.id, first.id])) == [first.id]
    assert await store.steers(turn.id) == [third]
    assert list(await store.drop_steers(turn.id, [first.id])) == []
    assert list(await store.drop_steers(turn.id, [third.id])) == [third.id]
    assert not await store.steers(turn.id)


async def test_it_is_kept_only_with_its_turn(open_store: Callable[[], Store]) -> None:
    async with open_store() as store:
        turn, (first,) = await steered(store)
        after = asked(said("Well?"), parent=turn.id)
        await store.begin(after)
        await store.keep_steer(steer(after))
        for gone in (turn, after):
            await store.delete(gone.id)
            assert not await store.steers(gone.id)
        for gone in (turn, after, asked(said("never"))):
            with pytest.raises(NotFound):
                await store.keep_steer(steer(gone))
            with pytest.raises(NotFound):
                await store.drop_steers(gone.id, [first.id])
        await store.end(after.id, DONE)
    async with open_store() as store:
        assert [await store.steers(gone.id) for gone in (turn, after)] == [(), ()]


async def test_what_cannot_be_stored_is_refused(store: Store) -> None:
    turn, _ = await steered(store)
    with pytest.raises(InvalidRequest):
        await store.keep_steer(replace(steer(turn), items=[said("half \ud83d")]))
    assert len(await store.steers(turn.id)) == 1
