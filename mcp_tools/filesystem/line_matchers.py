"""Finding lines by a literal text or a regular expression, with an end in sight whatever the pattern.

A literal is found by Python's own substring search. A regular expression runs in `regex_worker`, a process that is
killed when time is up, since Python's `re` may need exponential time and cannot be interrupted.
"""

import math
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, Self

from mcp.server.mcpserver.exceptions import ToolError

from mcp_tools.filesystem.regex_worker import receive, send

_WORKER_MEMORY = 512 * 2**20  # bytes of address space; many groups repeated over a long line ask for more


class OutOfTime(Exception):
    """The search has used up its time."""


class LineMatcher(Protocol):
    """Finds lines. A context manager: what it needs lives from entry to exit."""

    def __enter__(self) -> Self:
        """Get ready. Raises `ToolError` for a pattern that is not valid."""
        ...

    def __exit__(self, *exception: object) -> None:
        """Give back what was taken."""
        ...

    def find(self, lines: Sequence[str]) -> list[tuple[int, int]]:
        """Index of every line that matches, and where in it the first match starts. Raises `OutOfTime`."""
        ...


class LiteralMatcher:
    """Finds a text as it is written, until `deadline` (seconds of `time.monotonic`)."""

    def __init__(self, text: str, deadline: float, *, ignore_case: bool) -> None:
        self._text = text.casefold() if ignore_case else text
        self._ignore_case = ignore_case
        self._deadline = deadline

    def __enter__(self) -> Self:
        """See `LineMatcher`."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Nothing is held."""

    def find(self, lines: Sequence[str]) -> list[tuple[int, int]]:
        """See `LineMatcher.find`. Without regard to case, the start is that in the folded line: near enough."""
        if time.monotonic() > self._deadline:
            raise OutOfTime
        starts = ((line.casefold() if self._ignore_case else line).find(self._text) for line in lines)
        return [(index, start) for index, start in enumerate(starts) if start >= 0]


class RegexMatcher:
    """Finds a regular expression of Python's `re`, in a process that is killed at `deadline`."""

    def __init__(self, pattern: str, deadline: float, *, ignore_case: bool) -> None:
        seconds = math.ceil(max(0.0, deadline - time.monotonic())) + 1
        self._order = {
            "pattern": pattern,
            "ignore_case": ignore_case,
            "memory": _WORKER_MEMORY,
            "seconds": seconds,
        }
        self._deadline = deadline

    def __enter__(self) -> Self:
        """Start the process and give it the pattern."""
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(Path(__file__).with_name("regex_worker.py"))],
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
            if error is not None:
                raise ToolError(f"The regular expression is not valid: {error}. Correct it, or search with `contains`.")
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        """Stop the process."""
        self._stop()

    def find(self, lines: Sequence[str]) -> list[tuple[int, int]]:
        """See `LineMatcher.find`."""
        return [(index, start) for index, start in self._ask(list(lines))]

    def _ask(self, value: object) -> Any:
        assert self._process.stdin is not None and self._process.stdout is not None
        answer = None
        with suppress(BrokenPipeError):
            send(self._process.stdin, value)
            answer = receive(self._process.stdout)
        if answer is None:
            if time.monotonic() >= self._deadline:
                raise OutOfTime
            raise ToolError("The regular expression needs too much memory. Use a simpler one, or `contains`.")
        return answer

    def _stop(self) -> None:
        self._timer.cancel()
        self._process.kill()
        with suppress(BrokenPipeError):  # what was not sent any more
            self._process.communicate()
