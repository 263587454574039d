"""What every store promises of what is said to a turn that runs: it waits, and one turn is told it, once."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from gateway.errors import GatewayError, InvalidRequest, NotFound
from gateway.items import Answer, new_id
from gateway.ports import Turn
from gateway.steers import Steer, SteersTaken
from gateway.storage import Store, TurnEnd
from tests.stores.turns import DONE, EVERY_ITEM, asked, said

pytestmark = pytest.mark.anyio

FAILED = TurnEnd(status="failed", error=GatewayError(), ended_at=2.5)


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


async def test_what_a_turn_was_told_that_failed_waits_again(open_store: Callable[[], Store]) -> None:
    async with open_store() as store:
        turn, (first, second) = await steered(store, 2)
        failing = asked(said("Well?"), parent=turn.id)
        await store.begin(failing, told=[first.id, second.id])
        with pytest.raises(SteersTaken):
            await store.begin(asked(said("Well?"), parent=turn.id), told=[first.id])
        assert list(await store.drop_steers(turn.id, [first.id])) == []
        await store.end(failing.id, FAILED)
        assert await store.steers(turn.id) == [first, second]
    async with open_store() as store:
        assert await store.steers(turn.id) == [first, second]
        await store.begin(asked(said("Well?"), parent=turn.id), FAILED, told=[first.id, second.id])
        assert await store.steers(turn.id) == [first, second]
        told = asked(said("Well?"), parent=turn.id)
        await store.begin(told, told=[first.id, second.id])
        await store.end(told.id, DONE)
        assert not await store.steers(turn.id)
    async with open_store() as store:
        assert not await store.steers(turn.id)


async def test_a_turn_that_a_stop_interrupted_is_still_told_it(open_store: Callable[[], Store]) -> None:
    async with open_store() as store:
        turn, (first,) = await steered(store)
        told = asked(said("Well?"), parent=turn.id)
        await store.begin(told, told=[first.id])
    async with open_store() as store:
        assert not await store.steers(turn.id)
        await store.end(told.id, FAILED)
        assert await store.steers(turn.id) == [first]


@pytest.mark.parametrize("deleted", ["turn", "told"])
async def test_what_is_told_goes_with_either_turn(open_store: Callable[[], Store], deleted: str) -> None:
    async with open_store() as store:
        turn, (first,) = await steered(store)
        told = asked(said("Well?"), parent=turn.id)
        await store.begin(told, told=[first.id])
        await store.delete({"turn": turn, "told": told}[deleted].id)
        await store.end(told.id, FAILED)
        assert not await store.steers(turn.id)
    async with open_store() as store:
        assert not await store.steers(turn.id)


async def test_a_turn_that_is_not_stored_is_told_it_until_it_ends(open_store: Callable[[], Store]) -> None:
    async with open_store() as store:
        turn, (first, second) = await steered(store, 2)
        assert list(await store.tell_steers(turn.id, [first.id, second.id], "resp_1")) == [first.id, second.id]
        assert list(await store.tell_steers(turn.id, [first.id, second.id], "resp_2")) == []
        with pytest.raises(SteersTaken):
            await store.begin(asked(said("Well?"), parent=turn.id), told=[first.id])
        for teller in ("resp_2", "resp_none"):
            await store.end_telling(teller, failed=True)
        assert not await store.steers(turn.id)
        await store.end_telling("resp_1", failed=True)
        assert await store.steers(turn.id) == [first, second]
        assert list(await store.tell_steers(turn.id, [first.id], "resp_3")) == [first.id]
        await store.end_telling("resp_3", failed=False)
        await store.end_telling("resp_3", failed=True)
        assert await store.steers(turn.id) == [second]
        with pytest.raises(NotFound):
            await store.tell_steers("resp_none", [first.id], "resp_4")
        late = asyncio.create_task(store.tell_steers(turn.id, [second.id], "resp_5"))
        await asyncio.wait([late, asyncio.create_task(asyncio.sleep(0))], return_when="FIRST_COMPLETED")
        late.cancel()
        await store.end_telling("resp_5", failed=True)
        assert await store.steers(turn.id) == [second]
        await store.tell_steers(turn.id, [second.id], "resp_6")
    # A restart leaves nothing of that turn.
    async with open_store() as store:
        assert await store.steers(turn.id) == [second]


async def test_a_turn_that_is_stored_when_it_pauses_was_told_it(open_store: Callable[[], Store]) -> None:
    async with open_store() as store:
        turn, (first,) = await steered(store)
        paused = replace(asked(said("Well?"), parent=turn.id), stored=False)
        await store.tell_steers(turn.id, [first.id], paused.id)
        await store.begin(paused, TurnEnd(status="paused", ended_at=2.5))
    async with open_store() as store:
        assert not await store.steers(turn.id)
