"""The values retrieval gives to its callers. Nothing here knows how they are stored or found."""

from dataclasses import dataclass
from typing import Literal

LOOSE = 0.4
"""Below it the best passage is not about the question. Measured over 987 paragraphs of SQuAD 1.1 with the bundled
embedder: of 994 questions whose paragraph is among the first three, 1 % score less; of 225 of another collection
(Cranfield), which nothing there answers, 76 %."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """One search hit: a chunk of about 800 tokens, and within it the window that fitted best.

    `file` is the path relative to the ingested folder, with `/`. `heading` is the path of headings above the best
    window, outermost first; `page` counts from 1 and is None where a format has no pages. `start`, `end` and
    `match_start`, `match_end` are character positions in the text that `KnowledgeBases.read` returns: of `text`, and of
    the best window inside it. `score` is 0 to 1, higher is better, comparable between queries of one knowledge base,
    and nearly so between knowledge bases: the part by words is relative to the best of its own. `chunk` is the chunk's
    id, never used again once the file changes.
    """

    knowledge_base: str
    file: str
    heading: tuple[str, ...]
    page: int | None
    text: str
    score: float
    chunk: int
    start: int
    end: int
    match_start: int
    match_end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A file's text as it was read into the knowledge base; the positions of a `Passage` count in it."""

    knowledge_base: str
    file: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedFile:
    """A file that holds nothing to search, and why. `file` is relative to the folder."""

    file: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KnowledgeBase:
    """What a knowledge base holds. `synced_at` is Unix seconds of the last finished ingest, None before the first."""

    id: str
    folder: str
    files: int
    chunks: int
    skipped: tuple[SkippedFile, ...]
    synced_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestProgress:
    """How far an ingest is. `waiting`: another process is writing to this data folder.

    `files_total` is what there is to look at, `files_done` includes unchanged and skipped files, `chunks` counts what
    was written so far, `file` is the one that was finished last.
    """

    phase: Literal["waiting", "reading"]
    files_done: int = 0
    files_total: int = 0
    chunks: int = 0
    file: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestReport:
    """What an ingest did, in files; `chunks` were written by it. `skipped` is every file without text, old or new.

    A file of the folder is counted once: a skipped one is neither added, changed nor unchanged. `removed` are files
    that could be searched and are gone from the folder.
    """

    knowledge_base: str
    added: int = 0
    changed: int = 0
    removed: int = 0
    unchanged: int = 0
    chunks: int = 0
    skipped: tuple[SkippedFile, ...] = ()
