"""What a drop-in must get right, line by line: lists and their pages."""

import json

import pytest

from tests.compat.model import called, said
from tests.compat.wire import asks, chats, error_of, respond

pytestmark = pytest.mark.anyio

MANY = 25
LINES = [f"line {number:02}" for number in range(MANY)]
USER = [{"role": "user", "content": line} for line in LINES]


async def conversation_items(running):
    created = await running.http.post("/v1/conversations", json={"items": USER[:20]})
    url = f"/v1/conversations/{created.json()['id']}/items"
    await running.http.post(url, json={"items": USER[20:]})
    return url, LINES


async def input_items(running):
    response = await respond(running, asks(USER))
    return f"/v1/responses/{response['id']}/input_items", LINES


async def completions(running):
    made = [await running.http.post("/v1/chat/completions", json=chats(line, store=True)) for line in LINES]
    return "/v1/chat/completions", [answer.json()["id"] for answer in made]


async def messages(running):
    body = {**chats("hi", store=True), "messages": USER}
    made = await running.http.post("/v1/chat/completions", json=body)
    return f"/v1/chat/completions/{made.json()['id']}/messages", LINES


async def approvals(running):
    made = [await respond(running, {**asks(line), "model": "careful"}) for line in LINES]
    return "/v1/approvals", [response["id"] for response in made]


LISTS = {
    "conversation items": (conversation_items, "desc"),
    "input items": (input_items, "desc"),
    "stored completions": (completions, "asc"),
    "messages of a stored completion": (messages, "asc"),
    "approvals": (approvals, "desc"),
}


def step(call):
    return [called("clock__count", "{}")] if call.tools else [said("hello")]


@pytest.mark.requirement("lists")
@pytest.mark.parametrize(("make", "default"), LISTS.values(), ids=LISTS)
async def test_every_list_honours_after_limit_and_order_and_says_where_it_ends(gateway, home, clock, make, default):
    """`make` gives the list's URL, and what stands in its entries, the oldest first."""
    careful = "name: careful\nmodel: scripted/one\ntools: [{tool: clock.count, approval: always}]\n"
    (home / "agents" / "careful.yaml").write_text(careful)
    other = {"asc": "desc", "desc": "asc"}[default]
    async with gateway(*[step] * 50, servers=clock) as running:
        url, oldest_first = await make(running)

        async def page(**query):
            answer = await running.http.get(url, params=query)
            assert answer.status_code == 200, answer.text
            found = answer.json()
            ids = [entry["id"] for entry in found["data"]]
            assert (found["object"], found["first_id"], found["last_id"]) == (
                "list",
                *((ids[0], ids[-1]) if ids else (None, None)),
            )
            return found["data"], found["has_more"], ids

        first, more, ids = await page()
        rest, no_more, rest_ids = await page(after=ids[-1])
        ids += rest_ids
        _, _, backwards = await page(order=other, limit=100)
        _, in_the_middle, some = await page(order=other, limit=3, after=ids[20])
        end = await page(after=ids[-1])
        exact = await page(limit=MANY)
        wrong = {"limit": ["0", "101", "many"], "order": ["up"], "after": ["none"]}
        refused = [
            (name, await running.http.get(url, params={name: value}))
            for name, values in wrong.items()
            for value in values
        ]
    expected = oldest_first if default == "asc" else oldest_first[::-1]
    assert [len(first), more, len(rest), no_more] == [20, True, 5, False]
    assert all(mark in json.dumps(entry) for mark, entry in zip(expected, [*first, *rest], strict=True))
    assert backwards == ids[::-1]
    assert (some, in_the_middle) == (ids[17:20][::-1], True)
    assert end == ([], False, [])
    assert exact[1:] == (False, ids)
    for name, answer in refused:
        assert (answer.status_code in (400, 404), error_of(answer)["param"]) == (True, name), answer.text
