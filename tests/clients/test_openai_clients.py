"""The official clients of both major versions drive chat, responses and conversations, with strict validation."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from gateway.tools.settings import ServerSettings
from tests.conftest import call, say

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parent.parent.parent
NEWER = ROOT / ".venv-openai3" / "bin" / "python"


@pytest.fixture
def newer() -> str:
    if NEWER.exists():
        return str(NEWER)
    if os.environ.get("CI") == "true":
        pytest.fail("openai 3.x is not installed: scripts/environment.sh openai3")
    pytest.skip("openai 3.x is not installed: scripts/environment.sh openai3")


@pytest.mark.parametrize("major", ["2", "3"])
async def test_the_official_client_finds_nothing_amiss(start_gateway, home, request, major):
    python = sys.executable if major == "2" else request.getfixturevalue("newer")
    (home / "agents" / "talker.yaml").write_text("name: talker\nmodel: scripted/one\n")
    (home / "agents" / "caller.yaml").write_text("name: caller\nmodel: scripted/one\n")
    (home / "agents" / "keeper.yaml").write_text("name: keeper\nmodel: scripted/one\ntools: [clock.now]\n")
    servers = {"clock": ServerSettings(module="tests.servers.clock")}
    steps = [
        *([say("hello there", f"msg_{number}")] for number in range(4)),
        [call("weather")],
        *(
            [[call("clock__now", "{}", f"call_{number}")], [say("noon", f"noon_{number}")]][step]
            for number in (1, 2)
            for step in (0, 1)
        ),
        [say("hello there", "msg_9")],
    ]
    async with start_gateway(*steps, servers=servers) as gateway:
        drive = str(ROOT / "tests" / "clients" / "drive.py")
        process = await asyncio.create_subprocess_exec(
            python, drive, gateway.url, gateway.key, stdout=asyncio.subprocess.PIPE, cwd=home
        )
        output, _ = await process.communicate()
    assert process.returncode == 0
    seen = json.loads(output)
    assert seen.pop("version").startswith(f"{major}.")
    assert seen == {
        "models": ["caller", "helper", "keeper", "talker"],
        "chat": "hello there",
        "chat stream": "hello there",
        "response": "hello there",
        "response stream": "hello there",
        "retrieved": "hello there",
        "function": "weather",
        "mcp call": ["mcp_call", "message"],
        "mcp call stream": ["response.mcp_call.completed"],
        "conversation": ["message", "message", "message"],
        "deleted": True,
        "error": [404, "not_found", True],
    }
