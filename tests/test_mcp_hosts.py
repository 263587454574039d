"""Our tool servers in a host that is not ours: the reference MCP Inspector lists and calls their tools.

Over stdio, as an IDE starts them, and over HTTP at the gateway's /mcp/<name>, in both eras of the protocol.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.inspector import TOOL_ERROR, UNAUTHORIZED, Inspection, Inspector
from tests.roundup import Roundup

pytestmark = pytest.mark.anyio

NAMES = ["filesystem", "rag", "ticketing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A server, how to start it or configure it, and calls that show that it works and that it can refuse."""

    name: str
    arguments: list[str]
    environment: dict[str, str]
    settings: dict[str, Any]
    tools: set[str]
    call: list[str]
    expected: str
    refused: list[str]

    @property
    def stdio(self) -> list[str]:
        """What the Inspector starts."""
        pairs = [word for name, value in self.environment.items() for word in ("-e", f"{name}={value}")]
        return [*pairs, sys.executable, "-m", f"mcp_tools.{self.name}", *self.arguments]


def tool(name: str, **arguments: str) -> list[str]:
    """Arguments of the Inspector that call a tool."""
    words = ["--method", "tools/call", "--tool-name", name]
    return words + [word for key, value in arguments.items() for word in ("--tool-arg", f"{key}={value}")]


@pytest.fixture(params=NAMES)
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    """Each server, with something in it."""
    folder = tmp_path / "content"
    folder.mkdir()
    (folder / "refunds.md").write_text("# Refunds\n\nYour money is back within 14 days.\n")
    if request.param == "filesystem":
        return Case(
            name="filesystem",
            arguments=["--root", str(folder)],
            environment={},
            settings={"roots": [str(folder)]},
            tools={"read_text_file", "write_file", "search_files", "list_allowed_roots"},
            call=tool("search_files", regex="back within [0-9]+ days"),
            expected="refunds.md:3: Your money is back within 14 days.",
            refused=tool("read_text_file", path="../../etc/passwd"),
        )
    if request.param == "rag":
        data = str(tmp_path / "index")
        return Case(
            name="rag",
            arguments=["--data", data, "--kb", f"help={folder}"],
            environment={},
            settings={"data": data, "knowledge_bases": {"help": {"folder": str(folder)}}},
            tools={"search", "list_knowledge_bases", "read_document"},
            call=tool("search", query="when do I get my money"),
            expected="within 14 days",
            refused=tool("search", query="anything", knowledge_base="nosuch"),
        )
    tracker: Roundup = request.getfixturevalue("roundup_tracker")
    title = f"Printer jam {tmp_path.name}"
    return Case(
        name="ticketing",
        arguments=["--preset", "roundup", "--base-url", tracker.url],
        environment={"TICKETING_USER": tracker.user, "TICKETING_PASSWORD": tracker.password},
        settings={
            "preset": "roundup",
            "base_url": tracker.url,
            "user": tracker.user,
            "password": tracker.password,
        },
        tools={"open_ticket", "read_ticket", "update_ticket", "add_comment", "search_tickets"},
        call=tool("open_ticket", title=title, body="It is jammed again."),
        expected=title,
        refused=tool("read_ticket", id="999999"),
    )


@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_the_reference_inspector_uses_our_servers_over_stdio(inspector: Inspector, case: Case, era: str) -> None:
    await lists_and_calls(inspector, case, [*case.stdio, "--protocol-era", era])


@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_the_reference_inspector_uses_our_servers_through_the_gateway(
    inspector: Inspector,
    case: Case,
    era: str,
    start_gateway: Any,
) -> None:
    servers = {case.name: {"module": f"mcp_tools.{case.name}", "settings": case.settings}}
    async with start_gateway(servers=servers) as gateway:
        target = [f"{gateway.url}/mcp/{case.name}", "--transport", "http", "--protocol-era", era]
        await lists_and_calls(inspector, case, [*target, "--header", f"Authorization: Bearer {gateway.key}"])


async def test_the_gateway_refuses_the_inspector_without_a_key(
    inspector: Inspector,
    tmp_path: Path,
    start_gateway: Any,
) -> None:
    servers = {"filesystem": {"module": "mcp_tools.filesystem", "settings": {"roots": [str(tmp_path)]}}}
    async with start_gateway(servers=servers) as gateway:
        target = [f"{gateway.url}/mcp/filesystem", "--transport", "http"]
        await inspector(*target, "--method", "tools/list", expect=UNAUTHORIZED)


async def lists_and_calls(inspector: Inspector, case: Case, target: list[str]) -> None:
    """The Inspector's three runs, at once since each takes seconds of starting."""
    done: dict[str, Inspection] = {}

    async def run(name: str, *arguments: str, expect: int = 0) -> None:
        done[name] = await inspector(*target, *arguments, expect=expect)

    async with anyio.create_task_group() as group:
        group.start_soon(run, "list", "--method", "tools/list", "--strict")
        group.start_soon(run, "call", *case.call)

        async def refused() -> None:
            await run("refused", *case.refused, expect=TOOL_ERROR)

        group.start_soon(refused)
    tools = done["list"].result["tools"]
    assert {each["name"] for each in tools} >= case.tools
    for each in tools:
        assert each["description"]
        assert {"readOnlyHint", "destructiveHint", "idempotentHint"} <= each["annotations"].keys()
    called = done["call"].result
    assert not called.get("isError") and called["structuredContent"]
    assert case.expected in json.dumps(called)
    assert done["refused"].result["isError"] is True
    assert "Traceback" not in json.dumps(done["refused"].result)
