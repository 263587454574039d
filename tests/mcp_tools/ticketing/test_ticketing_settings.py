"""Settings and presets that are wrong are refused in words; a stranger's preset works; nothing is read twice."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters

from mcp_tools.ticketing import create_server
from mcp_tools.ticketing.errors import SettingsError
from tests.mcp_tools.ticketing.conftest import ROOT, Desk, desk
from tests.mcp_tools.ticketing.wire import Rule, answer, wire_to

pytestmark = pytest.mark.anyio

GOOD: dict[str, Any] = {"preset": "roundup", "base_url": "https://desk.example", "user": "u", "password": "s3cr3t-pw"}
GITHUB: dict[str, Any] = {"preset": "github", "token": "s3cr3t-token", "options": {"repository": "a/b"}}

# A tracker of the plainest kind, described by somebody who only read the documentation of the format.
ACME = """
format: 1
name: acme
title: ACME Desk
auth: {scheme: header, header: X-Key, prefix: "Key "}
error: [problem]
id_pattern: '[A-Z]+-[0-9]+'
url: ${web_url}browse/${id}
ticket: {id: key, title: name, status: state}
comment: {id: id, body: text}
tools:
  open_ticket:
    steps: [{id: made, request: POST t, effect: true, json: {name: "${args.title}", about: "${args.body}"}}]
    result: {id: made.body.key}
  read_ticket:
    steps: [{id: read, request: 'GET t/${args.id}'}]
    result: {ticket: read.body, comments: read.body.notes}
  update_ticket:
    steps: [{id: set, request: 'PUT t/${args.id}', repeatable: true, json: {name: "${args.title}"}}]
    result: {ticket: set.body}
  add_comment:
    steps: [{id: made, request: 'POST t/${args.id}/notes', effect: true, json: {text: "${args.body}"}}]
    result: {id: made.body.id}
  search_tickets:
    steps: [{id: found, request: GET t, query: {q: "${args.query}", n: "${args.limit}"}}]
    result: {tickets: found.body.hits}
"""


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"preset": "bugzilla"}, "no preset 'bugzilla': have github, roundup"),
        ({"preset": "/nowhere/x.yaml"}, "No such file"),
        ({"base_url": None}, "needs base_url"),
        ({"base_url": "ftp://desk.example"}, "http:// or https://"),
        ({"base_url": "https://u:p@desk.example"}, "must not hold credentials"),
        ({"base_url": "https://desk.example/?a=1"}, "no query"),
        ({"base_url": "http://desk.example"}, "in the clear"),
        ({"password": None}, "needs user and password"),
        ({"password": ""}, "needs user and password"),
        ({"colour": "red"}, "colour"),
        ({"attempts": 0}, "attempts"),
        ({"options": {"repository": "a/b"}}, "has no option repository"),
        ({"values": {"colour": ["red"]}}, "has no field colour"),
        ({"password": ["s3cr3t-pw"]}, "password"),
    ],
)
def test_a_wrong_setting_is_named_and_no_secret_is_shown(change: dict[str, Any], expected: str) -> None:
    with pytest.raises(SettingsError) as caught:
        create_server({**GOOD, **change})
    assert expected in str(caught.value)
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"token": None}, "needs a token"),
        ({"options": {}}, "needs options.repository: owner/name"),
        ({"options": {"repository": "../../user"}}, "must match"),
        ({"options": {"repository": "a/b/c"}}, "must match"),
    ],
)
def test_what_a_preset_asks_for_is_checked(change: dict[str, Any], expected: str) -> None:
    with pytest.raises(SettingsError, match=expected.replace("/", ".")):
        create_server({**GITHUB, **change})


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("format: 1", "format: 2", "format"),
        ("title: ACME Desk", "title: [", "not YAML"),
        ("error: [problem]", "colour: red", "colour"),
        ("GET t/${args.id}", "FETCH t", "tools.read_ticket.steps.0"),
        ("GET t/${args.id}", "GET https://evil.example/x", "no address"),
        ("GET t/${args.id}", "GET t/${arguments.id}", "arguments, which no earlier step is called"),
        ("id: read, ", "id: args, ", "taken"),
        ("ticket: read.body,", "ticket: reed.body,", "'reed.body' must begin with the id of a step"),
        ("POST t, effect: true", "POST t", "must have 1 steps with `effect`, has 0"),
        ("result: {id: made.body.key}", "result: {}", "needs id"),
        ("  search_tickets:", "  serch_tickets:", "search_tickets"),
        ("'[A-Z]+-[0-9]+'", "'[A-Z'", "not a regular expression"),
        ("status: state}", "}", "ticket.status"),
    ],
)
def test_a_wrong_preset_is_explained(tmp_path: Path, old: str, new: str, expected: str) -> None:
    file = tmp_path / "acme.yaml"
    assert old in ACME
    file.write_text(ACME.replace(old, new))
    with pytest.raises(SettingsError) as caught:
        create_server({"preset": str(file), "base_url": "https://acme.example", "token": "s3cr3t"})
    assert expected in str(caught.value) and "acme.yaml" in str(caught.value)


async def test_a_preset_of_ones_own_needs_no_code(tmp_path: Path) -> None:
    file = tmp_path / "acme.yaml"
    file.write_text(ACME)
    ticket = b'{"key": "AC-1", "name": "Broken", "state": "new", "notes": [{"id": 4, "text": "hm"}]}'
    rules = [
        Rule("POST /api/t/AC-1/notes", reply=answer("201 Created", body=b'{"id": 5}')),
        Rule("POST /api/t", reply=answer("201 Created", body=ticket)),
        Rule("GET /api/t/AC-1", reply=answer("200 OK", body=ticket), times=9),
        Rule("GET /api/t?q=%22a%22+%26&n=20", reply=answer("200 OK", body=b'{"hits": [' + ticket + b"]}")),
        Rule("PUT /api/t/AC-1", reply=answer("409 Conflict", body=b'{"problem": "locked"}')),
    ]
    async with wire_to("", *rules) as wire:
        own = {"preset": str(file), "base_url": wire.url + "api", "token": "k3y"}
        async with desk({**own, "web_url": "https://acme.example"}) as tickets:
            opened = await tickets.done("open_ticket", title="Broken")
            read = await tickets.done("read_ticket", id="AC-1")
            made = await tickets.done("add_comment", id="AC-1", body="x")
            found = await tickets.done("search_tickets", query='"a" &')
            said = await tickets.refused("update_ticket", id="AC-1", title="y")
            tools = {tool.name: tool for tool in (await tickets.client.list_tools()).tools}
    assert (opened["id"], opened["url"], opened["status"]) == ("AC-1", "https://acme.example/browse/AC-1", "new")
    assert read["comments"] == [{"id": "4", "body": "hm"}]
    assert (made["id"], found["total"], found["tickets"][0]["id"]) == ("5", None, "AC-1")
    assert "409: locked" in said
    assert "priority" not in tools["open_ticket"].input_schema["properties"]
    assert "X-Key: Key k3y" in wire.seen[0].head or "x-key: Key k3y" in wire.seen[0].head


async def test_the_values_of_a_field_can_be_those_of_ones_own_tracker(settings: dict[str, Any]) -> None:
    async with desk({**settings, "values": {"status": ["unread", "won"]}}) as tickets:
        assert "'resolved' is not one of ['unread', 'won']" in await tickets.refused(
            "search_tickets", status="resolved"
        )
        assert "400" in await tickets.refused("search_tickets", status="won")


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mcp_tools.ticketing", *arguments]
    return subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_command_says_what_is_missing() -> None:
    done = run("--preset", "roundup", "--base-url", "https://desk.example", TICKETING_USER="u")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "ticketing: ticketing settings: preset roundup needs user and password\n"


def test_the_command_takes_no_secret_as_an_argument() -> None:
    assert "unrecognized arguments" in run("--password", "x").stderr


async def test_settings_can_come_from_a_file(settings: dict[str, Any], tmp_path: Path) -> None:
    lines = (f"{name}: {settings[name]}" for name in ("preset", "base_url", "user", "password"))
    file = tmp_path / "settings.yaml"
    file.write_text("\n".join(lines))
    parameters = StdioServerParameters(
        command=sys.executable, args=["-m", "mcp_tools.ticketing", "--settings", str(file)], cwd=str(ROOT)
    )
    async with Client(parameters) as client:
        assert (await Desk(client).done("search_tickets", limit=1))["page"] == 1


async def test_settings_can_come_from_the_gateways_variables(settings: dict[str, Any]) -> None:
    names = {"TICKETING_URL": "base_url", "TICKETING_USER": "user", "TICKETING_PASSWORD": "password"}
    parameters = StdioServerParameters(
        command=sys.executable,
        args=["-m", "mcp_tools.ticketing"],
        env={variable: settings[name] for variable, name in names.items()},
        cwd=str(ROOT),
    )
    async with Client(parameters) as client:
        assert (await Desk(client).done("search_tickets", limit=1))["page"] == 1


def test_the_repository_can_come_from_its_variable() -> None:
    missing = run(TICKETING_PRESET="github", TICKETING_TOKEN="t")
    assert (missing.returncode, "repository" in missing.stderr) == (2, True)
    there = run(TICKETING_PRESET="github", TICKETING_TOKEN="t", TICKETING_REPOSITORY="a/b")
    assert (there.returncode, there.stderr) == (0, "")


def test_a_settings_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("password: [s3cr3t")
    done = run("--settings", str(file))
    assert done.returncode == 2 and str(file) in done.stderr and "s3cr3t" not in done.stderr
