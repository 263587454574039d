"""A gateway whose model answers by what it is asked."""

import asyncio

import pytest

from gateway.tools.settings import ServerSettings
from tests.compat.model import reply


@pytest.fixture
def gateway(start_gateway, home):
    """`async with gateway() as running:`; `keeper` is an agent with a tool of the gateway's own."""
    (home / "agents" / "keeper.yaml").write_text("name: keeper\nmodel: scripted/one\ntools: [clock.now]\n")
    return lambda *steps, **settings: start_gateway(*(steps or [reply] * 50), **settings)


@pytest.fixture
def clock(home):
    return {"clock": ServerSettings(module="tests.servers.clock", settings={"folder": str(home)})}


@pytest.fixture
def rag(home):
    """Settings of a server with the knowledge base `help`."""
    (home / "help").mkdir()
    (home / "help" / "refunds.md").write_text("# Refunds\n\nYour money is back within 14 days.\n")
    bases = {"help": {"folder": str(home / "help")}}
    return {
        "rag": ServerSettings(module="mcp_tools.rag", settings={"data": str(home / "index"), "knowledge_bases": bases})
    }


@pytest.fixture
def held():
    """Among the items of a step, what the model waits for."""
    return asyncio.Event()
