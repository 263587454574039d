"""The filesystem server as its tests use it: through an MCP client, with answers as data and refusals as text."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mcp import Client
from mcp.types import CallToolResult, TextContent

from mcp_tools.filesystem import create_server
from mcp_tools.filesystem.beneath import Beneath

Era = Literal["auto", "legacy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileTools:
    """A client and short ways to call through it."""

    client: Client

    async def result(self, tool: str, **arguments: Any) -> CallToolResult:
        """The raw result, which must not be an error."""
        result = await self.client.call_tool(tool, arguments)
        assert not result.is_error, text_of(result)
        return result

    async def data(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """The structured answer."""
        result = await self.result(tool, **arguments)
        assert result.structured_content is not None
        return result.structured_content

    async def refusal(self, tool: str, **arguments: Any) -> str:
        """The text of the error that the call must end in."""
        result = await self.client.call_tool(tool, arguments)
        assert result.is_error, text_of(result)
        return text_of(result).removeprefix(f"Error executing tool {tool}: ")


def text_of(result: CallToolResult) -> str:
    """All text blocks, joined by line feeds."""
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))


def content(path: Path) -> str:
    """What is in a file."""
    return path.read_text()


def names_in(directory: Path) -> list[str]:
    """The names in a directory, sorted."""
    return sorted(path.name for path in directory.iterdir())


@asynccontextmanager
async def file_tools(
    *roots: Path, beneath: Beneath | None = None, era: Era = "auto", **settings: Any
) -> AsyncIterator[FileTools]:
    """A server over `roots`, in this process."""
    server = create_server({"roots": [str(root) for root in roots], **settings}, beneath=beneath)
    async with Client(server, mode=era) as client:
        yield FileTools(client=client)
