"""`homeport kb`: fill and search the knowledge bases, also while the gateway is running."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar, cast

import typer
from rich.console import Console, Group
from rich.markup import escape
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from gateway.errors import GatewayError, InvalidRequest, NotFound
from gateway.retrieval.documents import EMPTY, is_document
from gateway.retrieval.errors import RetrievalError
from gateway.retrieval.folder import open_folder, scan
from gateway.retrieval.knowledge_bases import MAX_FILE_BYTES, KnowledgeBases
from gateway.retrieval.records import LOOSE, IngestProgress, IngestReport, KnowledgeBase, Passage, SkippedFile
from gateway.settings import Settings

console = Console(highlight=False)
Result = TypeVar("Result")

MOST_SKIPPED = 20
"""Files that are named with the reason; the others are counted."""


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


def configured(settings: Settings) -> Mapping[str, Path]:
    """The knowledge bases that the settings name, with their folders: the rag server keeps these in step by itself."""
    server = settings.servers.get("rag")
    bases = table(server.settings.get("knowledge_bases") if server else None)
    folders = {id: table(base).get("folder") for id, base in bases.items()}
    return {id: Path(str(folder)) for id, folder in folders.items() if folder}


def table(value: object) -> Mapping[str, object]:
    """The rag server checks its settings itself; until then they may be anything."""
    return cast("Mapping[str, object]", value) if isinstance(value, Mapping) else {}


async def listed(settings: Settings) -> Mapping[str, KnowledgeBase]:
    async with KnowledgeBases(folder_of(settings)) as bases:
        return {base.id: base for base in await bases.list()}


def add(settings: Settings, id: str, folder: Path, *, replace: bool) -> int:
    """Exit status 1 if a file that should have text could not be read; the others are searchable all the same. Pictures
    and whatever else is no document are passed over.

    Raises InvalidRequest for a folder without documents, and for another folder than the knowledge base has, unless it
    is to `replace` that.
    """
    wait(check(settings, id, folder, replace=replace))
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

        report = wait(ingest(settings, id, folder, show))
        progress.update(bar, description="done")
    show_skipped(report)
    if not holds(report):
        raise nothing_in(folder, f"there is no knowledge base {id!r} now")
    console.print(
        f"[bold]{escape(id)}[/]: {report.added} added, {report.changed} changed, {report.removed} removed, "
        f"{report.unchanged} unchanged, {len(report.skipped)} skipped; {report.chunks} passages written"
    )
    return 1 if any(map(is_broken, report.skipped)) else 0


async def check(settings: Settings, id: str, folder: Path, *, replace: bool) -> None:
    """Raises InvalidRequest before anything is touched."""
    root = open_folder(folder)
    ours = configured(settings).get(id)
    if ours is not None and ours.expanduser().resolve() != root:
        raise InvalidRequest(
            f"The knowledge base {id!r} is of the settings, which keep it in step with {ours}. Choose another id."
        )
    held = (await listed(settings)).get(id)
    if held is not None and held.folder != str(root) and not replace:
        raise InvalidRequest(
            f"The knowledge base {id!r} is of the folder {held.folder}. Choose another id, or say with --replace that "
            f"{root} takes its place."
        )
    if all(file.problem for file in scan(root, MAX_FILE_BYTES)):
        raise nothing_in(root, "nothing was changed")


async def ingest(settings: Settings, id: str, folder: Path, show: Callable[[IngestProgress], None]) -> IngestReport:
    """A knowledge base that would be left without a document is not left at all."""
    async with KnowledgeBases(folder_of(settings)) as bases:
        report = await bases.ingest(id, folder, show)
        if not holds(report):
            await bases.delete(id)
        return report


def holds(report: IngestReport) -> bool:
    """Whether there is anything to search now."""
    return bool(report.added or report.changed or report.unchanged)


def nothing_in(folder: Path, outcome: str) -> InvalidRequest:
    return InvalidRequest(
        f"{folder} holds no document that can be read, so {outcome}. Markdown, text, HTML and PDF files are read, in "
        "folders below it too; hidden ones are left out."
    )


def is_broken(skipped: SkippedFile) -> bool:
    """By its name a document, but damaged, locked or too large; an empty one is no failure."""
    return is_document(skipped.file) and skipped.reason != EMPTY


def show_skipped(report: IngestReport) -> None:
    # What should have been read comes first.
    for skipped in sorted(report.skipped, key=is_broken, reverse=True)[:MOST_SKIPPED]:
        style = "red" if is_broken(skipped) else "yellow"
        console.print(f"[{style}]skipped[/] {escape(skipped.file)}: {escape(skipped.reason)}", soft_wrap=True)
    if (more := len(report.skipped) - MOST_SKIPPED) > 0:
        console.print(f"[yellow]skipped[/] {more} more")


def remove(settings: Settings, id: str, *, sure: bool) -> None:
    """Ask unless `sure`. Raises NotFound, and InvalidRequest for one that the settings would bring back."""
    held = wait(listed(settings))
    if id not in held:
        raise NotFound(f"There is no knowledge base {id!r}. There are: {', '.join(held) or 'none'}.")
    if id in (ours := configured(settings)):
        raise InvalidRequest(
            f"The knowledge base {id!r} is of the settings, which keep it in step with {ours[id]}: it would be back at "
            "the next start. Take it out of the settings, or that folder away, and then remove it."
        )
    base = held[id]
    if not sure:
        what = f"{base.files} files, {base.chunks} passages; the folder {base.folder} stays as it is"
        typer.confirm(f"Remove the knowledge base {id} ({what})?", abort=True)
    wait(delete(settings, id))
    console.print(f"[bold]{escape(id)}[/] is removed.")


async def delete(settings: Settings, id: str) -> None:
    async with KnowledgeBases(folder_of(settings)) as bases:
        await bases.delete(id)


def search(settings: Settings, id: str, query: str, limit: int) -> None:
    async def found() -> tuple[Passage, ...]:
        async with KnowledgeBases(folder_of(settings)) as bases:
            return await bases.search(id, query, limit)

    passages = wait(found())
    if not passages:
        console.print("Nothing found.")
    elif passages[0].score < LOOSE:
        console.print(
            f"[yellow]Nothing fits:[/] the best score is {passages[0].score:.2f}. An agent is shown none of these "
            "passages; it is told that the documents do not answer the question.",
            soft_wrap=True,
        )
    for number, passage in enumerate(passages, 1):
        loose = passage.score < LOOSE
        title = f"[{number}] {passage.score:.2f}{' loose' if loose else ''}"
        style = "yellow" if loose else "none"
        # Not in the title, which has one line: names and headings may be long.
        place = [passage.file, f"page {passage.page}" if passage.page else "", " > ".join(passage.heading)]
        text = Text(passage.text.strip()[:600])
        shown = Group(Text(", ".join(filter(None, place)), style="bold"), text)
        console.print(Panel(shown, title=escape(title), title_align="left", border_style=style))


def show(settings: Settings) -> None:
    bases = wait(listed(settings))
    if not bases:
        console.print("There are no knowledge bases. Make one: homeport kb add ID FOLDER")
        return
    table = Table("id", "files", "passages", "folder", "up to date at")
    for base in bases.values():
        when = f"{datetime.fromtimestamp(base.synced_at, UTC):%Y-%m-%d %H:%M} UTC" if base.synced_at else "never"
        table.add_row(base.id, str(base.files), str(base.chunks), base.folder, when)
    console.print(table)
