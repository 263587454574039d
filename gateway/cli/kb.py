"""`homeport kb`: fill and search the knowledge bases, also while the gateway is running."""

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from gateway.errors import GatewayError
from gateway.retrieval.errors import RetrievalError
from gateway.retrieval.knowledge_bases import KnowledgeBases
from gateway.retrieval.records import IngestProgress, IngestReport
from gateway.settings import Settings

console = Console(highlight=False)
Result = TypeVar("Result")


def folder_of(settings: Settings) -> Path:
    """Where the rag server of these settings keeps its index."""
    server = settings.servers.get("rag")
    return Path(str(server.settings["data"])) if server and "data" in server.settings else settings.data / "rag"


def wait(work: Coroutine[Any, Any, Result]) -> Result:
    """The result, or retrieval's own message as the error of the command."""
    try:
        return asyncio.run(work)
    except RetrievalError as error:
        raise GatewayError(str(error)) from None


def add(settings: Settings, id: str, folder: Path) -> int:
    """Exit status 1 if a file could not be read; the others are searchable all the same."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("files"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("looking", total=None)

        def show(now: IngestProgress) -> None:
            what = (
                "waiting for another ingest"
                if now.phase == "waiting"
                else f"{now.chunks} passages  {escape(now.file)[-40:]}"
            )
            progress.update(bar, completed=now.files_done, total=now.files_total or None, description=what)

        report = wait(_add(settings, id, folder, show))
        progress.update(bar, description="done")
    console.print(
        f"[bold]{escape(id)}[/]: {report.added} added, {report.changed} changed, {report.removed} removed, "
        f"{report.unchanged} unchanged; {report.chunks} passages written"
    )
    for skipped in report.skipped:
        console.print(f"[yellow]skipped[/] {escape(skipped.file)}: {escape(skipped.reason)}", soft_wrap=True)
    return 1 if report.skipped else 0


async def _add(settings: Settings, id: str, folder: Path, show: Any) -> IngestReport:
    async with KnowledgeBases(folder_of(settings)) as bases:
        return await bases.ingest(id, folder, show)


def search(settings: Settings, id: str, query: str, limit: int) -> None:
    async def found() -> Any:
        async with KnowledgeBases(folder_of(settings)) as bases:
            return await bases.search(id, query, limit)

    passages = wait(found())
    if not passages:
        console.print("Nothing found.")
    for number, passage in enumerate(passages, 1):
        place = " > ".join(passage.heading) or (f"page {passage.page}" if passage.page else "")
        title = f"[{number}] {passage.file}  {place}  {passage.score:.2f}"
        console.print(Panel(escape(passage.text.strip()[:600]), title=escape(title), title_align="left"))


def show(settings: Settings) -> None:
    async def listed() -> Any:
        async with KnowledgeBases(folder_of(settings)) as bases:
            return await bases.list()

    bases = wait(listed())
    if not bases:
        console.print("There are no knowledge bases. Make one: homeport kb add ID FOLDER")
        return
    table = Table("id", "files", "passages", "folder", "up to date at")
    for base in bases:
        when = f"{datetime.fromtimestamp(base.synced_at, UTC):%Y-%m-%d %H:%M} UTC" if base.synced_at else "never"
        table.add_row(base.id, str(base.files), str(base.chunks), base.folder, when)
    console.print(table)
