"""The rag server: folders of documents as knowledge bases that an agent can search, read and cite, over MCP.

`create_server` makes it; `python -m mcp_tools.rag` serves it over stdio. The work is done by `gateway.retrieval`; here
it only gets its MCP face. Importing it is cheap: numpy and the embedder are loaded by the first search.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from mcp.server import MCPServer

from mcp_tools.rag.library import Library, Reading
from mcp_tools.rag.settings import parse_settings
from mcp_tools.rag.tools import add_ingest_tool, add_reading_tools

_INSTRUCTIONS = """\
Search the knowledge bases before answering a question about what they cover, and answer from the passages found.
Cite each passage you use by its file (and heading or page). If no passage answers the question, say so.
"""


def create_server(settings: Mapping[str, Any]) -> MCPServer[Reading]:
    """The server for `settings` (see `RagSettings`). Raises `SettingsError` naming every key that is wrong.

    Configured folders are read in the background as soon as it is connected to. It may be connected to several times at
    once (in-process, HTTP, stdio); the connections share one index in memory.
    """
    checked = parse_settings(settings)
    library = Library(checked)

    @asynccontextmanager
    async def lifespan(_: MCPServer[Reading]) -> AsyncGenerator[Reading]:
        async with library.opened() as reading:
            yield reading

    server = MCPServer[Reading](
        "rag", title="Knowledge bases", version="1.0.0", instructions=_INSTRUCTIONS, lifespan=lifespan
    )
    add_reading_tools(server)
    if checked.ingest_roots:
        add_ingest_tool(server, checked.ingest_roots)
    return server
