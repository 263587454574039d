"""A client's MCP server that cannot be reached or misbehaves: its own request fails, and nothing else."""

import asyncio
import contextlib
import json
import logging
import socket
import sqlite3

import pytest

from tests.conftest import call, say
from tests.guests import LOCAL, legacy, rpc, until
from tests.servers.guest import TOKEN

pytestmark = pytest.mark.anyio

SOON = {"client_servers": {"hosts": ["127.0.0.1"], "connect_timeout": 1.5, "timeout": 1.5}}


def tool(url, **more):
    brought = {"type": "mcp", "server_label": "odd", "server_url": url, "authorization": TOKEN}
    return {**brought, "require_approval": "never", **more}


async def respond(gateway, *tools, **more):
    return await gateway.http.post(
        "/v1/responses", json={"model": "helper", "input": "Hi", "tools": list(tools), **more}
    )


@contextlib.contextmanager
def silent_server():
    """It takes connections and never says anything."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"


def spread(text, size):
    return (200, {}, text.encode() * size)


def redirecting(status, to):
    return lambda message, headers: (status, {"location": to}, b"")


def naming_the_secret(message, headers):
    error = {"code": -32000, "message": f"who is {headers['authorization']}?"}
    return 200, {}, json.dumps({"jsonrpc": "2.0", "id": message.get("id"), "error": error}).encode()


def ten_thousand(message, headers):
    return legacy(message, [{"name": f"tool_{n}", "inputSchema": {"type": "object"}} for n in range(10_000)])


def wordy(message, headers):
    tools = [{"name": f"t{n}", "description": "x" * 9000, "inputSchema": {"type": "object"}} for n in range(500)]
    return legacy(message, tools)


ODD = {
    "nothing listens": None,
    "an error that names the secret": naming_the_secret,
    "not found": lambda message, headers: (404, {}, b"gone"),
    "broken": lambda message, headers: (500, {}, f"I had {headers['authorization']}".encode()),
    "not JSON": lambda message, headers: (200, {}, f"<html>{headers['authorization']}".encode()),
    "JSON of something else": lambda message, headers: rpc(message, {"authorization": headers["authorization"]}),
    "elsewhere": redirecting(307, "http://127.0.0.1:9/mcp"),
    "elsewhere by name": redirecting(308, "https://metadata.internal/mcp"),
    "in circles": redirecting(307, "/mcp"),
    "packed": lambda message, headers: (200, {"content-encoding": "gzip"}, b"\x1f\x8b"),
    "far too large": lambda message, headers: spread("x" * 1024, 100 * 1024),
    "ten thousand tools": ten_thousand,
    "a megabyte of words": wordy,
}


@pytest.mark.parametrize("odd", ODD)
async def test_the_request_fails_and_says_which_server(start_gateway, strange_server, guest, odd, home, caplog):
    caplog.set_level(logging.DEBUG)
    answer = ODD[odd] or (lambda message, headers: (200, {}, b""))
    async with start_gateway([say("Hello.")], **LOCAL) as gateway:
        async with strange_server(answer) as url:
            url = "http://127.0.0.1:9/mcp" if ODD[odd] is None else url
            failed = await respond(gateway, tool(url))
        error = failed.json()["error"]
        assert (failed.status_code, error["type"], error["param"]) == (424, "external_connector_error", "tools")
        assert error["message"].startswith("Error retrieving tool list from MCP server: 'odd'. ")
        # The next request, with another server, is as good as ever.
        assert (await respond(gateway, guest.tool())).json()["output"][-1]["content"][0]["text"] == "Hello."
    assert TOKEN not in failed.text
    assert TOKEN not in caplog.text
    assert TOKEN.encode() not in b"".join(path.read_bytes() for path in (home / "data").rglob("*") if path.is_file())


async def test_a_stream_shows_the_list_that_failed(start_gateway, guest):
    async with start_gateway(**LOCAL) as gateway:
        stream = await gateway.openai.responses.create(
            model="helper", input="Hi", tools=[tool("http://127.0.0.1:9/mcp"), guest.tool()], stream=True
        )
        events = [event async for event in stream]
        stored = await gateway.openai.responses.retrieve(events[0].response.id)
    kinds = [event.type for event in events]
    assert kinds.count("response.mcp_list_tools.in_progress") == 2
    assert kinds.count("response.mcp_list_tools.completed") == kinds.count("response.mcp_list_tools.failed") == 1
    assert kinds[-1] == "response.failed"
    listed = {item.server_label: item for item in events[-1].response.output}
    assert listed["odd"].tools == []
    assert listed["odd"].error
    assert listed["travel"].error is None
    assert (stored.status, stored.output) == ("failed", events[-1].response.output)


async def test_a_server_that_says_nothing_is_given_up(start_gateway):
    with silent_server() as url:
        async with start_gateway(**SOON) as gateway:
            failed = await respond(gateway, tool(url))
    assert failed.status_code == 424
    assert "seconds" in failed.json()["error"]["message"]


async def test_a_call_that_takes_too_long_is_a_failed_call(start_gateway, guest):
    settings = {"client_servers": {"hosts": ["127.0.0.1"], "timeout": 1.0}}
    async with start_gateway([call("travel__hang")], [say("It hangs.")], **settings) as gateway:
        done = (await respond(gateway, guest.tool())).json()
    called = done["output"][1]
    assert (called["status"], done["status"]) == ("failed", "completed")
    assert "did not answer within 1 seconds" in called["output"]


async def test_a_server_that_dies_in_a_call_fails_that_call_only(start_gateway, guest, careful):
    calls = [call("travel__die"), call("clock__now", call_id="call_2")]
    servers = careful("never")
    async with start_gateway(calls, [say("It died.")], servers=servers, **LOCAL) as gateway:
        done = (await respond(gateway, guest.tool(), model="careful")).json()
    called = {item["server_label"]: item for item in done["output"] if item["type"] == "mcp_call"}
    assert (called["travel"]["status"], called["clock"]["output"]) == ("failed", "12:00 UTC")
    assert "may or may not have taken effect" in called["travel"]["output"]
    assert done["status"] == "completed"


async def test_credentials_never_go_to_another_origin(start_gateway, strange_server):
    seen = []

    def note(message, headers):
        seen.append(headers)
        return 200, {}, b"{}"

    async with start_gateway(**LOCAL) as gateway, strange_server(note) as elsewhere:
        async with strange_server(redirecting(307, elsewhere)) as url:
            failed = await respond(gateway, tool(url))
    assert failed.status_code == 424
    assert seen == []


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1:8443/mcp",
        "https://localhost/mcp",
        "https://[::1]/mcp",
        "https://[::ffff:127.0.0.1]/mcp",
        "https://169.254.169.254/latest/meta-data",
        "https://10.0.0.1/mcp",
        "https://0.0.0.0/mcp",
        "https://2130706433/mcp",
        "https://0x7f.1/mcp",
        "https://[64:ff9b::7f00:1]/mcp",
    ],
)
async def test_what_is_not_public_is_not_reached_unless_it_is_listed(start_gateway, url):
    async with start_gateway() as gateway:
        failed = await respond(gateway, tool(url))
    assert failed.status_code == 424
    assert "not public" in failed.json()["error"]["message"]


async def test_a_run_that_a_restart_interrupted_does_not_go_on_without_its_credentials(start_gateway, guest, home):
    async with start_gateway([call("travel__hang")], **LOCAL) as gateway:
        body = {"model": "helper", "input": "Hi", "tools": [guest.tool()], "background": True}
        begun = (await gateway.http.post("/v1/responses", json=body)).json()
        await until((guest.folder / "hanging").exists)
    async with start_gateway([say("never")], **LOCAL) as gateway:
        path = f"/v1/responses/{begun['id']}"
        while (found := (await gateway.http.get(path)).json())["status"] in ("queued", "in_progress"):
            pass
        asked = len(gateway.provider.calls)
    assert (found["status"], asked) == ("failed", 0)
    assert "kept in memory only" in found["error"]["message"]
    assert [item["type"] for item in found["output"]] == ["mcp_list_tools", "mcp_call"]
    assert "outcome is unknown" in found["output"][1]["output"]
    rows = sqlite3.connect(home / "data" / "homeport.db").execute("select request from turns").fetchall()
    assert [json.loads(row[0])["servers"] for row in rows] == [["travel"]]


async def test_two_runs_with_servers_do_not_disturb_each_other(start_gateway, guest):
    async with start_gateway([call("travel__weather", '{"city": "Oslo"}')], [say("Sunny.")], **LOCAL) as gateway:
        odd = respond(gateway, tool("http://127.0.0.1:9/mcp"))
        failed, done = await asyncio.gather(odd, respond(gateway, guest.tool()))
    assert (failed.status_code, done.status_code) == (424, 200)
    assert done.json()["output"][1]["output"] == "sunny in Oslo"


async def test_wrong_credentials_are_told_by_the_servers_status(start_gateway, guest):
    async with start_gateway(**LOCAL) as gateway:
        failed = await respond(gateway, guest.tool(authorization="a-wrong-token"))
    assert failed.status_code == 424
    assert "HTTP 401" in failed.json()["error"]["message"]
    assert "a-wrong-token" not in failed.text


async def test_at_most_sixteen_servers_in_a_request(start_gateway, guest):
    async with start_gateway(**LOCAL) as gateway:
        failed = await respond(gateway, *[guest.tool(server_label=f"travel{n}") for n in range(17)])
    assert (failed.status_code, failed.json()["error"]["param"]) == (400, "tools")
