"""Tool servers that a client brings with a request: the Responses tool `mcp` with a `server_url`."""

import pytest

from gateway.tool_names import provider_name
from tests.conftest import call, say
from tests.guests import LOCAL, legacy, until
from tests.servers.guest import TOKEN

pytestmark = pytest.mark.anyio

BOOK = "book.a table at the finest restaurant in town, whatever it may cost in the end"
WEATHER = call("travel__weather", '{"city": "Oslo"}')


def ask(guest, text="How is Oslo?", **more):
    return {"model": "helper", "input": text, "tools": [guest.tool()], **more}


async def test_a_run_lists_the_tools_of_the_server_and_calls_one(start_gateway, guest):
    async with start_gateway([WEATHER], [say("Sunny.")], **LOCAL) as gateway:
        response = await gateway.openai.responses.create(**ask(guest))
    listed, called, said = response.output
    assert (listed.type, listed.server_label, listed.error) == ("mcp_list_tools", "travel", None)
    weather = next(tool for tool in listed.tools if tool.name == "weather")
    assert weather.description == "The weather in a city."
    assert weather.input_schema["required"] == ["city"]
    assert weather.annotations == {"title": "Weather", "readOnlyHint": True}
    assert (called.type, called.server_label, called.name) == ("mcp_call", "travel", "weather")
    assert (called.arguments, called.output, called.status) == ('{"city": "Oslo"}', "sunny in Oslo", "completed")
    assert said.content[0].text == "Sunny."


async def test_the_stream_shows_the_list_as_openai_does(start_gateway, guest):
    async with start_gateway([WEATHER], [say("Sunny.")], **LOCAL) as gateway:
        stream = await gateway.openai.responses.create(**ask(guest), stream=True)
        events = [event async for event in stream]
    mcp = [event for event in events if "mcp" in event.type or getattr(event, "output_index", None) == 0]
    assert [event.type.removeprefix("response.") for event in mcp] == [
        "output_item.added",
        "mcp_list_tools.in_progress",
        "mcp_list_tools.completed",
        "output_item.done",
        "mcp_call.in_progress",
        "mcp_call_arguments.delta",
        "mcp_call_arguments.done",
        "mcp_call.completed",
    ]
    assert (mcp[0].item.type, mcp[0].item.tools) == ("mcp_list_tools", [])
    assert {event.item_id for event in mcp[1:3]} == {mcp[0].item.id} == {mcp[3].item.id}
    assert [item.type for item in events[-1].response.output] == ["mcp_list_tools", "mcp_call", "message"]


async def test_what_the_model_is_offered_has_names_that_every_provider_takes(start_gateway, guest):
    name = provider_name("travel", BOOK)
    steps = [[call(name, '{"guests": 4}')], [say("Done.")]]
    async with start_gateway(*steps, **LOCAL) as gateway:
        response = await gateway.openai.responses.create(**ask(guest))
        offered = {tool.name: tool for tool in gateway.provider.calls[0].tools}
    assert len(name) <= 64
    assert {"travel__weather", name} <= offered.keys()
    called = response.output[1]
    assert (called.name, called.output, guest.booked) == (BOOK, "a table for 4", ["4"])


@pytest.mark.parametrize(
    ("allowed", "expected"),
    [
        (["weather", "nothing"], ["weather"]),
        ({"tool_names": ["hang", "weather"]}, ["weather", "hang"]),
        ({"read_only": True}, ["weather", "whoami"]),
        ({"tool_names": ["hang", "weather"], "read_only": False}, ["hang"]),
        ([], []),
    ],
)
async def test_a_client_chooses_among_the_tools(start_gateway, guest, allowed, expected):
    async with start_gateway([say("Hello.")], **LOCAL) as gateway:
        response = await gateway.openai.responses.create(
            model="helper", input="Hi", tools=[guest.tool(allowed_tools=allowed)]
        )
        offered = [tool.tool for tool in gateway.provider.calls[0].tools]
    assert sorted(tool.name for tool in response.output[0].tools) == sorted(expected) == sorted(offered)


async def test_a_list_in_the_history_is_not_asked_for_again(start_gateway, guest):
    again = call("travel__weather", '{"city": "Rome"}', call_id="call_2")
    async with start_gateway([say("Hello.")], [say("Yes.")], [again], [say("Sunny.")], **LOCAL) as gateway:
        first = await gateway.openai.responses.create(**ask(guest))
        assert guest.asked("tools/list") == 1
        connections = guest.asked("server/discover")
        second = await gateway.openai.responses.create(**ask(guest, previous_response_id=first.id))
        assert [item.type for item in second.output] == ["message"]
        assert guest.asked("server/discover") == connections, "nothing was called, so nobody need connect"
        # A client that keeps the conversation itself sends the list back.
        kept = [item.model_dump(exclude_none=True) for item in first.output]
        items = [{"role": "user", "content": "Hi"}, *kept, {"role": "user", "content": "And Rome?"}]
        third = await gateway.openai.responses.create(**ask(guest, items, store=False))
        offered = {tool.name for tool in gateway.provider.calls[-1].tools}
    assert [item.type for item in third.output] == ["mcp_call", "message"]
    assert third.output[0].output == "sunny in Rome"
    assert "travel__weather" in offered


async def test_a_list_of_another_server_under_the_same_label_does_not_count(start_gateway, guest, strange_server):
    other = [{"name": "other", "inputSchema": {"type": "object"}}]
    async with (
        start_gateway([say("Hello.")], [say("Hello.")], **LOCAL) as gateway,
        strange_server(lambda message, headers: legacy(message, other)) as url,
    ):
        first = await gateway.openai.responses.create(**ask(guest))
        tools = [{"type": "mcp", "server_label": "travel", "server_url": url}]
        body = {"model": "helper", "input": "Hi", "tools": tools, "previous_response_id": first.id}
        second = await gateway.openai.responses.create(**body)
    assert [tool.name for tool in second.output[0].tools] == ["other"]


async def test_a_server_of_the_older_protocol_is_as_good(start_gateway, strange_server):
    tools = [{"name": "go", "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": True}}]
    async with (
        start_gateway([call("old__go")], [say("Gone.")], **LOCAL) as gateway,
        strange_server(lambda message, headers: legacy(message, tools)) as url,
    ):
        tool = {"type": "mcp", "server_label": "old", "server_url": url, "require_approval": "never"}
        response = await gateway.openai.responses.create(model="helper", input="Go", tools=[tool])
    assert [item.type for item in response.output] == ["mcp_list_tools", "mcp_call", "message"]
    assert response.output[1].output == "done"


async def test_the_response_repeats_the_server_without_its_credentials(start_gateway, guest, home):
    tool = guest.tool(server_url=f"{guest.url}?key=in-the-url", headers={"x-api-key": "in-a-header"})
    async with start_gateway([call("travel__whoami")], [say("Fine.")], **LOCAL) as gateway:
        response = await gateway.http.post("/v1/responses", json={"model": "helper", "input": "Hi", "tools": [tool]})
        body = response.json()
        read = await gateway.http.get(f"/v1/responses/{body['id']}")
    assert body["output"][1]["output"] == f"you sent {'*' * len(f'Bearer {TOKEN}')} and None"
    shown = body["tools"][0]
    assert shown == read.json()["tools"][0]
    assert shown == {
        "type": "mcp",
        "server_label": "travel",
        "server_url": guest.url.removesuffix("mcp") + "<redacted>",
        "allowed_tools": None,
        "require_approval": "never",
        "headers": None,
    }
    kept = b"".join(path.read_bytes() for path in (home / "data").rglob("*") if path.is_file())
    assert body["id"].encode() in kept, "else the next lines show nothing"
    for secret in (TOKEN, "in-the-url", "in-a-header"):
        assert secret not in response.text + read.text
        assert secret.encode() not in kept


async def test_tool_choice_and_max_tool_calls_hold(start_gateway, guest):
    steps = [[WEATHER, call("travel__whoami", call_id="call_2")], [say("Done.")]]
    async with start_gateway(*steps, **LOCAL) as gateway:
        choice = {"type": "mcp", "server_label": "travel", "name": "weather"}
        response = await gateway.openai.responses.create(**ask(guest, tool_choice=choice, max_tool_calls=1))
        assert gateway.provider.calls[0].options["tool_choice"] == {"name": "travel__weather"}
    assert [item.status for item in response.output if item.type == "mcp_call"] == ["completed", "failed"]


async def test_two_servers_are_told_apart_by_their_labels(start_gateway, guest):
    tools = [guest.tool(), guest.tool(server_label="leisure", allowed_tools=["weather"])]
    calls = [WEATHER, call("leisure__weather", '{"city": "Rome"}', call_id="call_2")]
    async with start_gateway(calls, [say("Sunny.")], **LOCAL) as gateway:
        response = await gateway.openai.responses.create(model="helper", input="Weather?", tools=tools)
    called = {item.server_label: item.output for item in response.output if item.type == "mcp_call"}
    assert called == {"travel": "sunny in Oslo", "leisure": "sunny in Rome"}


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"server_url": None}, "tools[0].server_url"),
        ({"server_url": "ftp://example.com"}, "tools[0].server_url"),
        ({"server_url": "https://user:pass@example.com/mcp"}, "tools[0].server_url"),
        ({"server_url": "http://[::1"}, "tools[0].server_url"),
        ({"server_url": "http://evil.example\\.127.0.0.1/mcp"}, "tools[0].server_url"),
        ({"server_url": "http://127.0.0.1:99999/mcp"}, "tools[0].server_url"),
        ({"server_label": "a label"}, "tools[0].server_label"),
        ({"server_label": "unknown"}, "tools[0].server_label"),
        ({"connector_id": "connector_gmail", "server_url": None}, "tools[0].connector_id"),
        ({"tunnel_id": "tunnel_1"}, "tools[0].tunnel_id"),
        ({"headers": {"Host": "inner"}}, "tools[0].headers"),
        ({"headers": {"x": "a\r\nsecret: 1"}}, "tools[0].headers"),
        ({"headers": {"Authorization": "Bearer also"}}, "tools[0].authorization"),
        ({"authorization": "sn\u00f6 secret"}, "tools[0].authorization"),
        ({"require_approval": "sometimes"}, "tools[0].require_approval"),
        ({"allowed_tools": "all"}, "tools[0].allowed_tools"),
    ],
)
async def test_a_wrong_server_is_refused_with_its_place(start_gateway, guest, change, param):
    async with start_gateway(**LOCAL) as gateway:
        tools = [guest.tool(**change)]
        refused = await gateway.http.post("/v1/responses", json={"model": "helper", "input": "Hi", "tools": tools})
    error = refused.json()["error"]
    assert (refused.status_code, error["type"]) == (400, "invalid_request_error")
    assert error["param"].startswith(param)
    assert "secret" not in refused.text


async def test_a_scheme_in_capitals_is_a_scheme(start_gateway, guest):
    tool = guest.tool(server_url=guest.url.replace("http", "HTTP", 1))
    async with start_gateway([say("Hello.")], **LOCAL) as gateway:
        response = await gateway.openai.responses.create(model="helper", input="Hi", tools=[tool])
    assert response.output[0].error is None


async def test_labels_are_unique_and_not_those_of_the_agents_own_servers(start_gateway, guest, careful):
    servers = careful("never")
    async with start_gateway(servers=servers, **LOCAL) as gateway:
        twice = {"model": "helper", "input": "Hi", "tools": [guest.tool(), guest.tool()]}
        first = await gateway.http.post("/v1/responses", json=twice)
        clash = {"model": "careful", "input": "Hi", "tools": [guest.tool(server_label="clock")]}
        second = await gateway.http.post("/v1/responses", json=clash)
    assert (first.status_code, first.json()["error"]["param"]) == (400, "tools[1].server_label")
    assert (second.status_code, second.json()["error"]["param"]) == (400, "tools")
    assert "'clock'" in second.json()["error"]["message"]


async def test_they_stand_beside_the_agents_own_tools(start_gateway, guest, careful):
    servers = careful("never")
    calls = [WEATHER, call("clock__now", call_id="call_2")]
    async with start_gateway(calls, [say("Noon.")], servers=servers, **LOCAL) as gateway:
        response = await gateway.openai.responses.create(**ask(guest, model="careful"))
    assert {item.output for item in response.output if item.type == "mcp_call"} == {"sunny in Oslo", "12:00 UTC"}


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, "https"),
        ({"public": False}, "client_servers.hosts"),
        ({"hosts": ["127.0.0.1"], "agents": ["other", "team-*"]}, "client_servers.agents"),
        ({"hosts": ["127.0.0.1:1"]}, "https"),
    ],
)
async def test_the_settings_say_which_servers_and_for_whom(start_gateway, guest, settings, told):
    async with start_gateway(client_servers=settings) as gateway:
        refused = await gateway.http.post("/v1/responses", json=ask(guest))
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "tools")
    assert told in refused.json()["error"]["message"]
    assert guest.asked("server/discover") == 0


async def test_a_conversation_shows_the_list(start_gateway, guest):
    async with start_gateway([WEATHER], [say("Sunny.")], **LOCAL) as gateway:
        conversation = await gateway.openai.conversations.create()
        await gateway.openai.responses.create(**ask(guest, conversation=conversation.id))
        items = [item async for item in gateway.openai.conversations.items.list(conversation.id, order="asc")]
    assert [item.type for item in items] == ["message", "mcp_list_tools", "mcp_call", "message"]
    assert {tool.name for tool in items[1].tools} >= {"weather"}


async def test_a_cancelled_run_lets_go_of_the_server(start_gateway, guest):
    async with start_gateway([call("travel__hang")], **LOCAL) as gateway:
        response = await gateway.openai.responses.create(**ask(guest, background=True))
        await until((guest.folder / "hanging").exists)
        cancelled = await gateway.openai.responses.cancel(response.id)
        await until((guest.folder / "let go").exists)
    assert cancelled.status == "cancelled"


@pytest.mark.parametrize(("length", "asked"), [(100, False), (2**20, True)])
async def test_a_list_that_a_client_brings_back_is_no_longer_than_a_servers(start_gateway, guest, length, asked):
    brought = {
        "type": "mcp_list_tools",
        "id": "mcpl_1",
        "server_label": "travel",
        "tools": [{"name": "weather", "description": "x" * length, "input_schema": {"type": "object"}}],
    }
    async with start_gateway([say("Hm.")], **LOCAL) as gateway:
        response = await gateway.openai.responses.create(
            **ask(guest) | {"input": [brought, {"role": "user", "content": "Hi"}]}
        )
        offered = {tool.name: tool.description for tool in gateway.provider.calls[0].tools}
    assert (response.output[0].type == "mcp_list_tools") is asked
    assert offered["travel__weather"] == ("The weather in a city." if asked else "x" * length)
