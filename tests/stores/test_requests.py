"""Requests that a store keeps with their turns: read back byte for byte, shared along a branch, gone with it."""

from dataclasses import replace

import pytest

from gateway.errors import NotFound
from gateway.events import Usage
from gateway.stores._requests import Bodies, pack
from tests.stores.turns import DONE, asked, said, sent

pytestmark = pytest.mark.anyio


def message(n):
    return f'"message {n} {n * n} 日本"'


async def exchange(store, requests, parent=None):
    turn = asked(said("question"), parent=parent)
    await store.begin(turn)
    for request in requests[:-1]:
        await store.append(turn.id, said("step", "assistant"), requests=[request])
    await store.end(turn.id, DONE, requests=requests[-1:])
    return turn.id


async def test_a_request_is_read_back_as_it_was_with_its_outcome(open_store):
    busy = replace(sent(), status="failed", error=("overloaded", "Later."), exact=False, redacted=True)
    done = replace(sent(message(1)), usage=Usage(input_tokens=3, output_tokens=1))
    odd = replace(done, body=b"\xff\x00 no JSON")
    async with open_store() as store:
        id = await exchange(store, [busy, done, odd, busy])
        assert list(await store.requests(id)) == [busy, done, odd, busy]
    async with open_store() as store:
        assert list(await store.requests(id)) == [busy, done, odd, busy]


async def test_a_long_branch_is_read_back_and_goes_on_after_a_restart(open_store):
    asks = [sent(*map(message, range(n))) for n in range(200)]
    ids, parent = [], None
    for part in (asks[:150], asks[150:]):
        async with open_store() as store:
            for n in range(0, len(part), 2):
                parent = await exchange(store, part[n : n + 2], parent)
                ids.append(parent)
            kept = [each for id in ids for each in await store.requests(id)]
            assert kept == asks[: len(kept)]
    assert len(kept) == 200


async def test_branches_that_part_have_their_own_requests(store):
    first = await exchange(store, [sent(message(1))])
    left, right = [sent(message(1), message(n)) for n in (2, 3)]
    ids = [await exchange(store, [each], first) for each in (left, right)]
    assert [list(await store.requests(id)) for id in ids] == [[left], [right]]


async def test_they_are_gone_with_the_turn_but_what_stands_on_them_is_not(store):
    one, two = sent(message(1)), sent(message(1), message(2))
    first = await exchange(store, [one])
    second = await exchange(store, [two], first)
    await store.delete(first)
    assert list(await store.requests(second)) == [two]
    with pytest.raises(NotFound):
        await store.requests(first)
    await store.delete(second)
    with pytest.raises(NotFound):
        await store.requests(second)


async def test_a_large_body_is_kept_like_a_small_one(store):
    large = [sent(",".join(map(message, range(n)))) for n in (20_000, 20_001)]
    id = await exchange(store, large)
    assert list(await store.requests(id)) == large


async def test_only_the_newest_branches_are_kept_in_memory():
    bodies, request = Bodies(max_turns=2), [sent(message(1))]
    for n in range(5):
        bodies.stored(f"t{n}", request, pack(request, None), [n])
    bases = [(await bodies.packed(f"t{n}", request))[0][2] for n in range(5)]
    assert bases == [None, None, None, 3, 4]
