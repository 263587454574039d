"""A real Roundup tracker, and ways to the ticketing server: in memory and over stdio, in both eras of MCP."""

import contextlib
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters
from mcp.types import CallToolResult, TextContent

from mcp_tools.ticketing import create_server
from tests.roundup import Roundup

ROOT = Path(__file__).parents[3]


class Desk:
    """An MCP client of a ticketing server, with the few words that tests need."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def call(self, tool: str, **arguments: Any) -> CallToolResult:
        """A new ticket has the text "Text." unless the test says otherwise."""
        if tool == "open_ticket":
            arguments = {"body": "Text.", **arguments}
        result = await self.client.call_tool(tool, arguments)
        assert isinstance(result, CallToolResult)
        return result

    async def done(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """The structured result of a call that must succeed."""
        result = await self.call(tool, **arguments)
        assert not result.is_error, text_of(result)
        assert result.structured_content is not None
        return result.structured_content

    async def refused(self, tool: str, **arguments: Any) -> str:
        """The error text of a call that must fail."""
        result = await self.call(tool, **arguments)
        assert result.is_error, text_of(result)
        return text_of(result)


def text_of(result: CallToolResult) -> str:
    return "".join(part.text for part in result.content if isinstance(part, TextContent))


@contextlib.asynccontextmanager
async def desk(settings: dict[str, Any], mode: Any = "auto") -> AsyncIterator[Desk]:
    async with Client(create_server({"backoff": 0.001, **settings}), mode=mode) as client:
        yield Desk(client)


def stdio_parameters(tracker: Roundup, *more: str, wrapper: tuple[str, ...] = ()) -> StdioServerParameters:
    command = [sys.executable, "-m", "mcp_tools.ticketing", "--preset", "roundup", "--web-url", tracker.url, *more]
    return StdioServerParameters(
        command=[*wrapper, *command][0],
        args=[*wrapper, *command][1:],
        env={"TICKETING_USER": tracker.user, "TICKETING_PASSWORD": tracker.password},
        cwd=str(ROOT),
    )


@pytest.fixture
def settings(roundup_tracker: Roundup) -> dict[str, Any]:
    tracker = roundup_tracker
    return {
        "preset": "roundup",
        "base_url": tracker.url,
        "user": tracker.user,
        "password": tracker.password,
        "backoff": 0.001,
    }


@pytest.fixture(params=["memory, modern", "memory, legacy", "stdio, modern", "stdio, legacy"])
def any_desk(
    request: pytest.FixtureRequest, roundup_tracker: Roundup, settings: dict[str, Any]
) -> Callable[[], contextlib.AbstractAsyncContextManager[Desk]]:
    transport, _, era = request.param.partition(", ")
    mode: Any = "legacy" if era == "legacy" else "auto"

    @contextlib.asynccontextmanager
    async def over_stdio() -> AsyncIterator[Desk]:
        parameters = stdio_parameters(roundup_tracker, "--base-url", roundup_tracker.url)
        async with Client(parameters, mode=mode) as client:
            yield Desk(client)

    return over_stdio if transport == "stdio" else lambda: desk(settings, mode)
