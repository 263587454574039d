"""Clients bring an MCP server with a request, each in the way that it is used to."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from gateway.items import Message, new_id
from tests.clients.test_other_clients import environment
from tests.conftest import call, say
from tests.guests import LOCAL

pytestmark = pytest.mark.anyio

HERE = Path(__file__).parent


def weatherman(asked):
    """Asks for the weather, and says what it is told."""
    last = asked.items[-1]
    if isinstance(last, Message):
        return [call("travel__weather", '{"city": "Oslo"}', new_id("call"))]
    return [say(f"It is {last.text}.", new_id("msg"))]


async def driven(start_gateway, guest, home, python, script):
    async with start_gateway(*[weatherman] * 50, **LOCAL) as gateway:
        process = await asyncio.create_subprocess_exec(
            python,
            *(str(HERE / script), gateway.url, gateway.key, json.dumps(guest.tool())),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=home,
            env={"PATH": os.environ["PATH"], "HOME": str(home)},
        )
        output, said = await process.communicate()
    assert process.returncode == 0, said.decode()[-4000:]
    return json.loads(output)


ANSWER = "It is sunny in Oslo."


@pytest.mark.requirement("client-mcp")
@pytest.mark.parametrize("major", ["2", "3"])
async def test_the_official_clients(start_gateway, guest, home, major):
    python = sys.executable if major == "2" else environment("openai3")
    seen = await driven(start_gateway, guest, home, python, "mcp_drive.py")
    assert seen.pop("version").startswith(f"{major}.")
    assert seen == {
        "items": ["mcp_list_tools", "mcp_call", "message"],
        "echo": ["travel", None, None],
        "events": ["response.mcp_list_tools.in_progress", "response.mcp_list_tools.completed"],
        "streamed": ANSWER,
        "approved": ["mcp_approval_request", "sunny in Oslo", ANSWER],
        "error": [424, "external_connector_error", "tools"],
    }


@pytest.mark.requirement("client-mcp")
async def test_the_hosted_tool_of_openai_agents(start_gateway, guest, home):
    seen = await driven(start_gateway, guest, home, environment("agents"), "agents_mcp_drive.py")
    assert seen == {"free": ANSWER, "asked": [ANSWER, ["weather"]]}


@pytest.mark.requirement("client-mcp")
async def test_langchain(start_gateway, guest, home):
    seen = await driven(start_gateway, guest, home, environment("langchain"), "langchain_mcp_drive.py")
    assert seen.pop("parts") == ["mcp_list_tools", "mcp_call", "text"]
    assert seen == {"text": ANSWER, "history": ANSWER, "stream": ANSWER}
