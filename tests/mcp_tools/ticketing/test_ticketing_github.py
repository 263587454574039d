"""The same five tools against the documented behaviour of GitHub Issues. The tracker's side is a double."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mcp_tools.ticketing import CALLER
from tests.mcp_tools.ticketing.conftest import desk
from tests.mcp_tools.ticketing.github_double import TOKEN, GitHub, github_double, now

pytestmark = pytest.mark.anyio

Settings = dict[str, Any]


@pytest.fixture
def github() -> Iterator[GitHub]:
    with github_double() as double:
        yield double


@pytest.fixture
def settings(github: GitHub) -> Settings:
    return {"preset": "github", "base_url": github.url, "token": TOKEN, "options": {"repository": github.repository}}


async def test_an_issue_is_opened_read_changed_commented_on_and_found(settings: Settings, github: GitHub) -> None:
    async with desk(settings) as tickets:
        opened = await tickets.done("open_ticket", title="Crash", body="On start", labels=["bug"], assignee="octocat")
        commented = await tickets.done("add_comment", id="1", body="Me too")
        changed = await tickets.done("update_ticket", id="1", status="closed", labels=[])
        read = await tickets.done("read_ticket", id="1")
        found = await tickets.done("search_tickets", query="crash start", status="closed")
        none = await tickets.done("search_tickets", query="crash", status="open")
    page = "https://github.com/octo/hello-world/issues/1"
    assert (opened["id"], opened["url"], opened["status"], opened["created"]) == ("1", page, "open", True)
    assert (opened["labels"], opened["assignee"]) == (["bug"], "octocat")
    assert commented["url"] == f"{page}#issuecomment-{commented['id']}"
    # What was not given is not sent: the title and the assignee stay.
    assert (changed["status"], changed["labels"], changed["assignee"]) == ("closed", [], "octocat")
    assert [(one["author"], one["body"]) for one in read["comments"]] == [("octocat", "Me too")]
    assert (found["total"], found["tickets"][0]["id"], none["tickets"]) == (1, "1", [])


async def test_an_issue_whose_answer_was_lost_is_found_and_not_opened_again(settings: Settings, github: GitHub) -> None:
    pull = {"number": 77, "title": "Lost", "body": "Text", "state": "open", "pull_request": {}}
    github.issues[77] = pull | {"created_at": now(), "updated_at": now()}
    github.faults = [("POST", "lose")]
    async with desk(settings) as tickets:
        opened = await tickets.done("open_ticket", title="Lost", body="Text\r\n")
    assert (opened["id"], opened["created"]) == ("1", True)
    assert [line for line in github.asked if line.startswith("POST")] == ["POST /repos/octo/hello-world/issues"]


async def test_a_comment_whose_answer_was_lost_is_found_and_not_added_again(settings: Settings, github: GitHub) -> None:
    async with desk(settings) as tickets:
        await tickets.done("open_ticket", title="Talk")
        github.faults = [("POST", "lose")]
        made = await tickets.done("add_comment", id="1", body="Once")
    assert [comment["id"] for comment in github.comments[1]] == [int(made["id"])]


@pytest.mark.parametrize("fault", ["lose", (500, {}, {"message": "oops"}), (502, {}, {"message": "bad gateway"})])
async def test_a_lost_issue_that_is_not_seen_is_an_unknown_outcome_and_never_posted_again(
    settings: Settings, github: GitHub, tmp_path: Any, fault: Any
) -> None:
    github.lists_lag = True
    github.faults = [("POST", fault)]
    async with desk({**settings, "data": tmp_path}) as tickets:
        first = await tickets.refused("open_ticket", title="Lagging")
    async with desk({**settings, "data": tmp_path}) as tickets:
        second = await tickets.refused("open_ticket", title="Lagging")
    assert first.startswith("Outcome unknown") and second.startswith("Outcome unknown")
    assert "search_tickets" in first and "idempotency_key" in first
    assert sum(line.startswith("POST") for line in github.asked) == 1


async def test_several_candidates_are_named_instead_of_chosen_from(settings: Settings, github: GitHub) -> None:
    for number in (8, 9):
        github.issues[number] = {"number": number, "title": "Twin", "body": "Text.", "state": "open", "labels": []}
        github.issues[number] |= {"created_at": now(), "updated_at": now()}
    github.faults = [("POST", (500, {}, {"message": "oops"}))]
    async with desk(settings) as tickets:
        said = await tickets.refused("open_ticket", title="Twin")
    assert "any of these: 9, 8" in said


async def test_an_older_issue_of_the_same_title_is_not_taken_for_the_new_one(
    settings: Settings, github: GitHub
) -> None:
    github.issues[5] = {"number": 5, "title": "Again", "body": "Text.", "state": "open", "labels": []}
    github.issues[5] |= {"created_at": "2020-01-01T00:00:00Z", "updated_at": now()}
    github.faults = [("POST", (500, {}, {"message": "oops"}))]
    async with desk(settings) as tickets:
        assert (await tickets.refused("open_ticket", title="Again")).startswith("Outcome unknown")


async def test_an_issue_of_the_same_title_with_another_text_is_not_taken_for_the_new_one(
    settings: Settings, github: GitHub
) -> None:
    github.issues[5] = {"number": 5, "title": "Same", "body": "Another matter.", "state": "open", "labels": []}
    github.issues[5] |= {"created_at": now(), "updated_at": now()}
    github.faults = [("POST", (500, {}, {"message": "oops"}))]
    async with desk(settings) as tickets:
        assert (await tickets.refused("open_ticket", title="Same")).startswith("Outcome unknown")


async def test_an_issue_made_by_another_call_is_not_taken_for_the_new_one(settings: Settings, github: GitHub) -> None:
    async with desk(settings) as tickets:
        await tickets.done("open_ticket", title="Wanted twice", idempotency_key="first")
        github.faults = [("POST", (500, {}, {"message": "oops"}))]
        said = await tickets.refused("open_ticket", title="Wanted twice", idempotency_key="second")
    assert said.startswith("Outcome unknown")


async def test_a_query_cannot_search_other_repositories(settings: Settings, github: GitHub) -> None:
    async with desk(settings) as tickets:
        await tickets.done("open_ticket", title='say "repo:evil/x" OR is:pull-request')
        found = await tickets.done("search_tickets", query='repo:evil/x "is:pull-request" OR')
    assert found["total"] == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"retry-after": "0"},
        {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1500000000"},
    ],
    ids=["secondary limit", "primary limit"],
)
async def test_a_rate_limit_that_is_over_is_waited_for(
    settings: Settings, github: GitHub, headers: dict[str, str]
) -> None:
    github.faults = [("POST", (403, headers, {"message": "API rate limit exceeded"}))]
    async with desk(settings) as tickets:
        assert (await tickets.done("open_ticket", title="Limited"))["created"]
    assert list(github.issues) == [1]


async def test_a_rate_limit_that_lasts_is_reported(settings: Settings, github: GitHub) -> None:
    reset = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(time.time()) + 3000)}
    github.faults = [("GET", (403, reset, {"message": "API rate limit exceeded"}))]
    async with desk(settings) as tickets:
        assert "asks to wait" in await tickets.refused("read_ticket", id="1")


async def test_refusals_are_explained_in_githubs_words(settings: Settings, github: GitHub) -> None:
    async with desk(settings) as tickets:
        assert "404: Not Found" in await tickets.refused("read_ticket", id="12")
        github.faults = [("POST", (422, {}, {"message": "Validation Failed"}))]
        assert "422: Validation Failed" in await tickets.refused("open_ticket", title="x")
        github.faults = [("POST", (403, {}, {"message": "Must have push access"}))]
        assert "not allowed" in await tickets.refused("open_ticket", title="x")
        assert (await tickets.done("open_ticket", title="x"))["created"]
    async with desk({**settings, "token": "wrong-token-value"}) as tickets:
        said = await tickets.refused("read_ticket", id="1")
    assert "401: Bad credentials" in said and "wrong-token-value" not in said


async def test_arguments_made_to_take_long_are_refused_at_once(settings: Settings, github: GitHub) -> None:
    async with desk(settings) as tickets:
        said = await tickets.refused("open_ticket", title="a" * 200_000 + "\n\n")
        assert said.count("title:") == 1 and "is too long" in said
        said = await tickets.refused("open_ticket", title="x", labels=[{"a": n} for n in range(20_000)])
        assert said.count("labels") == 1 and "is too long" in said
        assert "title" in await tickets.refused("open_ticket", title=" " * 249 + "\n")
        assert "title" in await tickets.refused("open_ticket", title="two\nlines")
        assert "labels" in await tickets.refused("open_ticket", title="x", labels=["bug", "bug"])
    assert github.asked == []


async def test_the_record_of_what_was_made_is_for_its_user_only(settings: Settings, tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with desk({**settings, "data": data}) as tickets:
        await tickets.done("open_ticket", title="Private")
    assert [oct(path.stat().st_mode & 0o777) for path in (data, data / "ticketing.sqlite3")] == ["0o700", "0o600"]


async def test_what_one_caller_made_is_not_given_to_another(settings: Settings, tmp_path: Path) -> None:
    ticket = {"title": "Printer", "body": "It jams."}
    async with desk({**settings, "data": tmp_path}) as tickets:

        async def opened(caller: str | None, **more: str) -> tuple[str, bool]:
            meta: Any = {CALLER: caller} if caller else None
            made = (await tickets.client.call_tool("open_ticket", {**ticket, **more}, meta=meta)).structured_content
            assert made is not None
            return made["id"], made["created"]

        assert [await opened(caller) for caller in ("alice", "bob", "alice", None, "bob", None)] == [
            ("1", True),
            ("2", True),
            ("1", False),
            ("3", True),
            ("2", False),
            ("3", False),
        ]
        keyed = [await opened(caller, idempotency_key="k") for caller in ("alice", "bob", "alice", None)]
        assert keyed == [("4", True), ("5", True), ("4", False), ("6", True)]
        assert await opened("bob", idempotency_key="other", title="Another") == ("7", True)
