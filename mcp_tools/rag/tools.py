"""The server's tools. Each checks what it is asked, calls the library, and turns its errors into text for the model."""

import asyncio
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult, ToolAnnotations
from pydantic import Field

from gateway.retrieval.errors import RetrievalError
from gateway.retrieval.records import IngestProgress, IngestReport
from mcp_tools.rag.answers import (
    BasesAnswer,
    DescribedBase,
    DocumentAnswer,
    IngestAnswer,
    SearchAnswer,
    bases_answer,
    document_answer,
    ingest_answer,
    iso,
    passages_answer,
    skipped_of,
)
from mcp_tools.rag.library import Reading, find, read
from mcp_tools.rag.settings import KnowledgeBaseId

_READS = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
# It adds to the index and forgets files that are gone; the documents themselves are never touched.
_INGESTS = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False)

WhichBase = Annotated[
    str | None,
    Field(description="Id of the knowledge base, as passages and lists name it; all when left out.", max_length=64),
]
_PROGRESS_BUFFER = 256


@contextmanager
def _told() -> Generator[None]:
    """Retrieval's errors are written to be read; the model gets their text."""
    try:
        yield
    except RetrievalError as error:
        raise ToolError(str(error)) from error


def _reading(ctx: Context[Reading, Any]) -> Reading:
    return ctx.request_context.lifespan_context


def add_reading_tools(server: MCPServer[Reading]) -> None:
    """`search`, `list_knowledge_bases` and `read_document`."""
    _add_search(server)
    _add_list(server)
    _add_read(server)


def _add_search(server: MCPServer[Reading]) -> None:
    @server.tool(title="Search the knowledge base", annotations=_READS)
    async def search(
        query: Annotated[
            str, Field(min_length=1, max_length=4000, description="A question or key words, in plain language.")
        ],
        ctx: Context[Reading, Any],
        knowledge_base: WhichBase = None,
        limit: Annotated[int, Field(ge=1, le=50, description="How many passages to return at most.")] = 3,
    ) -> Annotated[CallToolResult, SearchAnswer]:
        """Find the passages of the documents that fit a question, by meaning and by words, best first.

        Each passage says which file, heading or page it is from: cite these. When even the best fits too loosely, the
        text says so and shows none.
        """
        reading = _reading(ctx)
        if not query.strip():
            raise ToolError("The query is empty. Say what to look for.")
        with _told():
            found = await find(reading, knowledge_base, query, limit)
        return passages_answer(found.passages, several=found.several, problems=found.problems)


def _add_list(server: MCPServer[Reading]) -> None:
    @server.tool(title="List knowledge bases", annotations=_READS)
    async def list_knowledge_bases(ctx: Context[Reading, Any]) -> Annotated[CallToolResult, BasesAnswer]:
        """List the knowledge bases with how much they hold, and files that could not be read."""
        with _told():
            described = await _reading(ctx).described()
        bases: list[DescribedBase] = []
        for id, base, state, problem in described:
            skipped = [(one.file, one.reason) for one in base.skipped] if base else []
            bases.append(
                DescribedBase(
                    id=id,
                    files=base.files if base else 0,
                    chunks=base.chunks if base else 0,
                    state=state,
                    problem=problem,
                    synced_at=iso(base.synced_at) if base else None,
                    skipped=skipped_of(skipped),
                    skipped_files=len(skipped),
                )
            )
        return bases_answer(bases)


def _add_read(server: MCPServer[Reading]) -> None:
    @server.tool(title="Read a document", annotations=_READS)
    async def read_document(
        file: Annotated[str, Field(min_length=1, max_length=4096, description="The file as search names it.")],
        ctx: Context[Reading, Any],
        knowledge_base: WhichBase = None,
        start: Annotated[int, Field(ge=0, description="First character to return.")] = 0,
        length: Annotated[int, Field(ge=1, le=100_000, description="Most characters to return.")] = 20_000,
    ) -> Annotated[CallToolResult, DocumentAnswer]:
        """Read the text of a document, or a part of it, when a passage is not enough."""
        reading = _reading(ctx)
        with _told():
            document = await read(reading, knowledge_base, file)
        if start and start >= len(document.text):
            raise ToolError(f"{file!r} has {len(document.text)} characters; `start` must be smaller.")
        return document_answer(document.knowledge_base, file, document.text, start, length)


def add_ingest_tool(server: MCPServer[Reading], roots: Sequence[Path]) -> None:
    """`ingest_folder`, for folders below `roots` only."""

    @server.tool(title="Ingest a folder", annotations=_INGESTS)
    async def ingest_folder(
        folder: Annotated[str, Field(min_length=1, max_length=4096, description="The folder with the documents.")],
        knowledge_base: Annotated[KnowledgeBaseId, Field(description="Its id; a new one is made.")],
        ctx: Context[Reading, Any],
    ) -> Annotated[CallToolResult, IngestAnswer]:
        """Take a folder of Markdown, text, HTML and PDF files into a knowledge base; only changed files are read again.

        Takes about a second for each 20 pages that changed.
        """
        reading = _reading(ctx)
        real = await asyncio.to_thread(_below, roots, folder)
        with _told():
            held = {base.id: base.folder for base in await reading.bases.list()}
            if held.get(knowledge_base, str(real)) != str(real):
                raise ToolError(
                    f"The knowledge base {knowledge_base!r} is filled from another folder. Choose another id."
                )
            return ingest_answer(await _ingest(reading, knowledge_base, real, ctx))


def _below(roots: Sequence[Path], folder: str) -> Path:
    """The real path of a folder that is one of `roots` or below one. A relative one is looked for in each root."""
    for root in roots:
        real = root.expanduser().resolve()
        wanted = (real / folder).resolve()
        if wanted.is_relative_to(real) and wanted.is_dir():
            return wanted
    allowed = ", ".join(str(root) for root in roots)
    raise ToolError(f"{folder!r} is not a folder that may be ingested. Give one that exists below: {allowed}.")


async def _ingest(reading: Reading, id: str, folder: Path, ctx: Context[Reading, Any]) -> IngestReport:
    """Ingest while the progress is sent. Raises `RetrievalError` children."""
    send, receive = anyio.create_memory_object_stream[IngestProgress](_PROGRESS_BUFFER)

    def show(progress: IngestProgress) -> None:
        # A slow client misses steps rather than holding the ingest.
        if send.statistics().current_buffer_used < _PROGRESS_BUFFER:
            send.send_nowait(progress)

    outcome: IngestReport | RetrievalError = RetrievalError("The ingest was cut short. Try again.")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_send_progress, receive, ctx)
        with send:
            try:
                outcome = await reading.bases.ingest(id, folder, show)
            except RetrievalError as error:
                # Carried out by value: a task group would wrap it.
                outcome = error
    if isinstance(outcome, RetrievalError):
        raise outcome
    return outcome


async def _send_progress(steps: MemoryObjectReceiveStream[IngestProgress], ctx: Context[Reading, Any]) -> None:
    """MCP wants progress that grows: one notification a finished file."""
    done = -1
    with steps:
        async for step in steps:
            if step.phase == "reading" and step.files_done > done:
                done = step.files_done
                await ctx.report_progress(step.files_done, step.files_total, step.file or "reading the folder")
