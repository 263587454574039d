"""What agents are offered and what calls return, the same over every way to reach a server."""

import asyncio
import json
import sys
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.server import MCPServer
from sample_server import LONG_NAME

from gateway.agents.spec import AgentSpec, ToolGrant
from gateway.errors import BadArguments
from gateway.items import Image, Text, ToolCall
from gateway.ports import ToolSpec
from gateway.tool_names import PROVIDER_NAME
from gateway.tools.mcp import MCPToolbox
from gateway.tools.settings import ServerSettings
from tests.guests import Answer, StrangeServer, legacy, rpc
from tests.tools.conftest import IN_PROCESS, STDIO, OpenBench, agent, until

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["in process", "stdio", "http"])
def server(request: pytest.FixtureRequest) -> ServerSettings:
    match request.param:
        case "in process":
            return IN_PROCESS
        case "stdio":
            return STDIO
        case _:
            return request.getfixturevalue("http_server").settings


async def test_a_listed_tool_is_offered_with_its_schema_and_annotations(
    bench: OpenBench, server: ServerSettings
) -> None:
    async with bench({"s": server}, "s.echo") as b:
        (spec,) = b.specs.values()
        assert (spec.name, spec.server, spec.tool, spec.description) == ("s__echo", "s", "echo", "Say it again.")
        assert spec.schema["properties"]["severity"]["enum"] == ["low", "high"]
        assert (spec.read_only, spec.destructive, spec.idempotent, spec.open_world) == (True, False, False, False)
        result = await b.call("s__echo", text="hello")
        assert (result.text, result.is_error, result.call_id) == ("low: hello", False, "call_1")


async def test_pictures_resources_and_structured_content_arrive(bench: OpenBench, server: ServerSettings) -> None:
    async with bench({"s": server}, "s.*") as b:
        rich = await b.call("s__rich")
        assert rich.content == (
            Text(text="a picture"),
            Image(url="data:image/png;base64,QUJD"),
            Text(text="from a file"),
        )
        assert json.loads((await b.call("s__structured")).text) == {"total": 3}


async def test_a_tool_that_fails_is_a_result(bench: OpenBench, server: ServerSettings) -> None:
    async with bench({"s": server}, "s.*") as b:
        crash = await b.call("s__crash")
        assert crash.is_error
        assert "secret" not in crash.text
        refusal = await b.call("s__refuse")
        assert refusal.is_error
        assert "there is no such ticket" in refusal.text
        protocol = await b.call("s__protocol")
        assert (protocol.is_error, protocol.text) == (True, "not today")
        assert (await b.call("s__echo", text="still here")).text == "low: still here"


async def test_a_huge_result_is_cut_and_says_so(bench: OpenBench, server: ServerSettings) -> None:
    async with bench({"s": server}, "s.huge") as b:
        result = await b.call("s__huge", size=5_000_000)
        assert len(result.text) < 201_000
        assert "4800000 more characters are not shown" in result.text


async def test_a_name_that_no_provider_takes_is_mapped_and_can_be_called(
    bench: OpenBench, server: ServerSettings
) -> None:
    async with bench({"s": server}, f"s.{LONG_NAME}") as b:
        (name,) = await b.offered()
        assert PROVIDER_NAME.fullmatch(name)
        assert name.startswith("s__")
        assert (await b.call(name)).text == "found"


async def test_cancelling_the_caller_cancels_the_call_at_the_server(
    bench: OpenBench, tmp_path: Path, server: ServerSettings
) -> None:
    if server.module:
        server = ServerSettings(module="sample_server", settings={"marks": str(tmp_path)})
    elif server.command:
        server = ServerSettings(command=(*server.command, str(tmp_path)))
    async with bench({"s": server}, "s.wait", "s.echo") as b:
        async with anyio.create_task_group() as group:
            group.start_soon(b.call, "s__wait")
            await until((tmp_path / "waiting").exists)
            group.cancel_scope.cancel()
        await until((tmp_path / "cancelled").exists)
        assert (await b.call("s__echo", text="still here")).text == "low: still here"


async def test_tools_that_a_server_adds_later_are_offered(bench: OpenBench, server: ServerSettings) -> None:
    async with bench({"s": server}, "s.*") as b:
        assert "s__grown" not in b.specs
        before = b.tools("s")
        await b.call("s__grow")
        await until(lambda: b.tools("s") > before)
        assert "s__grown" in await b.offered()
        assert (await b.call("s__grown")).text == "new"


async def test_an_agent_is_offered_only_what_its_document_lists(bench: OpenBench) -> None:
    async with bench({"a": IN_PROCESS, "b": IN_PROCESS}, "a.echo", "b.pid") as b:
        assert await b.offered() == ["a__echo", "b__pid"]
        assert await b.toolbox.specs(agent()) == ()


async def test_a_tool_that_was_never_offered_cannot_be_called(bench: OpenBench) -> None:
    async with bench({"a": IN_PROCESS}, "a.echo") as b:
        forged = ToolSpec(name="a__crash", description="", schema={}, server="a", tool="crash")
        call = ToolCall(id="fc_1", call_id="call_1", name="a__crash", arguments="{}")
        result = await b.toolbox.call(forged, call, {})
        assert (result.is_error, result.text) == (True, "There is no tool named 'a__crash' here.")


async def test_the_agent_document_overrides_annotations_and_narrows_arguments(bench: OpenBench) -> None:
    narrowed = ToolGrant(
        tool="a.echo", effect="destructive", idempotent=True, args={"properties": {"text": {"maxLength": 3}}}, per_run=2
    )
    async with bench({"a": IN_PROCESS}, "a.*", narrowed) as b:
        spec = b.specs["a__echo"]
        assert (spec.read_only, spec.destructive, spec.idempotent, spec.per_run) == (False, True, True, 2)
        call = ToolCall(id="fc_1", call_id="call_1", name="a__echo", arguments='{"text": "long"}')
        with pytest.raises(BadArguments, match="text: 'long' is too long"):
            b.toolbox.arguments(spec, call)


async def test_specs_are_the_same_objects_while_nothing_changes(bench: OpenBench) -> None:
    async with bench({"a": IN_PROCESS}, "a.*") as b:
        assert await b.toolbox.specs(b.agent) is await b.toolbox.specs(b.agent)


async def test_entering_waits_for_no_server_and_a_silent_one_is_left_out() -> None:
    silent = ServerSettings(command=("sleep", "600"), connect_timeout=600)
    async with MCPToolbox({"silent": silent, "good": IN_PROCESS}, patience=0.2) as toolbox:
        assert {status.state for status in toolbox.status()} == {"connecting"}
        await until(lambda: toolbox.status()[0].state == "ready")
        offered = await toolbox.specs(AgentSpec(name="x", model="y", tools=agent("silent.*", "good.echo").tools))
        assert [spec.name for spec in offered] == ["good__echo"]


async def test_the_object_of_a_module_is_shared_once_it_is_imported() -> None:
    bad = ServerSettings(module="no_such_module_anywhere")
    async with MCPToolbox({"a": IN_PROCESS, "bad": bad}) as toolbox:
        await toolbox.imported()
        assert isinstance(toolbox.in_process["a"].server, MCPServer)
        assert toolbox.in_process["bad"].server is None


async def test_a_server_of_the_older_protocol_may_add_tools_and_its_end_is_noticed(bench: OpenBench) -> None:
    legacy = ServerSettings(command=(sys.executable, str(Path(__file__).parent / "legacy_server.py")))
    async with bench({"old": legacy}, "old.*") as b:
        assert await b.offered() == ["old__end", "old__grow"]
        assert (await b.call("old__grow")).text == "grown"
        await until(lambda: b.tools("old") == 3)
        assert await b.offered() == ["old__end", "old__grow", "old__grown"]
        assert not (await b.call("old__end")).is_error
        await until(lambda: b.tools("old") == 2)
        assert await b.offered() == ["old__end", "old__grow"]


@pytest.mark.parametrize(("module", "tool"), [("sample_server", "echo"), ("odd_server", "good")])
async def test_a_module_can_be_served_over_stdio_too(bench: OpenBench, module: str, tool: str) -> None:
    here = Path(__file__).parent
    paths = [str(here), str(here.parents[1])]
    code = f"import sys; sys.path[:0] = {paths}; import {module}; from gateway.tools.stdio import serve; "
    served = ServerSettings(command=(sys.executable, "-c", code + f"serve({module}.create_server({{}}))"))
    async with bench({"s": served}, f"s.{tool}") as b:
        assert list(b.specs) == [f"s__{tool}"]


async def test_what_changed_before_anybody_listened_is_noticed(bench: OpenBench, strange_server: StrangeServer) -> None:
    """The server tells of no change: it happened after the first listing, and before the stream for that was open."""
    listed = asyncio.Event()

    def answer(message: dict[str, Any], headers: dict[str, str]) -> Answer | Awaitable[Answer]:
        match message.get("method"):
            case None:
                return listening()
            case "initialize":
                about = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {"listChanged": True}}}
                status, _, body = rpc(message, {**about, "serverInfo": {"name": "old", "version": "1"}})
                return status, {"mcp-session-id": "one"}, body
            case "tools/list":
                names = ["first", "second"] if listed.is_set() else ["first"]
                listed.set()
                return legacy(message, [{"name": name, "inputSchema": {"type": "object"}} for name in names])
            case _:
                return legacy(message, [])

    async def listening() -> Answer:
        await listed.wait()
        return 200, {"content-type": "text/event-stream"}, b""

    async with strange_server(answer) as url, bench({"s": ServerSettings(url=url)}, "s.*") as b:
        await until(lambda: b.tools("s") == 2)
        assert await b.offered() == ["s__first", "s__second"]


async def test_the_same_with_a_server_of_the_newer_protocol(bench: OpenBench) -> None:
    async with bench({"s": ServerSettings(module="growing_server")}, "s.*") as b:
        await until(lambda: b.tools("s") == 2)
        assert await b.offered() == ["s__first", "s__second"]
