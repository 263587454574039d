"""What a conversation lists: a call of the gateway's and its result are one entry."""

from dataclasses import replace

import pytest

from gateway.errors import NotFound
from gateway.items import Item, Text, ToolCall, ToolResult
from gateway.storage import Conversation, Store
from tests.stores.turns import DONE, asked, said

pytestmark = pytest.mark.anyio


def called(id: str, server: str = "") -> ToolCall:
    return ToolCall(id=f"fc_{id}", call_id=id, name=id, arguments="{}", server=server, tool=server and id)


def answered(id: str) -> ToolResult:
    return ToolResult(id=f"fco_{id}", call_id=id, content=(Text(text="ok"),))


async def talked(store: Store) -> tuple[list[Item], str]:
    """A conversation `c` with calls of both sides, one of them never answered; its items and its newest turn."""
    await store.create_conversation(Conversation(id="c", created_at=1, metadata={}))
    both = [called("a", "s"), called("mine"), called("b", "s"), answered("b"), answered("a")]
    first = asked(question := said("q"), conversation="c")
    await store.begin(first)
    await store.end(first.id, DONE, *both)
    # An output of the client's; then a call that was cut off, which the run itself answered; then an open one.
    rest = [called("cut"), answered("cut"), called("open", "s")]
    second = asked(answered("mine"), parent=first.id, conversation="c")
    await store.begin(second)
    await store.end(second.id, DONE, *rest)
    return [question, *both, answered("mine"), *rest], second.id


ENTRIES = [["q"], ["fc_a", "fco_a"], ["fc_mine"], ["fc_b", "fco_b"], ["fco_mine"], ["fc_cut"], ["fc_open"]]


@pytest.mark.parametrize("newest_first", [False, True])
async def test_a_call_and_its_result_are_never_parted_and_count_as_one(store: Store, newest_first: bool) -> None:
    items, _ = await talked(store)
    names = {items[0].id: "q"}
    expected = ENTRIES[::-1] if newest_first else ENTRIES
    for limit in range(1, 9):
        after, more, pages = None, True, list[list[str]]()
        while more:
            page, more = await store.conversation_items("c", after=after, limit=limit, newest_first=newest_first)
            pages.append([names.get(item.id, item.id) for item in page])
            after = next(item.id for item in reversed(page) if item.id not in ("fco_a", "fco_b"))
        starts = range(0, len(expected), limit)
        assert pages == [[id for entry in expected[n : n + limit] for id in entry] for n in starts]


@pytest.mark.parametrize("newest_first", [False, True])
async def test_pages_lead_back_from_any_entry(store: Store, newest_first: bool) -> None:
    items, _ = await talked(store)
    names = {items[0].id: "q"}
    ids = {name: id for id, name in names.items()}
    whole = ENTRIES[::-1] if newest_first else ENTRIES

    async def listed(**ends: str) -> tuple[list[str], bool]:
        given = {"after": None, "limit": 2} | {end: ids.get(id, id) for end, id in ends.items()}
        page, more = await store.conversation_items("c", newest_first=newest_first, **given)
        return [names.get(item.id, item.id) for item in page], more

    before, more, pages = whole[-1][0], True, list[list[str]]()
    while more:
        page, more = await listed(before=before)
        pages.insert(0, page)
        before = page[0]
    halves = [whole[0:2], whole[2:4], whole[4:6]]
    assert pages == [[id for entry in half for id in entry] for half in halves]
    between = [id for entry in whole[2:4] for id in entry]
    assert await listed(after=whole[1][0], before=whole[4][0]) == (between, False)
    assert await listed(after=whole[1][0], before=whole[5][0]) == (between, True)
    assert await listed(before=whole[0][0]) == ([], False)
    with pytest.raises(NotFound) as raised:
        await listed(before="fco_a")
    assert raised.value.param == "before"


async def test_a_result_is_found_only_with_its_call_and_leaves_with_it(store: Store) -> None:
    _, newest = await talked(store)
    assert [item.id for item in await store.conversation_item("c", "fc_a")] == ["fc_a", "fco_a"]
    assert [item.id for item in await store.conversation_item("c", "fco_mine")] == ["fco_mine"]
    for hidden in ("fco_a", "fco_cut"):
        with pytest.raises(NotFound):
            await store.conversation_item("c", hidden)
        with pytest.raises(NotFound):
            await store.conversation_items("c", after=hidden, limit=1, newest_first=False)
    await store.delete_conversation_item("c", "fc_a")
    assert not {"fc_a", "fco_a"} & {item.id for item in await store.history(newest)}


async def test_items_are_found_by_their_ids_in_the_turns_of_their_owner(store: Store) -> None:
    first = replace(asked(question := said("q")), owner="ann")
    await store.begin(first)
    await store.end(first.id, DONE, called("a", "s"), called("mine"), answered("a"))
    again = replace(asked(said("other"), parent=first.id), owner="ann")
    await store.begin(again)
    ids = [question.id, "fc_a", "fc_mine", "nowhere"]
    found = await store.items(ids, "ann")
    assert found == {question.id: [question], "fc_a": [called("a", "s"), answered("a")], "fc_mine": [called("mine")]}
    assert await store.items(ids, "bob") == {}
    await store.delete(first.id)
    assert await store.items(ids, "ann") == {}


async def test_of_several_items_with_one_id_the_newest_is_found(store: Store) -> None:
    for text in ("old", "new"):
        turn = asked(replace(said(text), id="msg_same"))
        await store.begin(turn)
        await store.end(turn.id, DONE)
    found = await store.items(["msg_same"], "")
    assert [item.text for item in found["msg_same"]] == ["new"]
