"""Where each value of a configuration file stands, and how a mistake in it is reported.

Shared by the YAML and the JSON reader, the agent document and the gateway's settings. It knows files, lines and
columns; it does not know what the values mean.
"""

import stat
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

Location = tuple[str | int, ...]
"""The keys and list indexes that lead from the top of a document to a value."""

LARGEST_INTEGER = 2**53 - 1
"""The largest whole number that every JSON reader keeps exactly (RFC 8785, section 3.2.2.3; RFC 7493)."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake. `line` and `column` count from 1; a column counts characters."""

    file: Path
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


class DocumentError(Exception):
    """A file cannot be used. Its text is one line per problem: `file:line:column: what is wrong`.

    `files` are those in which it can be put right: the problems' own, and `others` that they speak of.
    """

    def __init__(self, problems: Sequence[Problem], others: Sequence[Path] = ()) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)
        self.files = (*(problem.file for problem in problems), *others)


@dataclass(slots=True)
class Positions:
    """Where the values and the keys of one document begin, as character offsets into its `text`."""

    file: Path
    text: str
    values: dict[Location, int] = field(default_factory=dict[Location, int])
    keys: dict[Location, int] = field(default_factory=dict[Location, int])

    def at(self, offset: int, message: str) -> Problem:
        """A problem at a character of the text."""
        line = self.text.count("\n", 0, offset) + 1
        return Problem(self.file, line, offset - self.text.rfind("\n", 0, offset), message)

    def problem(self, location: Sequence[str | int], message: str, *, key: bool = False) -> Problem:
        """A problem with the value at `location`, or with its key; the nearest known place above it otherwise."""
        where = tuple(location)
        if key and where in self.keys:
            return self.at(self.keys[where], message)
        while where and where not in self.values:
            where = where[:-1]
        return self.at(self.values.get(where, 0), message)

    def known(self, location: Sequence[str | int]) -> Location:
        """`location` without the steps that the document does not have, such as names that a validator put in."""
        where: Location = ()
        for step in location:
            if (*where, step) in self.values:
                where = (*where, step)
        return where

    def problem_within(self, location: Sequence[str | int], needle: str, message: str) -> Problem:
        """A problem with the first `needle` in the source of the string at `location`."""
        start = self.values.get(tuple(location), 0)
        found = self.text.find(needle, start)
        return self.at(start if found < 0 else found, message)


def read_text(file: Path, limit: int) -> str:
    """The file as text with plain newlines. Raises `DocumentError` for what is missing, no plain file, too large or
    not UTF-8."""
    try:
        if not stat.S_ISREG(file.stat().st_mode):  # Opening a pipe would wait for somebody to write to it.
            raise DocumentError([Problem(file, 1, 1, "is not a file")])
        with file.open("rb") as opened:
            body = opened.read(limit + 1)
    except OSError as error:
        raise DocumentError([Problem(file, 1, 1, f"cannot be read: {error.strerror or error}")]) from error
    except ValueError as error:  # A name that no file can have.
        raise DocumentError([Problem(file, 1, 1, f"cannot be read: {error}")]) from error
    if len(body) > limit:
        raise DocumentError([Problem(file, 1, 1, f"is larger than {limit} bytes")])
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = body[: error.start].decode("utf-8", "replace")
        raise DocumentError([Positions(file, before).at(len(before), "is not UTF-8 text")]) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def unfit_number(value: float) -> str:
    """Why JSON could not carry this number exactly; empty when it can."""
    if isinstance(value, int):
        return "whole numbers beyond 2^53-1 are not exact in JSON; quote it" if abs(value) > LARGEST_INTEGER else ""
    return "" if value - value == 0 else "infinite and undefined numbers are not allowed"


def unfit_text(value: str) -> str:
    """Why this string could not be stored or sent; empty when it can."""
    return "" if value.isascii() or value.encode("utf-8", "ignore").decode() == value else "half a surrogate pair"


def first_repeated(keys: Iterable[str]) -> int | None:
    """The index of the first key that was there before. Keys that differ only in Unicode composition are one key."""
    seen: set[str] = set()
    for index, key in enumerate(keys):
        composed = unicodedata.normalize("NFC", key)
        if composed in seen:
            return index
        seen.add(composed)
    return None
