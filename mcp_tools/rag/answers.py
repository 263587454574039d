"""What the tools answer: the structured form, and the same as text that a model can read and cite."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Literal

from mcp.types import CallToolResult, TextContent
from pydantic import BaseModel, Field

from gateway.retrieval.records import LOOSE, IngestReport, Passage

NOT_ANSWERED = "These documents do not answer the question."

_STEP = " \u203a "
_MOST_SKIPPED = 20


class FoundPassage(BaseModel):
    """A passage. `start` and `end` are its place in the text that `read_document` returns."""

    knowledge_base: str
    file: str = Field(description="Path of the file; cite it.")
    heading: list[str] = Field(description="Headings above the best part, outermost first.")
    page: int | None = Field(description="Page, counted from 1, for files that have pages.")
    score: float = Field(description="0 to 1, higher is better.")
    text: str
    start: int
    end: int


class SearchAnswer(BaseModel):
    """Best first."""

    passages: list[FoundPassage]


class Skipped(BaseModel):
    """A file that holds nothing to search, and why."""

    file: str
    reason: str


class DescribedBase(BaseModel):
    """A knowledge base. `state`: `reading` while its folder is looked through, `failed` with `problem`."""

    id: str
    files: int
    chunks: int
    state: Literal["ready", "reading", "failed"]
    problem: str
    synced_at: str | None = Field(description="When its folder was last looked through completely, ISO 8601.")
    skipped: list[Skipped] = Field(description=f"Files that could not be read, at most {_MOST_SKIPPED}.")
    skipped_files: int = Field(description="How many files could not be read.")


class BasesAnswer(BaseModel):
    """By id."""

    knowledge_bases: list[DescribedBase]


class DocumentAnswer(BaseModel):
    """A part of a document. `next_start` is where to go on, None at the end."""

    knowledge_base: str
    file: str
    text: str
    start: int
    end: int
    total_characters: int
    next_start: int | None


class IngestAnswer(BaseModel):
    """What an ingest did, in files; `chunks` were written."""

    knowledge_base: str
    added: int
    changed: int
    removed: int
    unchanged: int
    chunks: int
    skipped: list[Skipped] = Field(description=f"Files that could not be read, at most {_MOST_SKIPPED}.")
    skipped_files: int


def answer(structured: BaseModel, text: str) -> CallToolResult:
    """Both forms as one result."""
    content: dict[str, Any] = structured.model_dump(mode="json")
    return CallToolResult(content=[TextContent(type="text", text=text)], structured_content=content)


def passages_answer(
    passages: Sequence[Passage], *, several: bool = False, problems: Mapping[str, str] = MappingProxyType({})
) -> CallToolResult:
    """Numbered passages, each under a line that says where it is from: also the knowledge base, if of `several`.

    `problems` says why others could not be searched.
    """
    found = [
        FoundPassage(
            knowledge_base=passage.knowledge_base,
            file=passage.file,
            heading=list(passage.heading),
            page=passage.page,
            score=passage.score,
            text=passage.text.strip(),
            start=passage.start,
            end=passage.end,
        )
        for passage in passages
    ]
    blocks = [f"The knowledge base {id} could not be searched. {problem}" for id, problem in problems.items()]
    if not found:
        blocks.insert(
            0, f"Nothing was found: {'these knowledge bases hold' if several else 'this knowledge base holds'} no text."
        )
    elif found[0].score < LOOSE:
        # Not the passages: a small model answers from whatever it is shown, and names the file.
        blocks.insert(0, f"Nothing fits: the best score is {found[0].score:.2f}. {NOT_ANSWERED}")
    else:
        for number, one in enumerate(found, start=1):
            base = f", knowledge base {one.knowledge_base}" if several else ""
            blocks.append(f"[{number}] {source(one)} ({one.score:.2f}{base})\n{one.text}")
        # Said last, where a small model looks first.
        blocks.append(f'Name the file of the passage that you use, such as: "According to {found[0].file}, ...".')
    return answer(SearchAnswer(passages=found), "\n\n".join(blocks))


def source(passage: FoundPassage) -> str:
    """`guide.md > Refunds > How long` or `manual.pdf, page 3 > Safety`, with real arrows."""
    place = passage.file if passage.page is None else f"{passage.file}, page {passage.page}"
    return _STEP.join((place, *passage.heading))


def bases_answer(bases: Sequence[DescribedBase]) -> CallToolResult:
    """One line each."""
    lines: list[str] = []
    for base in bases:
        line = f"- {base.id}: {base.files} files, {base.chunks} chunks, {base.state}"
        if base.problem:
            line += f" ({base.problem})"
        if base.skipped_files:
            line += f"; {base.skipped_files} files could not be read"
        lines.append(line)
    text = "\n".join(lines) or "There is no knowledge base yet."
    return answer(BasesAnswer(knowledge_bases=list(bases)), text)


def document_answer(base: str, file: str, text: str, start: int, length: int) -> CallToolResult:
    """The characters from `start`, and how to get the rest."""
    part = text[start : start + length]
    end = start + len(part)
    rest = end if end < len(text) else None
    note = f"\n\n[characters {start} to {end} of {len(text)}; go on with start={end}]" if rest is not None else ""
    document = DocumentAnswer(
        knowledge_base=base,
        file=file,
        text=part,
        start=start,
        end=end,
        total_characters=len(text),
        next_start=rest,
    )
    return answer(document, part + note)


def ingest_answer(report: IngestReport) -> CallToolResult:
    """What happened, and what to do about files that could not be read."""
    skipped = [Skipped(file=one.file, reason=one.reason) for one in report.skipped]
    done = IngestAnswer(
        knowledge_base=report.knowledge_base,
        added=report.added,
        changed=report.changed,
        removed=report.removed,
        unchanged=report.unchanged,
        chunks=report.chunks,
        skipped=skipped[:_MOST_SKIPPED],
        skipped_files=len(skipped),
    )
    lines = [
        f"{report.knowledge_base}: {report.added} files added, {report.changed} changed, {report.removed} removed,"
        f" {report.unchanged} unchanged."
    ]
    lines += [f"Not read: {one.file}: {one.reason}" for one in done.skipped]
    return answer(done, "\n".join(lines))


def skipped_of(entries: Sequence[tuple[str, str]]) -> list[Skipped]:
    """The first few, as they are answered."""
    return [Skipped(file=file, reason=reason) for file, reason in entries[:_MOST_SKIPPED]]


def iso(seconds: float | None) -> str | None:
    """Unix seconds as UTC."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
