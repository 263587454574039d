"""Fixtures every test may use. Only the model is ever scripted: the gateway is a real one on a real socket."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx
import httpx2  # noqa: F401  openai imports it lazily, which must not meet the gateway's own import on a thread
import openai
import pytest

from gateway.app import build_app
from gateway.cli.keys import local_key
from gateway.http_server import Limits, server
from gateway.items import Message, Text, ToolCall
from gateway.providers.scripted import ScriptedProvider
from gateway.settings import Settings

pytest_plugins = ["tests.guests", "tests.inspector", "tests.roundup"]
"""Fixtures of peer programs: `guest`, `inspector`, `node`, `roundup_tracker`."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--model", action="store_true", help="also try the real local model (tests/model)")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "requirement(*ids): what of tests/compat/requirements.py this test shows")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The real model is a run of its own; it is left out of the others rather than skipped in them."""
    if not config.getoption("--model"):
        items[:] = [item for item in items if "tests/model/" not in item.path.as_posix()]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass
class RunningGateway:
    """A gateway under test: its address and key, the scripted model, the official client and a bare one."""

    url: str
    key: str
    settings: Settings
    provider: ScriptedProvider
    openai: openai.AsyncOpenAI
    http: httpx.AsyncClient


AGENT = "name: helper\nmodel: scripted/one\ninstructions: You help.\n"


def say(text: str, id: str = "msg_1") -> Message:
    return Message(id=id, role="assistant", content=(Text(text=text),))


def call(name: str, arguments: str = "{}", call_id: str = "call_1") -> ToolCall:
    return ToolCall(id=f"fc_{call_id}", call_id=call_id, name=name, arguments=arguments)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty home for a gateway, with one agent named `helper`."""
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "helper.yaml").write_text(AGENT)
    return tmp_path


@pytest.fixture
def start_gateway(home: Path) -> Callable[..., contextlib.AbstractAsyncContextManager[RunningGateway]]:
    """`async with start_gateway(*steps, servers={...}) as gateway`: a whole gateway whose model plays these steps.

    With `providers` in the settings it has these and no scripted model. `clients` are the limits of its clients.
    """

    @contextlib.asynccontextmanager
    async def start(*steps: Any, clients: Limits | None = None, **settings: Any) -> AsyncIterator[RunningGateway]:
        chosen = Settings(**{"data": home / "data", "agents": home / "agents", "port": 0, **settings})
        scripted = ScriptedProvider(*steps)
        app = build_app(chosen, None if chosen.providers else scripted)
        uvicorn = server(app, host="127.0.0.1", port=0, log_level="warning", limits=clients)
        serving = asyncio.create_task(uvicorn.serve())
        await uvicorn.ready.wait()
        assert uvicorn.started, "the gateway did not start; its log says why"
        url, key = f"http://127.0.0.1:{uvicorn.port}", local_key(chosen)
        try:
            async with (
                openai.AsyncOpenAI(
                    base_url=f"{url}/v1", api_key=key, max_retries=0, _strict_response_validation=True
                ) as client,
                httpx.AsyncClient(base_url=url, headers={"authorization": f"Bearer {key}"}, timeout=30) as http,
            ):
                with anyio.fail_after(30):
                    yield RunningGateway(url, key, chosen, scripted, client, http)
        finally:
            uvicorn.should_exit = True
            await serving

    return start
