"""Keeps the configured folders in step with their knowledge bases while somebody is connected. It knows no MCP."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal, TypeVar

import anyio

from gateway.retrieval.errors import RetrievalError, UnknownFile, UnknownKnowledgeBase
from gateway.retrieval.knowledge_bases import KnowledgeBases
from gateway.retrieval.records import Document, KnowledgeBase, Passage
from mcp_tools.rag.settings import RagSettings

logger = logging.getLogger(__name__)

State = Literal["ready", "reading", "failed"]
Made = TypeVar("Made")


class Reading:
    """The open knowledge bases and the background reading of their folders. Belongs to one event loop."""

    def __init__(self, settings: RagSettings) -> None:
        self.bases = KnowledgeBases(settings.data, max_file_bytes=settings.max_file_bytes)
        self._settings = settings
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._ended_at: dict[str, float] = {}
        self._failures: dict[str, str] = {}
        # Knowledge bases that were read completely at some time, so that a search need not wait.
        self._complete: set[str] = set()
        # One worker process at a time: they would only wait for one another.
        self._one_at_a_time = asyncio.Lock()

    def start(self) -> None:
        """Look through every configured folder, in the background."""
        for id in self._settings.knowledge_bases:
            self._look_again(id)

    async def aclose(self) -> None:
        """Stop reading; what was finished is kept."""
        for task in self._tasks.values():
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks.values())
        await self.bases.aclose()

    async def names(self) -> list[str]:
        """The ids of all knowledge bases, configured or filled by others."""
        return sorted({*self._settings.knowledge_bases, *await self.bases.ids()})

    async def described(self) -> list[tuple[str, KnowledgeBase | None, State, str]]:
        """(id, what it holds, state, why it failed) of each; None if nothing of it was read yet."""
        held = {base.id: base for base in await self.bases.list()}
        found: list[tuple[str, KnowledgeBase | None, State, str]] = []
        for id in sorted({*self._settings.knowledge_bases, *held}):
            task = self._tasks.get(id)
            failure = self._failures.get(id, "")
            state: State = "reading" if task and not task.done() else "failed" if failure else "ready"
            found.append((id, held.get(id), state, failure))
        return found

    async def search(self, id: str, query: str, limit: int) -> tuple[Passage, ...]:
        """Search, after the folder was read if it never was. A look for changes is started when the last one is old."""
        await self.read_once(id)
        return await self.bases.search(id, query, limit)

    async def read(self, id: str, file: str) -> Document:
        """A document, after its folder was read if it never was."""
        await self.read_once(id)
        return await self.bases.read(id, file)

    async def read_once(self, id: str) -> None:
        """Wait for the first complete reading of a configured folder. Raises `RetrievalError` if it failed."""
        if id not in self._settings.knowledge_bases:
            return
        task = self._tasks[id]
        if task.done() and time.monotonic() - self._ended_at[id] >= self._settings.refresh_seconds:
            task = self._look_again(id)
        if id in self._complete:
            return
        if any(base.id == id and base.synced_at is not None for base in await self.bases.list()):
            self._complete.add(id)
            return
        # Not `await task`: a caller who gives up must not stop the reading.
        await asyncio.wait([task])
        if failure := self._failures.get(id):
            raise RetrievalError(f"The folder of the knowledge base {id!r} could not be read: {failure}")

    def _look_again(self, id: str) -> asyncio.Task[None]:
        task = self._tasks[id] = asyncio.create_task(self._sync(id), name=f"sync {id}")
        return task

    async def _sync(self, id: str) -> None:
        try:
            async with self._one_at_a_time:
                report = await self.bases.ingest(id, self._settings.knowledge_bases[id].folder)
            self._failures.pop(id, None)
            if report.added or report.changed or report.removed:
                counts = (report.added, report.changed, report.removed, len(report.skipped))
                logger.info("knowledge base %s: %d files added, %d changed, %d removed, %d skipped", id, *counts)
        except (RetrievalError, OSError) as error:
            self._failures[id] = str(error)
            logger.warning("knowledge base %s could not be brought up to date: %s", id, error)
        finally:
            self._ended_at[id] = time.monotonic()


class Library:
    """Opens `Reading` for the first of several connections at once and closes it after the last."""

    def __init__(self, settings: RagSettings) -> None:
        self._settings = settings
        self._reading: Reading | None = None
        self._users = 0

    @asynccontextmanager
    async def opened(self) -> AsyncGenerator[Reading]:
        """The reading that all connections share."""
        if self._reading is None:
            self._reading = Reading(self._settings)
            self._reading.start()
        reading = self._reading
        self._users += 1
        try:
            yield reading
        finally:
            self._users -= 1
            if not self._users:
                self._reading = None
                with anyio.CancelScope(shield=True):
                    await reading.aclose()


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Passages, best first; whether of several knowledge bases; and why some of these could not be searched."""

    passages: tuple[Passage, ...]
    several: bool
    problems: Mapping[str, str]


async def find(reading: Reading, wanted: str | None, query: str, limit: int) -> Found:
    """Search one knowledge base, or all together when none is named: who asks need not know how they are divided.

    One of several that cannot be searched does not keep the others from it. Raises `RetrievalError` if none can be.
    """
    names = await chosen(reading, wanted)
    outcomes = await asyncio.gather(*(outcome(reading.search(name, query, limit)) for name in names))
    problems = {name: said for name, said in zip(names, outcomes, strict=True) if isinstance(said, RetrievalError)}
    if len(problems) == len(names):
        raise next(iter(problems.values()))
    passages = [passage for said in outcomes if not isinstance(said, RetrievalError) for passage in said]
    passages.sort(key=lambda passage: -passage.score)
    return Found(
        passages=tuple(passages[:limit]),
        several=len(names) > 1,
        problems={name: str(problem) for name, problem in problems.items()},
    )


async def read(reading: Reading, wanted: str | None, file: str) -> Document:
    """A document of one knowledge base, or of the only one that has it. Raises `RetrievalError` children."""
    names = await chosen(reading, wanted)
    outcomes = await asyncio.gather(*(outcome(reading.read(name, file)) for name in names))
    held = [said for said in outcomes if isinstance(said, Document)]
    if len(held) > 1:
        where = ", ".join(document.knowledge_base for document in held)
        raise UnknownFile(f"Several knowledge bases have a file {file!r}. Name one with `knowledge_base`: {where}.")
    if not held:
        raise UnknownFile(" ".join(str(said) for said in outcomes))
    return held[0]


async def outcome(work: Awaitable[Made]) -> Made | RetrievalError:
    """The result, or the error as a value: others are waited for beside it."""
    try:
        return await work
    except RetrievalError as error:
        return error


async def chosen(reading: Reading, wanted: str | None) -> list[str]:
    """The knowledge bases meant: the named one, or all. Raises `UnknownKnowledgeBase` saying what there is."""
    names = await reading.names()
    if not names:
        raise UnknownKnowledgeBase(
            "There is no knowledge base yet. The operator adds one with `homeport kb add ID FOLDER` or in the settings."
        )
    if wanted is None:
        return names
    if wanted not in names:
        raise UnknownKnowledgeBase(
            f"There is no knowledge base {wanted!r}. Use one of these with `knowledge_base`: {', '.join(names)}."
        )
    return [wanted]
