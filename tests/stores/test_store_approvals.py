"""What every store promises of approval requests: each is used up once, by its owner, in time."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from gateway.errors import InvalidRequest, NotFound
from gateway.items import Answer, ApprovalRequest, ToolCall, new_id
from gateway.ports import Turn
from gateway.storage import Store, TurnEnd
from tests.stores.turns import DONE, asked, said

pytestmark = pytest.mark.anyio

CALL = ToolCall(id="fc_1", call_id="call_1", name="s__t", arguments="{}", server="s", tool="t")
PAUSED = TurnEnd(status="paused", ended_at=2.5)
DAY = 86400.0


def request(expires_at: float = 100.0) -> ApprovalRequest:
    return ApprovalRequest(
        id=new_id("mcpr"), call_id="call_1", server="s", tool="t", arguments="{}", expires_at=expires_at
    )


def turn(parent: str | None = None, *, owner: str = "ada", at: float = 1.5, stored: bool = True) -> Turn:
    return replace(asked(said("go"), parent=parent), owner=owner, created_at=at, stored=stored)


async def paused(store: Store, *requests: ApprovalRequest, stored: bool = True) -> Turn:
    """A turn that asked."""
    asking = turn(stored=stored)
    await store.begin(asking, PAUSED, output=[CALL, *requests])
    return asking


async def test_a_request_is_kept_until_it_is_answered_and_then_with_its_answer(
    open_store: Callable[[], Store],
) -> None:
    first, second = request(), request()
    async with open_store() as store:
        asking = turn()
        await store.begin(asking)
        await store.append(asking.id, CALL, first)
        await store.end(asking.id, PAUSED, second)
        waiting = await store.approvals("ada", open_at=50, limit=9)
        assert [each.request for each in waiting] == [second, first]
        assert {(each.turn, each.agent, each.created_at, each.approved) for each in waiting} == {
            (asking.id, "careful", 1.5, None)
        }
        answering = turn(asking.id, at=60)
        await store.begin(answering, answers=[Answer(id=first.id, approved=False, reason="no")])
    async with open_store() as store:
        assert [each.request for each in await store.approvals("ada", open_at=70, limit=9)] == [second]
        (done,) = await store.approvals("ada", begins=first.id)
        assert (done.approved, done.reason, done.answered_at, done.continued_by) == (False, "no", 60, answering.id)
        assert await store.approvals("ada", open_at=101, limit=9) == []
        assert await store.approvals("bob", limit=9) == []
        assert len(await store.approvals("ada", begins="mcpr_", limit=1)) == 1


async def test_a_request_is_used_once_by_its_owner_in_time_or_nothing_begins(store: Store) -> None:
    one, late = request(), request(expires_at=1.6)
    asking = await paused(store, one, late)
    for wrong, code, answering in (
        ("mcpr_none", "approval_not_found", turn(asking.id, at=50)),
        (one.id, "approval_not_found", turn(asking.id, at=50, owner="bob")),
        (late.id, "approval_expired", turn(asking.id, at=50)),
    ):
        with pytest.raises(InvalidRequest) as refused:
            await store.begin(answering, answers=[Answer(id=wrong, approved=True)])
        assert refused.value.code == code
        with pytest.raises(NotFound):
            await store.get(answering.id)
    answers = [store.begin(turn(asking.id, at=50), answers=[Answer(id=one.id, approved=True)]) for _ in range(20)]
    done = await asyncio.gather(*answers, return_exceptions=True)
    assert [getattr(error, "code", None) for error in done if error] == ["approval_already_used"] * 19
    # What is not strict begins all the same, and changes no answer.
    await store.begin(turn(asking.id, at=50), answers=[Answer(id=one.id, approved=False, strict=False)])
    (kept,) = await store.approvals("ada", begins=one.id)
    assert kept.approved is True


async def test_a_request_that_is_made_again_is_that_of_the_newer_turn(store: Store) -> None:
    again = request()
    first = await paused(store, again)
    second = turn(first.id)
    await store.begin(second)
    await store.end(second.id, PAUSED, again)
    assert [each.turn for each in await store.approvals("ada", limit=9)] == [second.id]


async def test_a_deleted_turn_takes_its_requests_along(store: Store) -> None:
    one = request()
    asking = await paused(store, one)
    after = turn(asking.id)
    await store.begin(after)
    await store.end(after.id, DONE)
    await store.delete(asking.id)
    assert await store.approvals("ada", limit=9) == []
    with pytest.raises(InvalidRequest) as refused:
        await store.begin(turn(after.id), answers=[Answer(id=one.id, approved=True)])
    assert refused.value.code == "approval_not_found"


async def test_a_turn_that_is_kept_for_an_answer_only_is_forgotten_in_the_end(store: Store) -> None:
    asking = await paused(store, request(), stored=False)
    answering = turn(asking.id, stored=False)
    await store.begin(answering)
    await store.end(answering.id, DONE)
    stored = await paused(store, request())
    await store.begin(turn(at=99 + DAY, stored=False), PAUSED, output=[request(9 * DAY)])
    assert (await store.get(asking.id)).turn.id == asking.id
    await store.begin(turn(at=101 + DAY, stored=False), PAUSED, output=[request(9 * DAY)])
    for gone in (asking.id, answering.id):
        with pytest.raises(NotFound):
            await store.get(gone)
    assert (await store.get(stored.id)).turn.id == stored.id
    assert len(await store.approvals("ada", limit=9)) == 3
