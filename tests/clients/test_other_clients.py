"""Clients of others, each in an environment of its own, drive a gateway through what they are used for."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from tests.compat.model import CITY, HELLO, reply
from tests.inspector import NODE

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parent.parent.parent
BEFORE = "You said: hi"
TYPED = json.loads(CITY)
BOTH = "It is cold in Oslo and cold in Bergen."
ONE = "It is cold in Oslo."


def environment(name: str) -> str:
    """The Python of an environment that `scripts/environment.sh` makes. Missing, the test is skipped; never in CI."""
    python = ROOT / f".venv-{name}" / "bin" / "python"
    if python.exists():
        return str(python)
    reason = f"not installed: scripts/environment.sh {name}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


async def driven(start_gateway, home, *program: str):
    """What the program printed about a gateway whose model is `reply`."""
    async with start_gateway(*[reply] * 100) as gateway:
        process = await asyncio.create_subprocess_exec(
            *program,
            gateway.url,
            gateway.key,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=home,
            env={"PATH": os.environ["PATH"], "HOME": str(home)},
        )
        output, said = await process.communicate()
    assert process.returncode == 0, said.decode()[-4000:]
    return json.loads(output)


@pytest.mark.requirement("client-helpers")
@pytest.mark.parametrize("major", ["2", "3"])
async def test_the_official_clients_helpers(start_gateway, home, major):
    python = sys.executable if major == "2" else environment("openai3")
    seen = await driven(start_gateway, home, python, str(ROOT / "tests" / "clients" / "helpers_drive.py"))
    limited = ["RateLimitError", "rate_limit_exceeded", None, True]
    assert seen.pop("version").startswith(f"{major}.")
    assert seen == {
        "chat": {"stream": [3, HELLO, 15], "tools": [2, BOTH], "typed": TYPED},
        "responses": {
            "tools": [2, BOTH],
            "history": BOTH,
            "typed": TYPED,
            "typed stream": TYPED,
            "reasoning": ["reasoning", True],
        },
        "pages": [11, 11, 11, 11],
        "errors": {
            "key": ["AuthenticationError", "invalid_api_key", None, True],
            "model": ["NotFoundError", "model_not_found", "model", True],
            "value": ["BadRequestError", "invalid_value", "temperature", True],
            "limit": limited,
            "stream": limited,
            "chat stream": limited,
        },
    }


@pytest.mark.requirement("client-agents")
async def test_openai_agents_by_both_of_its_models(start_gateway, home):
    drive = str(ROOT / "tests" / "clients" / "agents_drive.py")
    seen = await driven(start_gateway, home, environment("agents"), drive)
    features = {
        "text": HELLO,
        "stream": [HELLO, True],
        "tool": BOTH,
        "tool stream": [["tool_call_item", "tool_call_output_item", "message_output_item"], ONE],
        "history": BEFORE,
        "typed": TYPED,
        "broken tool": "It is An error occurred while running the tool. Please try again..",
        "handoff": ["expert", 'It is {"assistant": "expert"}.'],
        "error": [429, "rate_limit_exceeded"],
    }
    assert seen["responses"] == features
    assert seen["chat"] == features
    assert (seen["previous response"], seen["conversation"]) == (BEFORE, BEFORE)


@pytest.mark.requirement("client-langchain")
async def test_langchains_chat_model_by_both_of_its_apis(start_gateway, home):
    drive = str(ROOT / "tests" / "clients" / "langchain_drive.py")
    seen = await driven(start_gateway, home, environment("langchain"), drive)
    features = {
        "text": HELLO,
        "usage": True,
        "stream": HELLO,
        "tool": [["weather", "weather"], BOTH],
        "tool stream": [{"city": "Oslo"}, {"city": "Bergen"}],
        "tool stream answered": BOTH,
        "history": BEFORE,
        "own history": BEFORE,
        "typed": TYPED,
        "batch": [HELLO, HELLO],
        "error": [429, "rate_limit_exceeded"],
    }
    assert seen["chat"] == features
    assert seen["responses"] == features
    assert seen["previous response"] == BEFORE


@pytest.mark.requirement("client-node")
async def test_openai_node(start_gateway, home, node):
    seen = await driven(start_gateway, home, str(node), str(NODE / "openai_drive.mjs"))
    limited = ["RateLimitError", 429, "rate_limit_exceeded", True]
    assert seen == {
        "chat": HELLO,
        "chat stream": [HELLO, True],
        "chat tools": BOTH,
        "chat tool": '{"city": "Oslo"}',
        "chat typed": TYPED,
        "chat error": limited,
        "response": HELLO,
        "response stream": [BEFORE, BEFORE],
        "retrieved": BEFORE,
        "response tools": BOTH,
        "response history": ONE,
        "response typed": TYPED,
        "response error": limited,
        "unknown model": ["NotFoundError", 404, "model_not_found", True],
        "deleted": ["NotFoundError", 404, "not_found", True],
        "conversation": ["user"] * 6 + ["assistant"],
        "models": ["helper"],
    }


@pytest.mark.requirement("client-ai-sdk")
async def test_the_vercel_ai_sdk_by_both_of_its_apis(start_gateway, home, node):
    seen = await driven(start_gateway, home, str(node), str(NODE / "ai_drive.mjs"))
    features = {
        "text": [HELLO, True],
        "stream": [HELLO, "stop"],
        "tool": BOTH,
        "tool stream": [ONE, True, False],
        "history": BEFORE,
        "typed": TYPED,
        "error": ["AI_APICallError", 429],
    }
    assert seen["chat"] == features
    assert seen["responses"] == features
    assert seen["previous response"] == BEFORE
