"""A gateway whose model answers by what it is asked."""

import pytest

from gateway.tools.settings import ServerSettings
from tests.compat.model import reply


@pytest.fixture
def gateway(start_gateway, home):
    """`async with gateway() as running:`; `keeper` is an agent with a tool of the gateway's own."""
    (home / "agents" / "keeper.yaml").write_text("name: keeper\nmodel: scripted/one\ntools: [clock.now]\n")
    return lambda *steps, **settings: start_gateway(*(steps or [reply] * 50), **settings)


@pytest.fixture
def clock():
    return {"clock": ServerSettings(module="tests.servers.clock")}
