"""Searching by name and by content, with an end in sight whatever the pattern.

Name patterns are matched here, part by part, in time that is linear in the number of parts on each side. Content is
looked through line by line in bounded blocks. A literal is found by Python's own substring search; a regular
expression runs in `regex_worker`, a process that is killed when time is up.
"""

import fnmatch
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from anyio import from_thread
from mcp.server.mcpserver.exceptions import ToolError

from mcp_tools.filesystem.reading import read_span, text_format_of
from mcp_tools.filesystem.regex_worker import receive, send

_BLOCK = 2**20  # bytes looked at in one go; a line longer than that is searched in pieces
_SHOWN = 300  # characters of a line that are shown around a match
_WORKER_MEMORY = 2**30  # address space of the regular-expression process; a block takes a few MB of it
_MOST_BRACES = 64


class OutOfTime(Exception):
    """The search has used up its time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A line that matched: its number from 1, and the part of it around the first match."""

    line: int
    text: str


class Matcher(Protocol):
    """Finds lines."""

    def find(self, lines: Sequence[str]) -> list[tuple[int, int, int]]:
        """Index, start and end of the first match in every line that has one. Raises `OutOfTime`."""
        ...


class NamePattern:
    """A glob over paths with "/" between the parts.

    `*` and `?` and `[abc]` stay within a part, `**` spans any number of parts, `{a,b}` is either. A pattern without
    "/" is matched against the last part alone, so `*.py` finds Python files at any depth.
    """

    def __init__(self, pattern: str) -> None:
        """Raises `ToolError` for a pattern that is too long or has too many alternatives."""
        if len(pattern) > 1_000:
            raise ToolError("The pattern is too long: at most 1000 characters.")
        self._alternatives = [_parts(text) for text in _expand(pattern)]

    def matches(self, path: str) -> bool:
        """Whether the relative `path` fits."""
        parts = path.split("/")
        return any(
            _fits(parts[-1:] if len(wanted) == 1 and wanted != ["**"] else parts, wanted)
            for wanted in self._alternatives
        )


class LiteralMatcher(AbstractContextManager["LiteralMatcher"]):
    """Finds a text as it is written, until `deadline` (seconds of `time.monotonic`)."""

    def __init__(self, text: str, ignore_case: bool, deadline: float) -> None:
        self._text = text.casefold() if ignore_case else text
        self._ignore_case = ignore_case
        self._deadline = deadline

    def __exit__(self, *exception: object) -> None:
        """Nothing is held."""

    def find(self, lines: Sequence[str]) -> list[tuple[int, int, int]]:
        """See `Matcher.find`. Offsets of a match without regard to case are those of the folded line: near enough."""
        if time.monotonic() > self._deadline:
            raise OutOfTime
        found: list[tuple[int, int, int]] = []
        for index, line in enumerate(lines):
            at = (line.casefold() if self._ignore_case else line).find(self._text)
            if at >= 0:
                found.append((index, at, at + len(self._text)))
        return found


class RegexMatcher:
    """Finds a regular expression of Python's `re`, in a process that is killed at `deadline`.

    A context manager: the process is started on entry and gone on exit.
    """

    def __init__(self, pattern: str, ignore_case: bool, deadline: float) -> None:
        self._order = {"pattern": pattern, "ignore_case": ignore_case, "memory": _WORKER_MEMORY}
        self._deadline = deadline

    def __enter__(self) -> Self:
        """Start the process. Raises `ToolError` for a pattern that is not valid."""
        worker = Path(__file__).with_name("regex_worker.py")
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(worker)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
            cwd="/",
        )
        self._timer = threading.Timer(max(0.0, self._deadline - time.monotonic()), self._process.kill)
        self._timer.daemon = True
        self._timer.start()
        try:
            error = self._ask(self._order)["error"]
        except BaseException:
            self._stop()
            raise
        if error is not None:
            self._stop()
            raise ToolError(f"The regular expression is not valid: {error}. Correct it, or search with `contains`.")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop the process."""
        self._stop()

    def find(self, lines: Sequence[str]) -> list[tuple[int, int, int]]:
        """See `Matcher.find`."""
        return [(index, start, end) for index, start, end in self._ask(list(lines))]

    def _ask(self, value: object) -> "list[list[int]] | dict[str, str | None]":
        raise NotImplementedError

    def _stop(self) -> None:
        self._timer.cancel()
        self._process.kill()
        self._process.communicate()
