"""What goes wrong between the ticketing server and a real tracker. Only the wire between them misbehaves."""

import asyncio
import os
import signal
from email.utils import formatdate
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio
import pytest
from mcp import Client, MCPError

from tests.mcp_tools.ticketing.conftest import Desk, desk, stdio_parameters
from tests.mcp_tools.ticketing.wire import Rule, answer, wire_to
from tests.roundup import Roundup

pytestmark = pytest.mark.anyio

Settings = dict[str, Any]
CREATE = "POST /rest/data/issue/@poe/"
ROUNDUP_YAML = Path(__file__).parents[3] / "mcp_tools" / "ticketing" / "presets" / "roundup.yaml"


def unique(text: str) -> str:
    return f"{text} {uuid4().hex}"


def through(settings: Settings, url: str, **more: Any) -> Settings:
    """Settings for a tracker behind a wire: it is read by people at its own address."""
    return {**settings, "base_url": url, "web_url": settings["base_url"], **more}


async def test_a_ticket_whose_answer_was_lost_is_found_and_not_opened_again(
    settings: Settings, roundup_tracker: Roundup
) -> None:
    title = unique("Lost answer")
    async with wire_to(roundup_tracker.url, Rule(CREATE, after=True)) as wire:
        async with desk(through(settings, wire.url)) as tickets:
            opened = await tickets.done("open_ticket", title=title, body="Text.")
    assert roundup_tracker.titled(title) == [opened["id"]]
    assert opened["created"] and opened["status"] == "unread"
    assert wire.count(CREATE) == 2  # the once-only address was asked again, and said so


async def test_a_ticket_whose_request_was_lost_is_opened_by_asking_again(
    settings: Settings, roundup_tracker: Roundup
) -> None:
    title = unique("Lost request")
    async with wire_to(roundup_tracker.url, Rule(CREATE, before=True, times=2)) as wire:
        async with desk(through(settings, wire.url)) as tickets:
            opened = await tickets.done("open_ticket", title=title)
    assert roundup_tracker.titled(title) == [opened["id"]]


async def test_a_process_killed_between_request_and_answer_leaves_one_ticket(
    settings: Settings, roundup_tracker: Roundup, tmp_path: Path
) -> None:
    title = unique("Killed")
    held, pid_file = asyncio.Event(), tmp_path / "pid"
    wrapper = ("sh", "-c", f'echo $$ > "{pid_file}"; exec "$@"', "sh")
    async with wire_to(roundup_tracker.url, Rule(CREATE, hold=held)) as wire:
        parameters = stdio_parameters(
            roundup_tracker, "--base-url", wire.url, "--data", str(tmp_path / "data"), wrapper=wrapper
        )

        async def kill_when_begun() -> None:
            with anyio.fail_after(30):
                await held.wait()
            os.kill(int(pid_file.read_text()), signal.SIGKILL)

        async with Client(parameters) as client, anyio.create_task_group() as tasks:
            tasks.start_soon(kill_when_begun)
            failure = None
            try:
                await client.call_tool("open_ticket", {"title": title, "body": "Text."})
            except MCPError as error:
                failure = error
            assert failure is not None
        async with Client(parameters) as client:
            opened = await Desk(client).done("open_ticket", title=title)
            again = await Desk(client).done("open_ticket", title=title)
    assert roundup_tracker.titled(title) == [opened["id"]]
    assert (opened["created"], again["id"], again["created"]) == (False, opened["id"], False)


async def test_a_cancelled_call_that_is_made_again_leaves_one_ticket(
    settings: Settings, roundup_tracker: Roundup
) -> None:
    title, held = unique("Cancelled"), asyncio.Event()
    async with wire_to(roundup_tracker.url, Rule(CREATE, hold=held)) as wire:
        async with desk(through(settings, wire.url)) as tickets:
            call = asyncio.create_task(tickets.call("open_ticket", title=title))
            with anyio.fail_after(30):
                await held.wait()
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            opened = await tickets.done("open_ticket", title=title)
    assert roundup_tracker.titled(title) == [opened["id"]]


async def test_a_tracker_that_falls_silent_is_given_up_and_its_ticket_found(
    settings: Settings, roundup_tracker: Roundup
) -> None:
    title, held = unique("Silent"), asyncio.Event()
    async with wire_to(roundup_tracker.url, Rule(CREATE, hold=held)) as wire:
        async with desk(through(settings, wire.url, timeout=1.0)) as tickets:
            opened = await tickets.done("open_ticket", title=title)
    assert roundup_tracker.titled(title) == [opened["id"]]


async def test_an_outcome_nobody_knows_is_said_to_be_unknown_and_cleared_up_later(
    settings: Settings, roundup_tracker: Roundup, tmp_path: Path
) -> None:
    title = unique("Unknown")
    lookup = f"GET /rest/data/issue?title%3A={title.split()[0]}"
    nothing = answer("200 OK", body=b'{"data": {"collection": []}}')
    rules = (Rule(CREATE, after=True), Rule(lookup, reply=nothing), Rule(lookup, before=True, times=4))
    async with wire_to(roundup_tracker.url, *rules) as wire:
        async with desk(through(settings, wire.url, data=tmp_path)) as tickets:
            lagging = await tickets.refused("open_ticket", title=title)
            unreachable = await tickets.refused("open_ticket", title=title)
            opened = await tickets.done("open_ticket", title=title)
    for said in (lagging, unreachable):
        assert said.startswith("Outcome unknown") and "same arguments is safe" in said
    assert "could not be looked up" in unreachable
    assert roundup_tracker.titled(title) == [opened["id"]]


async def test_what_was_provably_never_made_is_made_by_the_next_call(
    settings: Settings, roundup_tracker: Roundup, tmp_path: Path
) -> None:
    title = unique("Settled")
    preset = tmp_path / "impatient.yaml"
    preset.write_text(ROUNDUP_YAML.read_text().replace("settled_after: 900", "settled_after: 0.000001"))
    spent = answer("400 Bad Request", body=b'{"error": {"msg": "POE token \'x\' not valid."}}')
    async with wire_to(roundup_tracker.url, Rule(CREATE, before=True), Rule(CREATE, reply=spent)) as wire:
        async with desk(through(settings, wire.url, preset=str(preset))) as tickets:
            opened = await tickets.done("open_ticket", title=title)
    assert roundup_tracker.titled(title) == [opened["id"]]


async def test_a_change_whose_answer_was_lost_is_made_once_more_on_what_is_there(
    settings: Settings, roundup_tracker: Roundup
) -> None:
    async with wire_to(roundup_tracker.url, Rule("PATCH ", after=True)) as wire:
        async with desk(through(settings, wire.url)) as tickets:
            id = (await tickets.done("open_ticket", title=unique("Change")))["id"]
            changed = await tickets.done("update_ticket", id=id, status="testing")
    assert changed["status"] == "testing"
    assert wire.count(f"PATCH /rest/data/issue/{id}") == 3  # lost; 412, as it had been done; and on the new state


async def test_a_ticket_that_never_stands_still_is_given_up_with_advice(
    settings: Settings, roundup_tracker: Roundup
) -> None:
    changed = answer("412 Precondition Failed", body=b'{"error": {"msg": "does not match"}}')
    async with wire_to(roundup_tracker.url, Rule("PATCH ", reply=changed, times=100)) as wire:
        async with desk(through(settings, wire.url)) as tickets:
            id = (await tickets.done("open_ticket", title=unique("Busy")))["id"]
            said = await tickets.refused("update_ticket", id=id, status="testing")
    assert "412" in said and "someone else" in said


async def test_a_comment_whose_answer_was_lost_is_added_once(settings: Settings, roundup_tracker: Roundup) -> None:
    rules = (Rule("POST /rest/data/msg", after=True), Rule("PATCH ", after=True))
    async with wire_to(roundup_tracker.url, *rules) as wire:
        async with desk(through(settings, wire.url)) as tickets:
            id = (await tickets.done("open_ticket", title=unique("Comment")))["id"]
            made = await tickets.done("add_comment", id=id, body="Only once")
            again = await tickets.done("add_comment", id=id, body="Only once")
            read = await tickets.done("read_ticket", id=id)
    assert [one["body"] for one in read["comments"]] == ["Text.", "Only once"]
    assert read["comments"][1]["id"] == made["id"]
    assert (again["id"], again["created"]) == (made["id"], False)


@pytest.mark.parametrize(
    "reply",
    [
        answer("429 Too Many Requests", "Retry-After: 0\r\n"),
        answer("429 Too Many Requests", f"Retry-After: {formatdate(0, usegmt=True)}\r\n"),
        answer("429 Too Many Requests"),
        answer("503 Service Unavailable", "Retry-After: 0\r\n", b"busy"),
    ],
    ids=["seconds", "date", "unsaid", "unavailable"],
)
async def test_a_request_turned_away_for_now_is_made_again(
    settings: Settings, roundup_tracker: Roundup, reply: bytes
) -> None:
    title = unique("Turned away")
    async with wire_to(roundup_tracker.url, Rule(CREATE, reply=reply, times=2)) as wire:
        async with desk(through(settings, wire.url)) as tickets:
            opened = await tickets.done("open_ticket", title=title)
    assert roundup_tracker.titled(title) == [opened["id"]]


@pytest.mark.parametrize("pause", ["86400", formatdate(4102444800, usegmt=True)], ids=["seconds", "date"])
async def test_a_pause_longer_than_the_limit_is_reported_instead_of_waited_for(
    settings: Settings, roundup_tracker: Roundup, pause: str
) -> None:
    title = unique("Long pause")
    reply = answer("429 Too Many Requests", f"Retry-After: {pause}\r\n")
    async with wire_to(roundup_tracker.url, Rule(CREATE, reply=reply)) as wire:
        async with desk(through(settings, wire.url)) as tickets:
            said = await tickets.refused("open_ticket", title=title)
            assert "asks to wait" in said and "Nothing was changed" in said
            assert roundup_tracker.titled(title) == []
            assert (await tickets.done("open_ticket", title=title))["created"]


@pytest.mark.parametrize(
    "rule",
    [
        Rule("GET ", before=True, times=2),
        Rule("GET ", reply=answer("502 Bad Gateway", "Content-Type: text/html\r\n", b"<h1>no</h1>"), times=3),
        Rule("GET ", reply=b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{", times=1),
    ],
    ids=["cut", "bad gateway", "half an answer"],
)
async def test_reading_is_tried_again(settings: Settings, roundup_tracker: Roundup, rule: Rule) -> None:
    rule.times = min(rule.times, 3)
    async with wire_to(roundup_tracker.url, rule) as wire, desk(through(settings, wire.url)) as tickets:
        assert (await tickets.done("search_tickets"))["page"] == 1
    assert len(wire.seen) > 1
    rule.times = 1


async def test_a_redirect_is_not_followed_and_gets_no_credentials(settings: Settings, roundup_tracker: Roundup) -> None:
    async with wire_to(roundup_tracker.url) as elsewhere:
        reply = answer("307 Temporary Redirect", f"Location: {elsewhere.url}rest/data/issue?secret=1\r\n")
        async with wire_to(roundup_tracker.url, Rule("", reply=reply, times=9)) as wire:
            async with desk(through(settings, wire.url)) as tickets:
                said = await tickets.refused("search_tickets")
                assert "307" in await tickets.refused("open_ticket", title="Redirected")
    assert elsewhere.seen == []
    assert "redirects are not followed" in said and "secret=1" not in said


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"data": {"collection": "' + b"x" * 3000 + b'"}}', "larger than 2048 bytes"),
        (b"<html>Welcome</html>", "not JSON"),
        (b'{"data": []}', "no list at 'found.body.data.collection'"),
        (b'{"data": {"collection": [{"id": "1", "title": "x"}]}}', "no status at 'found.body.data.collection.status"),
        (b"[1, 2]", "preset roundup expects"),
        (b'{"data": {"collection": [7]}}', "no id"),
        (b"", "preset roundup expects"),
    ],
)
async def test_an_answer_that_is_not_the_trackers_is_explained(
    settings: Settings, roundup_tracker: Roundup, body: bytes, expected: str
) -> None:
    async with wire_to(roundup_tracker.url, Rule("GET ", reply=answer("200 OK", body=body))) as wire:
        async with desk(through(settings, wire.url, max_bytes=2048)) as tickets:
            assert expected in await tickets.refused("search_tickets")


async def test_an_accepted_ticket_with_an_unreadable_answer_is_found(
    settings: Settings, roundup_tracker: Roundup
) -> None:
    title = unique("Garbled")
    reply = answer("201 Created", "Content-Type: text/html\r\n", b"<p>thanks</p>")
    async with wire_to(roundup_tracker.url, Rule(CREATE, reply=reply)) as wire:
        async with desk(through(settings, wire.url)) as tickets:
            said = await tickets.refused("open_ticket", title=title)
            assert said.startswith("Outcome unknown") and "not JSON" in said
            opened = await tickets.done("open_ticket", title=title)
    assert roundup_tracker.titled(title) == [opened["id"]]


async def test_long_texts_are_cut_and_say_so(settings: Settings) -> None:
    async with desk({**settings, "max_text": 100}) as tickets:
        id = (await tickets.done("open_ticket", title=unique("Long"), body="x" * 250))["id"]
        read = await tickets.done("read_ticket", id=id)
    assert read["comments"][0]["body"] == "x" * 100 + "\n[cut here: 150 more characters]"


async def test_credentials_that_the_tracker_repeats_are_not_passed_on(
    settings: Settings, roundup_tracker: Roundup
) -> None:
    async with wire_to(roundup_tracker.url) as wire:

        def echo() -> bytes:
            sent = next(line for line in wire.seen[-1].head.split("\r\n") if line.lower().startswith("authorization"))
            told = f'{{"error": {{"msg": "you sent {sent} and {settings["password"]}"}}}}'
            return answer("400 Bad Request", body=told.encode())

        wire.rules.append(Rule("GET ", reply=echo))
        async with desk(through(settings, wire.url)) as tickets:
            said = await tickets.refused("search_tickets")
    secret = wire.seen[-1].head.partition("Basic ")[2].split()[0]
    assert "you sent" in said and secret not in said and settings["password"] not in said


async def test_nothing_is_opened_when_it_could_not_be_remembered(
    settings: Settings, roundup_tracker: Roundup, tmp_path: Path
) -> None:
    title = unique("No record")
    (tmp_path / "data").write_text("a file where the directory should be")
    async with desk({**settings, "data": tmp_path / "data"}) as tickets:
        said = await tickets.refused("open_ticket", title=title)
    assert "made nothing new" in said
    assert roundup_tracker.titled(title) == []
