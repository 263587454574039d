"""Calls of a client's own MCP server that a person must allow: OpenAI asks about every call, unless told otherwise."""

import pytest

from tests.apis.asking import answer
from tests.conftest import call, say
from tests.guests import LOCAL
from tests.servers.guest import TOKEN

pytestmark = pytest.mark.anyio

WEATHER = [call("travel__weather", '{"city": "Oslo"}')]


async def respond(gateway, input, *tools, **more):
    body = {"model": "helper", "input": input, "tools": list(tools), **more}
    done = await gateway.http.post("/v1/responses", json=body)
    return done.status_code, done.json()


@pytest.mark.parametrize(
    ("approval", "asked"),
    [
        (None, ["whoami", "weather", "hang"]),
        ("always", ["whoami", "weather", "hang"]),
        ({"never": {"tool_names": ["weather"]}}, ["whoami", "hang"]),
        ({"never": {"read_only": True}}, ["hang"]),
        ({"always": {"tool_names": ["hang"]}, "never": {"tool_names": ["weather", "hang"]}}, ["whoami", "hang"]),
        ({"always": {"tool_names": ["whoami", "hang"]}}, ["whoami", "hang"]),
    ],
)
async def test_the_client_says_which_calls_are_asked_about(start_gateway, guest, approval, asked):
    calls = [
        call("travel__whoami"),
        call("travel__weather", '{"city": "Oslo"}', "call_2"),
        call("travel__hang", "{}", "c"),
    ]
    async with start_gateway(calls, **LOCAL) as gateway:
        _, body = await respond(gateway, "Go", guest.tool(require_approval=approval))
    requests = [item for item in body["output"] if item["type"] == "mcp_approval_request"]
    assert [item["name"] for item in requests] == asked
    assert {item["server_label"] for item in requests} == {"travel"}


async def test_an_approved_call_runs_once_with_the_credentials_sent_again(start_gateway, guest):
    tool = guest.tool(require_approval="always")
    async with start_gateway(WEATHER, [say("Sunny.")], **LOCAL) as gateway:
        _, paused = await respond(gateway, "Go", tool)
        request = paused["output"][-1]
        _, done = await respond(gateway, [answer(request["id"])], tool, previous_response_id=paused["id"])
        status, again = await respond(gateway, [answer(request["id"])], tool, previous_response_id=paused["id"])
    called = done["output"][0]
    assert (called["type"], called["output"]) == ("mcp_call", "sunny in Oslo")
    assert called["approval_request_id"] == request["id"]
    assert (status, again["error"]["code"]) == (400, "approval_already_used")


async def test_a_client_that_keeps_the_conversation_brings_the_request_back(start_gateway, guest):
    tool = guest.tool(require_approval="always")
    async with start_gateway(WEATHER, [say("Sunny.")], **LOCAL) as gateway:
        _, paused = await respond(gateway, "Go", tool, store=False)
        items = [{"role": "user", "content": "Go"}, *paused["output"], answer(paused["output"][-1]["id"])]
        _, done = await respond(gateway, items, tool, store=False)
    assert [item["type"] for item in done["output"]] == ["mcp_call", "message"]


@pytest.mark.parametrize("brought", ["nothing", "another label", "another url"])
async def test_a_yes_without_the_server_is_refused_and_not_used_up(start_gateway, guest, brought):
    tool = guest.tool(require_approval="always")
    async with start_gateway(WEATHER, [say("Sunny.")], **LOCAL) as gateway:
        _, paused = await respond(gateway, "Go", tool)
        yes, id = [answer(paused["output"][-1]["id"])], paused["id"]
        other = {"another label": {"server_label": "other"}, "another url": {"server_url": f"{guest.url}/other"}}
        tools = [] if brought == "nothing" else [{**tool, **other[brought]}]
        status, refused = await respond(gateway, yes, *tools, previous_response_id=id)
        assert (status, refused["error"]["code"], refused["error"]["param"]) == (400, "approval_needs_server", "tools")
        status, done = await respond(gateway, yes, tool, previous_response_id=id)
    assert (status, done["output"][0]["output"]) == (200, "sunny in Oslo")


async def test_a_no_needs_no_server(start_gateway, guest):
    async with start_gateway(WEATHER, [say("As you wish.")], **LOCAL) as gateway:
        _, paused = await respond(gateway, "Go", guest.tool(require_approval="always"))
        no = answer(paused["output"][-1]["id"], approve=False, reason="it rains")
        status, done = await respond(gateway, [no], previous_response_id=paused["id"])
        told = [item.text for item in gateway.provider.calls[-1].items if item.kind == "tool_result"]
    assert (status, guest.asked("tools/call")) == (200, 0)
    assert told == ["This call was not run: the user refused it. Their reason: it rains"]
    assert done["output"][-1]["content"][0]["text"] == "As you wish."


async def test_somebody_who_is_not_the_client_can_refuse_but_not_approve(start_gateway, guest):
    async with start_gateway(WEATHER, [say("As you wish.")], **LOCAL) as gateway:
        _, paused = await respond(gateway, "Go", guest.tool(require_approval="always"))
        id = paused["output"][-1]["id"]
        yes = await gateway.http.post(f"/v1/approvals/{id}", json={"approve": True})
        waiting = await gateway.http.get(f"/v1/approvals/{id}")
        no = await gateway.http.post(f"/v1/approvals/{id}", json={"approve": False})
    assert (yes.status_code, yes.json()["error"]["code"]) == (400, "approval_needs_server")
    assert (waiting.json()["status"], no.json()["status"]) == ("pending", "denied")
    assert guest.asked("tools/call") == 0


async def test_a_server_of_the_agent_does_not_answer_for_the_clients(start_gateway, guest, careful, home):
    """A call that was approved for one server is never run on another of that name."""
    servers = careful("never")
    (home / "agents" / "bare.yaml").write_text("name: bare\nmodel: scripted/one\n")
    tool = guest.tool(server_label="clock", require_approval="always")
    async with start_gateway(
        [call("clock__weather", '{"city": "Oslo"}')], [say("Fine.")], servers=servers, **LOCAL
    ) as gateway:
        _, paused = await respond(gateway, "Go", tool, model="bare")
        yes = [answer(paused["output"][-1]["id"])]
        status, refused = await respond(gateway, yes, model="careful", previous_response_id=paused["id"])
    assert (status, refused["error"]["code"]) == (400, "approval_needs_server")


async def test_what_waits_for_a_person_holds_no_credentials(start_gateway, guest, home):
    tool = guest.tool(require_approval="always", headers={"x-api-key": "in-a-header"})
    async with start_gateway(WEATHER, **LOCAL) as gateway:
        _, paused = await respond(gateway, "Go", tool, store=False)
        listed = await gateway.http.get("/v1/approvals")
    kept = b"".join(path.read_bytes() for path in (home / "data").rglob("*") if path.is_file())
    assert paused["output"][-1]["id"].encode() in kept
    for secret in (TOKEN, "in-a-header"):
        assert secret not in listed.text
        assert secret.encode() not in kept
