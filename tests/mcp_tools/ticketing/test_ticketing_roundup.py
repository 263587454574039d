"""The five tools against a real Roundup tracker."""

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import anyio
import pytest
from mcp import Client

from mcp_tools.ticketing import create_server
from tests.mcp_tools.ticketing.conftest import Desk, desk
from tests.roundup import Roundup

pytestmark = pytest.mark.anyio

Settings = dict[str, Any]


def unique(text: str) -> str:
    return f"{text} {uuid4().hex}"


async def test_a_ticket_is_opened_read_changed_commented_on_and_found(
    any_desk: Callable[[], Any], roundup_tracker: Roundup
) -> None:
    title = unique("Printer jam")
    async with any_desk() as tickets:
        opened = await tickets.done("open_ticket", title=title, body="It jams.\nÖfter.", priority="urgent")
        id = opened["id"]
        changed = await tickets.done("update_ticket", id=id, status="in-progress", assignee="agent")
        comment = await tickets.done("add_comment", id=id, body="Seen it too.")
        read = await tickets.done("read_ticket", id=id)
        found = await tickets.done("search_tickets", query=title, status="in-progress", assignee="agent")
    assert opened["url"] == f"{roundup_tracker.url}issue{id}"
    assert (opened["title"], opened["status"], opened["priority"]) == (title, "unread", "urgent")
    assert opened["created"]
    assert (changed["status"], changed["assignee"], changed["title"]) == ("in-progress", "agent", title)
    assert (comment["ticket_id"], comment["created"]) == (id, True)
    assert [one["body"] for one in read["comments"]] == ["It jams.\nÖfter.", "Seen it too."]
    assert {one["author"] for one in read["comments"]} == {"agent"}
    assert [ticket["id"] for ticket in found["tickets"]] == [id]
    assert roundup_tracker.get(f"issue/{id}?@verbose=2")["attributes"]["assignedto"]["username"] == "agent"


async def test_tools_say_what_they_do(any_desk: Callable[[], Any]) -> None:
    async with any_desk() as tickets:
        tools = {tool.name: tool for tool in (await tickets.client.list_tools()).tools}
    hints = {
        name: (h.read_only_hint, h.destructive_hint, h.idempotent_hint, h.open_world_hint)
        for name, tool in tools.items()
        if (h := tool.annotations)
    }
    # Without a data directory what was made is forgotten with the process, so repeating is not promised to be safe.
    assert hints == {
        "open_ticket": (False, False, False, True),
        "add_comment": (False, False, False, True),
        "read_ticket": (True, False, True, True),
        "search_tickets": (True, False, True, True),
        "update_ticket": (False, True, True, True),
    }
    assert tools["open_ticket"].input_schema["properties"]["priority"]["enum"][0] == "critical"
    assert "base_url" not in str(tools)


async def test_opening_is_idempotent_where_it_is_remembered(settings: Settings, tmp_path: Any) -> None:
    async with desk({**settings, "data": tmp_path}) as tickets:
        tools = {tool.name: tool for tool in (await tickets.client.list_tools()).tools}
    assert tools["open_ticket"].annotations is not None
    assert tools["open_ticket"].annotations.idempotent_hint is True


async def test_search_finds_tickets_with_all_words_in_any_order_page_by_page(settings: Settings) -> None:
    word = uuid4().hex
    async with desk(settings) as tickets:
        for number in range(3):
            await tickets.done("open_ticket", title=f"alpha {number} {word} omega")
        await tickets.done("open_ticket", title=f"alpha without {word}")
        first = await tickets.done("search_tickets", query=f"omega {word} alpha", limit=2)
        last = await tickets.done("search_tickets", query=f"omega {word} alpha", limit=2, page=2)
        none = await tickets.done("search_tickets", query=f"{word} nowhere")
    assert (first["total"], first["has_more"], last["has_more"]) == (3, True, False)
    assert len({ticket["id"] for ticket in first["tickets"] + last["tickets"]}) == 3
    assert (none["tickets"], none["total"]) == ([], 0)


async def test_concurrent_changes_all_take_effect(settings: Settings, roundup_tracker: Roundup) -> None:
    title = unique("Contended")
    async with desk(settings) as one, desk(settings) as other:
        id = (await one.done("open_ticket", title=title))["id"]
        changes: list[tuple[Any, Settings]] = [
            (one, {"status": "testing"}),
            (other, {"priority": "bug"}),
            (one, {"assignee": "agent"}),
            (other, {"title": f"{title}!"}),
        ]
        await asyncio.gather(*(who.done("update_ticket", id=id, **change) for who, change in changes))
        read = await one.done("read_ticket", id=id)
    assert (read["status"], read["priority"], read["assignee"]) == ("testing", "bug", "agent")
    assert read["title"] == f"{title}!"


async def test_concurrent_comments_are_all_kept(settings: Settings) -> None:
    async with desk(settings) as tickets:
        id = (await tickets.done("open_ticket", title=unique("Lively"), body="The first message."))["id"]
        texts = [f"comment {number}" for number in range(4)]
        await asyncio.gather(*(tickets.done("add_comment", id=id, body=text) for text in texts))
        read = await tickets.done("read_ticket", id=id)
    assert sorted(one["body"] for one in read["comments"][1:]) == texts


async def test_equal_calls_at_the_same_time_open_one_ticket(settings: Settings, roundup_tracker: Roundup) -> None:
    title = unique("Together")
    async with desk(settings) as tickets:
        made = await asyncio.gather(*(tickets.done("open_ticket", title=title) for _ in range(3)))
    assert len({one["id"] for one in made}) == 1
    assert sorted(one["created"] for one in made) == [False, False, True]
    assert len(roundup_tracker.titled(title)) == 1


async def test_a_key_decides_whether_equal_arguments_are_the_same_ticket(
    settings: Settings, roundup_tracker: Roundup
) -> None:
    title = unique("Keyed")
    async with desk(settings) as tickets:
        first = await tickets.done("open_ticket", title=title, idempotency_key=f"a {title}")
        again = await tickets.done("open_ticket", title=title, idempotency_key=f"a {title}")
        other = await tickets.done("open_ticket", title=title, idempotency_key=f"b {title}")
        misuse = await tickets.refused("open_ticket", title="Else", idempotency_key=f"a {title}")
    assert (first["id"], again["created"]) == (again["id"], False)
    assert other["id"] != first["id"]
    assert "other arguments" in misuse and first["id"] in misuse
    assert len(roundup_tracker.titled(title)) == 2


async def test_a_ticket_is_remembered_over_a_restart_of_the_server(
    settings: Settings, roundup_tracker: Roundup, tmp_path: Any
) -> None:
    title = unique("Remembered")
    async with desk({**settings, "data": tmp_path}) as tickets:
        first = await tickets.done("open_ticket", title=title, body="Once.")
    async with desk({**settings, "data": tmp_path}) as tickets:
        again = await tickets.done("open_ticket", title=title, body="Once.")
    assert (again["id"], again["created"]) == (first["id"], False)
    assert len(roundup_tracker.titled(title)) == 1


async def test_several_connections_share_one_server_and_may_end_in_any_order(settings: Settings) -> None:
    title = unique("Shared")
    server = create_server(settings)
    async with Client(server) as one:
        async with Client(server, mode="legacy") as other:
            first = await Desk(other).done("open_ticket", title=title)
        again = await Desk(one).done("open_ticket", title=title)
    assert (again["id"], again["created"]) == (first["id"], False)


@pytest.mark.parametrize("id", ["../user/1", "1/../../user/1", "..", "%2e%2e", "issue1", "1?x=1", "", "1\n"])
async def test_an_id_cannot_lead_elsewhere(settings: Settings, id: str) -> None:
    async with desk(settings) as tickets:
        for tool, more in (("read_ticket", {}), ("update_ticket", {"title": "x"}), ("add_comment", {"body": "x"})):
            said = await tickets.refused(tool, id=id, **more)
            assert "Invalid arguments: id" in said or "cannot be used as an id" in said


async def test_an_unknown_ticket_is_said_to_be_unknown(settings: Settings, roundup_tracker: Roundup) -> None:
    messages = roundup_tracker.get("msg?@page_size=1")["@total_size"]
    async with desk(settings) as tickets:
        for tool, more in (("read_ticket", {}), ("update_ticket", {"title": "x"}), ("add_comment", {"body": "x"})):
            said = await tickets.refused(tool, id="999999", **more)
            assert "404" in said and "search_tickets" in said
    assert roundup_tracker.get("msg?@page_size=1")["@total_size"] == messages


async def test_wrong_arguments_are_named_and_change_nothing(settings: Settings) -> None:
    async with desk(settings) as tickets:
        assert "priority" in await tickets.refused("open_ticket", title="x", priority="whatever")
        assert "title" in await tickets.refused("open_ticket", title="  ")
        assert "base_url" in await tickets.refused("open_ticket", title="x", base_url="http://127.0.0.1:1/")
        assert "nobody" in await tickets.refused("open_ticket", title="x", assignee="nobody")
        assert "enough properties" in await tickets.refused("update_ticket", id="1")
        assert "Unknown tool" in await tickets.refused("delete_ticket", id="1")


async def test_wrong_credentials_are_said_to_be_wrong_and_are_not_shown(settings: Settings) -> None:
    async with desk({**settings, "password": "hunter2-secret"}) as tickets:
        said = await tickets.refused("search_tickets")
    assert "401" in said and "person who runs" in said
    assert "hunter2-secret" not in said


async def test_a_tracker_that_is_down_is_reported_and_used_again_when_it_is_back(
    tmp_path: Any, settings: Settings
) -> None:
    title = unique("Interrupted")
    tracker = Roundup(tmp_path / "tracker")
    try:
        await anyio.to_thread.run_sync(tracker.start)
        own = {**settings, "base_url": tracker.url, "user": tracker.user, "password": tracker.password}
        async with desk(own) as tickets:
            first = await tickets.done("open_ticket", title=title)
            tracker.stop()
            down = await tickets.refused("open_ticket", title="While it is down")
            assert "cannot be reached" in down and "Nothing was changed" in down
            await anyio.to_thread.run_sync(tracker.start)
            assert (await tickets.done("read_ticket", id=first["id"]))["title"] == title
            assert (await tickets.done("open_ticket", title="While it is down"))["created"]
    finally:
        tracker.stop()


async def test_a_tracker_that_limits_requests_for_long_is_not_waited_for(tmp_path: Any, settings: Settings) -> None:
    tracker = Roundup(tmp_path / "tracker")
    try:
        await anyio.to_thread.run_sync(lambda: tracker.start(rate_limit=1))
        own = {**settings, "base_url": tracker.url, "user": tracker.user, "password": tracker.password}
        async with desk(own) as tickets:
            await tickets.done("search_tickets")
            said = await tickets.refused("search_tickets")
    finally:
        tracker.stop()
    assert "asks to wait" in said and "seconds" in said


async def test_the_address_may_be_that_of_the_api(settings: Settings, roundup_tracker: Roundup) -> None:
    async with desk({**settings, "base_url": f"{roundup_tracker.url}rest/"}) as tickets:
        opened = await tickets.done("open_ticket", title=unique("By API"))
        assert (await tickets.done("read_ticket", id=opened["id"]))["url"] == opened["url"]
    assert opened["url"] == f"{roundup_tracker.url}issue{opened['id']}"
