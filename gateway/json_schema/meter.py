"""How much work one check may still do. Counted rather than timed, so that the same input has the same answer.

A unit is about what checking one keyword of one value costs, some microseconds. Only patterns are timed: nobody can
tell from a pattern how long it takes.
"""

import time

import regex

MAX_WORK = 50_000
"""About a fifth of a second at worst; the largest arguments of real tools take less than a tenth of it."""
MATCH_SECONDS = 0.05
PATTERN_SECONDS = 0.1
"""The most one match may take, and all matches of one check together, compiling the patterns included."""
MAX_PATTERN = 4096
"""Characters. Compiling cannot be interrupted, and takes milliseconds for a pattern of this length."""


class CannotCheck(Exception):
    """It cannot be said whether the value fits."""


class SchemaUnusable(CannotCheck):
    """The schema is at fault: it refers to nothing or to itself, or holds what no schema may hold."""


class TooMuchWork(CannotCheck):
    """Checking this value against this schema takes too much work."""


class Meter:
    """What is left for one check."""

    def __init__(self, work: int) -> None:
        self._work = work
        self._seconds = PATTERN_SECONDS

    def spend(self, work: int) -> None:
        """Raises `TooMuchWork`."""
        self._work -= work
        if self._work < 0:
            raise TooMuchWork

    def matches(self, pattern: str, text: str) -> bool | None:
        """Whether the pattern is found in the text; None when that took too long. Raises `TooMuchWork`.

        A pattern in a dialect that is not known here is left to the tool to check.
        """
        self.spend(1)
        if self._seconds <= 0:
            raise TooMuchWork
        if len(pattern) > MAX_PATTERN:
            return True
        began = time.perf_counter()
        try:
            return regex.search(pattern, text, timeout=min(MATCH_SECONDS, self._seconds)) is not None
        except TimeoutError:
            return None
        except regex.error:
            return True
        finally:
            self._seconds -= time.perf_counter() - began
