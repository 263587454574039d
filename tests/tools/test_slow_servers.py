"""A tool server that takes long to load holds up those who need it and nobody else."""

import asyncio
import fcntl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.tools.mcp import MCPToolbox
from gateway.tools.settings import ServerSettings
from tests.conftest import call, say
from tests.tools.conftest import agent

pytestmark = pytest.mark.anyio

CLOCK = ServerSettings(module="tests.servers.clock")
INITIALIZE: dict[str, Any] = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}},
}
ACCEPT = {"accept": "application/json, text/event-stream"}


class Gate:
    """A file that is locked until it is opened; the server `gated` cannot be loaded before."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w")
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self.settings = ServerSettings(module="tests.servers.gated", settings={"gate": str(path)}, connect_timeout=3600)

    def open(self) -> None:
        self._file.close()


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    gate = Gate(tmp_path / "gate")
    yield gate
    gate.open()


async def test_a_request_does_not_wait_for_a_server_that_its_agent_does_not_use(
    start_gateway: Any, home: Path, gate: Gate
) -> None:
    (home / "agents" / "timekeeper.yaml").write_text("model: scripted/one\ntools: [clock.now]\n")
    (home / "agents" / "waiter.yaml").write_text("model: scripted/one\ntools: [gated.passed]\n")
    steps = [[call("clock__now")], [say("noon")], [call("gated__passed")], [say("through")]]
    async with start_gateway(*steps, servers={"clock": CLOCK, "gated": gate.settings}) as gateway:
        answer = await gateway.openai.responses.create(model="timekeeper", input="time?")
        assert answer.output[0].output == "12:00 UTC"
        served = await gateway.http.post("/mcp/clock", json=INITIALIZE, headers=ACCEPT)
        assert served.status_code == 200
        missing = await gateway.http.post("/mcp/nowhere", json=INITIALIZE, headers=ACCEPT)
        assert missing.status_code == 404
        gate.open()
        answer = await gateway.openai.responses.create(model="waiter", input="and now?")
        assert answer.output[0].output == "through the gate"
        served = await gateway.http.post("/mcp/gated", json=INITIALIZE, headers=ACCEPT)
        assert served.status_code == 200


async def test_who_needs_a_server_that_is_still_loading_waits_for_it(gate: Gate) -> None:
    async with MCPToolbox({"gated": gate.settings}, patience=0) as toolbox:
        asked = asyncio.create_task(toolbox.specs(agent("gated.*")))
        gate.open()
        assert [spec.name for spec in await asked] == ["gated__passed"]
