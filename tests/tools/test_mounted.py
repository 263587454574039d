"""The in-process servers over HTTP: a session belongs to the key that opened it, and nobody can open all there are."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.stores.keys import KeyRing
from gateway.tools.sessions import MAX_SESSIONS
from gateway.tools.settings import ServerSettings
from tests.conftest import call, say
from tests.mcp_tools.ticketing.github_double import TOKEN, github_double

pytestmark = pytest.mark.anyio

HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}},
}
LIST = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}
ACCEPT = {"accept": "application/json, text/event-stream"}


class Caller:
    """One key's way to one server, as a host of the era of sessions uses it."""

    def __init__(self, http: httpx.AsyncClient, key: str) -> None:
        self._http = http
        self._headers = {**ACCEPT, "authorization": f"Bearer {key}"}

    def _of(self, session: str) -> dict[str, str]:
        return {**self._headers, "mcp-session-id": session}

    async def open(self) -> str:
        answer = await self._http.post("/mcp/clock", json=HELLO, headers=self._headers)
        assert answer.status_code == 200, answer.text
        return answer.headers["mcp-session-id"]

    async def ask(self, session: str) -> int:
        return (await self._http.post("/mcp/clock", json=LIST, headers=self._of(session))).status_code

    async def call(self, session: str, tool: str, arguments: dict[str, Any], **meta: str) -> dict[str, Any]:
        params = {"name": tool, "arguments": arguments, "_meta": meta}
        message = {"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": params}
        answer = await self._http.post("/mcp/clock", json=message, headers=self._of(session))
        data = next(line[6:] for line in answer.text.splitlines() if line.startswith("data: {"))
        return json.loads(data)["result"]["structuredContent"]

    async def close(self, session: str) -> int:
        return (await self._http.delete("/mcp/clock", headers=self._of(session))).status_code

    def listen(self, session: str) -> Any:
        return self._http.stream("GET", "/mcp/clock", headers=self._of(session))


@pytest.fixture
def clock(home: Path) -> dict[str, ServerSettings]:
    return {"clock": ServerSettings(module="tests.servers.clock", settings={"folder": str(home)})}


def callers(gateway: Any) -> tuple[Caller, Caller]:
    other = KeyRing(gateway.settings.keys_path).create("bob")
    return Caller(gateway.http, gateway.key), Caller(gateway.http, other)


async def test_a_session_is_of_no_use_to_another_key(start_gateway: Any, clock: dict[str, ServerSettings]) -> None:
    async with start_gateway(servers=clock) as gateway:
        alice, bob = callers(gateway)
        session = await alice.open()
        assert (await bob.ask(session), await bob.close(session)) == (404, 404)
        assert (await alice.ask(session), await alice.close(session)) == (200, 200)
        assert await alice.ask(session) == 404


async def test_a_key_that_opens_too_many_sessions_loses_its_own_oldest(
    start_gateway: Any, clock: dict[str, ServerSettings]
) -> None:
    async with start_gateway(servers=clock) as gateway:
        alice, bob = callers(gateway)
        theirs = await bob.open()
        sessions = [await alice.open() for _ in range(MAX_SESSIONS)]
        assert await alice.ask(sessions[0]) == 200  # Now the second is the oldest.
        newest = await alice.open()
        answers = [await alice.ask(session) for session in (*sessions, newest)]
        assert [index for index, status in enumerate(answers) if status != 200] == [1]
        assert answers[1] == 404
        assert await bob.ask(theirs) == 200


async def test_a_session_that_is_listened_to_outlives_idle_ones(
    start_gateway: Any, clock: dict[str, ServerSettings]
) -> None:
    async with start_gateway(servers=clock) as gateway:
        alice, _ = callers(gateway)
        first = await alice.open()
        async with alice.listen(first) as stream:
            assert stream.status_code == 200
            second = await alice.open()
            for _ in range(MAX_SESSIONS - 1):
                await alice.open()
            assert (await alice.ask(first), await alice.ask(second)) == (200, 404)


async def test_a_session_that_was_closed_makes_room(start_gateway: Any, clock: dict[str, ServerSettings]) -> None:
    async with start_gateway(servers=clock) as gateway:
        alice, _ = callers(gateway)
        first = await alice.open()
        for _ in range(MAX_SESSIONS):
            assert await alice.close(await alice.open()) == 200
        assert await alice.ask(first) == 200


async def test_a_server_is_told_whose_call_it_is(start_gateway: Any) -> None:
    with github_double() as github:
        options = {"repository": github.repository}
        settings = {"preset": "github", "base_url": github.url, "token": TOKEN, "options": options}
        servers = {"clock": ServerSettings(module="mcp_tools.ticketing", settings=settings)}
        async with start_gateway(servers=servers) as gateway:
            alice, bob = callers(gateway)
            ticket = {"title": "Printer", "body": "It jams.", "idempotency_key": "k"}
            sessions = [(alice, await alice.open()), (bob, await bob.open())]
            made = [
                # What a caller says of itself makes no difference.
                await caller.call(session, "open_ticket", ticket, **{"homeport/caller": "alice"})
                for caller, session in sessions * 2
            ]
    assert [(one["id"], one["created"]) for one in made] == [("1", True), ("2", True), ("1", False), ("2", False)]


async def test_agents_calls_are_told_apart_by_their_callers(start_gateway: Any, home: Any) -> None:
    arguments = json.dumps({"title": "Printer", "body": "It jams."})
    (home / "agents" / "desk.yaml").write_text("name: desk\nmodel: scripted/one\ntools: [tickets.open_ticket]\n")
    with github_double() as github:
        options = {"repository": github.repository}
        settings = {"preset": "github", "base_url": github.url, "token": TOKEN, "options": options}
        servers = {"tickets": ServerSettings(module="mcp_tools.ticketing", settings=settings)}
        steps = [[call("tickets__open_ticket", arguments)], [say("done")]] * 3
        async with start_gateway(*steps, servers=servers) as gateway:
            bob = KeyRing(gateway.settings.keys_path).create("bob")
            said = []
            for key in (gateway.key, bob, gateway.key):
                headers = {"authorization": f"Bearer {key}"}
                body = {"model": "desk", "input": "My printer jams."}
                answer = await gateway.http.post("/v1/responses", json=body, headers=headers)
                said.append(answer.json()["output"][0]["output"][:21])
    assert said == ["Ticket 1 was opened: ", "Ticket 2 was opened: ", "Ticket 1 was there al"]
