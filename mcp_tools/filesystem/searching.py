"""Searching files by name and by content, below a place, within limits of time, size and number.

How a name or a line matches is the matter of `name_patterns` and `line_matchers`; this module walks and reads.
"""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from anyio import from_thread
from mcp.server.mcpserver.exceptions import ToolError

from mcp_tools.filesystem.line_matchers import LineMatcher, LiteralMatcher, OutOfTime, RegexMatcher
from mcp_tools.filesystem.listing import Found, Walk
from mcp_tools.filesystem.name_patterns import NamePattern
from mcp_tools.filesystem.reading import read_span, text_format_of
from mcp_tools.filesystem.roots import Place, Roots, kind_of
from mcp_tools.filesystem.text_format import TextFormat

_BLOCK = 2**20  # bytes looked at in one go; a longer line is searched in pieces
_SHOWN, _BEFORE = 300, 100  # characters shown of a line that matched, and how many of them before the match


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What to look for. At most one of `contains` and `regex` is not empty; with neither only names are searched."""

    names: str = "**"
    exclude: Sequence[str] = ()
    contains: str = ""
    regex: str = ""
    ignore_case: bool = False
    limit: int = 100
    seconds: float = 20.0

    def __post_init__(self) -> None:
        """Refuse two ways at once."""
        if self.contains and self.regex:
            raise ToolError("Give contains (literal text) or regex, not both.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A path below the place, and for a search of content the line (from 1) and its text around the match."""

    path: str
    kind: str
    line: int | None = None
    text: str = ""


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What a search found. `stopped` says why it ended early: "" (it did not), "limit" or "time".

    `skipped` counts what could not be searched: binary files, and files and directories that could not be opened.
    """

    hits: list[Hit] = field(default_factory=list)
    files: int = 0
    skipped: int = 0
    stopped: str = ""


def search(roots: Roots, place: Place, query: Query) -> Outcome:
    """Search below `place`, or the one file that it is. `ToolError` for a bad pattern or a place that is not there."""
    deadline = time.monotonic() + query.seconds
    outcome = Outcome()
    walk, found = _candidates(roots, place, query)
    try:
        if query.contains:
            with LiteralMatcher(query.contains, deadline, ignore_case=query.ignore_case) as matcher:
                _search_lines(roots, place, found, matcher, query, outcome, deadline)
        elif query.regex:
            with RegexMatcher(query.regex, deadline, ignore_case=query.ignore_case) as matcher:
                _search_lines(roots, place, found, matcher, query, outcome, deadline)
        else:
            _search_names(found, query, outcome, deadline)
    except OutOfTime:
        outcome.stopped = "time"
    outcome.skipped += walk.unreadable
    return outcome


def _candidates(roots: Roots, place: Place, query: Query) -> tuple[Walk, Iterator[Found | None]]:
    """The walk, and what fits the name pattern on it; None in between, so that time is looked at on the way."""
    names = NamePattern(query.names)
    excluded = [NamePattern(pattern) for pattern in query.exclude]

    def wanted(path: str) -> bool:
        return not any(pattern.matches(path) for pattern in excluded)

    walk = Walk(roots=roots, start=place, enters=wanted)

    def found() -> Iterator[Found | None]:
        if kind_of(roots.status(place).st_mode) == "directory":
            for each in walk.found():
                yield each if names.matches(each.path) and wanted(each.path) else None
        else:
            yield Found(path=".", depth=0, kind="file")

    return walk, found()


def _search_names(found: Iterator[Found | None], query: Query, outcome: Outcome, deadline: float) -> None:
    for each in found:
        if time.monotonic() > deadline:
            raise OutOfTime
        if each is None:
            continue
        if len(outcome.hits) == query.limit:
            outcome.stopped = "limit"
            return
        outcome.files += each.kind == "file"
        outcome.hits.append(Hit(path=each.path, kind=each.kind))


def _search_lines(
    roots: Roots,
    place: Place,
    found: Iterator[Found | None],
    matcher: LineMatcher,
    query: Query,
    outcome: Outcome,
    deadline: float,
) -> None:
    for each in found:
        if time.monotonic() > deadline:
            raise OutOfTime
        if each is None or each.kind != "file":
            continue
        relative = os.path.normpath(os.path.join(place.relative, each.path))
        file = Place(root=place.root, relative=relative, shown=place.below(each.path))
        outcome.files += 1
        with ExitStack() as opened:
            try:
                descriptor = opened.enter_context(roots.regular_file(file))
            except ToolError:  # gone or forbidden: the others are searched all the same
                outcome.skipped += 1
                continue
            format = text_format_of(descriptor)
            if format is None:
                outcome.skipped += 1
                continue
            for hit in _matches(descriptor, format, matcher, each):
                if len(outcome.hits) == query.limit:
                    outcome.stopped = "limit"
                    return
                outcome.hits.append(hit)


def _matches(descriptor: int, format: TextFormat, matcher: LineMatcher, file: Found) -> Iterator[Hit]:
    position, number = len(format.mark), 1
    while data := read_span(descriptor, position, position + _BLOCK):
        from_thread.check_cancelled()
        if len(data) == _BLOCK:
            line_end = format.find_newline_back(data, len(data))
            data = data[: line_end if line_end > 0 else format.whole_characters(data)[1]]
        text = format.decode(data)
        lines = text.split("\n")
        ended = lines[-1] == ""  # what follows a line's end is not a line of its own
        searched = [line.removesuffix("\r") for line in (lines[:-1] if ended else lines)]
        for index, start in matcher.find(searched):
            yield Hit(path=file.path, kind="file", line=number + index, text=_around(lines[index], start))
        number += len(lines) - 1
        position += len(data)


def _around(line: str, start: int) -> str:
    begin = max(0, start - _BEFORE) if len(line) > _SHOWN else 0
    end = begin + _SHOWN
    return ("…" if begin else "") + line[begin:end].rstrip("\r") + ("…" if end < len(line) else "")
