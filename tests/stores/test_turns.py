"""Turns that are looked for: by their owner, by their kind, and by what was said before them."""

from dataclasses import replace

import pytest

from gateway.errors import NotFound
from gateway.ports import Turn
from gateway.storage import Store, TurnEnd
from tests.stores.turns import AGENT, DONE, asked, said

pytestmark = pytest.mark.anyio


async def kept(store: Store, id: str, end: TurnEnd | None = DONE, **fields: object) -> Turn:
    turn = replace(asked(said("hi")), id=id, owner="me", **fields)
    await store.begin(turn)
    if end is not None:
        await store.end(turn.id, end, said("hello", "assistant"))
    return turn


async def ids(store: Store, **changed: object) -> tuple[list[str], bool]:
    asked_for = {"after": None, "limit": 10, "newest_first": False, "agent": "", "metadata": {}, **changed}
    turns, more = await store.turns("me", "kind-", **asked_for)
    return [stored.turn.id for stored in turns], more


async def test_turns_of_one_owner_and_kind_are_listed_page_by_page(store: Store) -> None:
    for number in range(3):
        await kept(store, f"kind-{number}", wire={"metadata": {"n": str(number), "all": "x"}})
    await kept(store, "kind.4")
    await kept(store, "kinc-5")
    await kept(store, "kind-running", end=None)
    await kept(store, "kind-failed", end=replace(DONE, status="failed"))
    await kept(store, "kind-deleted")
    await store.delete("kind-deleted")
    other = replace(await kept(store, "kind-named", agent=replace(AGENT, name="other")), owner="you", id="kind-yours")
    await store.begin(other, DONE)
    assert await ids(store) == (["kind-0", "kind-1", "kind-2", "kind-named"], False)
    assert await ids(store, limit=2) == (["kind-0", "kind-1"], True)
    assert await ids(store, limit=2, after="kind-1") == (["kind-2", "kind-named"], False)
    assert await ids(store, after="kind-2", newest_first=True) == (["kind-1", "kind-0"], False)
    assert await ids(store, agent="other") == (["kind-named"], False)
    assert await ids(store, metadata={"all": "x", "n": "1"}) == (["kind-1"], False)
    assert await ids(store, metadata={"all": "y"}) == ([], False)
    for unknown in ("kind-none", "kind-yours"):
        for end in ("after", "before"):
            with pytest.raises(NotFound) as raised:
                await ids(store, **{end: unknown})
            assert raised.value.param == end


async def test_turns_are_listed_back_from_one_of_them(store: Store) -> None:
    for number in range(5):
        await kept(store, f"kind-{number}")
    assert await ids(store, before="kind-3") == (["kind-0", "kind-1", "kind-2"], False)
    assert await ids(store, before="kind-3", limit=2) == (["kind-1", "kind-2"], True)
    assert await ids(store, before="kind-1", limit=2, newest_first=True) == (["kind-3", "kind-2"], True)
    assert await ids(store, before="kind-0") == ([], False)
    assert await ids(store, after="kind-0", before="kind-4", limit=2) == (["kind-1", "kind-2"], True)
    assert await ids(store, after="kind-4", before="kind-2", newest_first=True) == (["kind-3"], False)
    assert await ids(store, after="kind-3", before="kind-1") == ([], False)


async def test_a_list_has_what_was_answered_and_not_what_was_asked(store: Store) -> None:
    await kept(store, "kind-0", wire={"echo": 1})
    whole = await store.get("kind-0")
    listed, _ = await store.turns("me", "kind-", after=None, limit=1, newest_first=True, agent="", metadata={})
    assert listed == [replace(whole, turn=replace(whole.turn, input=()))]
    assert listed[0].output and whole.turn.input


async def test_turns_are_found_by_their_digest_newest_first(store: Store) -> None:
    await kept(store, "kind-0", digest="a")
    await kept(store, "kind-1", digest="b")
    await kept(store, "kind-2", digest="a")
    await kept(store, "kind-3", digest="a", end=None)
    await kept(store, "kind-4")
    assert await store.by_digest("me", ["a", "none"]) == [("a", "kind-2"), ("a", "kind-0")]
    assert await store.by_digest("you", ["a"]) == []
    assert await store.by_digest("me", [""]) == []
    assert (await store.get("kind-1")).turn.digest == "b"


async def test_a_dialect_may_change_what_it_keeps_of_a_request(store: Store) -> None:
    turn = await kept(store, "kind-0", wire={"metadata": {"a": "1"}, "n": 1.0, "deep": [None, "ä\u2028"]})
    await store.rewire(turn.id, {**turn.wire, "metadata": {"b": "2"}})
    stored = await store.get(turn.id)
    assert stored.turn == replace(turn, wire={**turn.wire, "metadata": {"b": "2"}})
    with pytest.raises(NotFound):
        await store.rewire("none", {})
