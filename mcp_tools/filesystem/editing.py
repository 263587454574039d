"""Exact replacements in a text, with answers that help when the old text is not found. Pure, no files.

A line feed in an edit stands for any line end: an edit written with \\n fits a file with \\r\\n, and what it puts in
takes the file's own line ends. Text outside the replaced parts keeps every byte.
"""

import bisect
import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mcp.server.mcpserver.exceptions import ToolError

_SHOWN_LINES = 10  # line numbers that an error lists
_COMPARED_LINES = 20_000  # lines that are compared with an old text that is not found
_COMPARED_CHARACTERS = 200  # of each line
_CLOSE = 0.6  # difflib's own default for a close match
_DIFF_LINES = 20_000  # difflib's time grows with the square of the changed region; beyond this no diff is made
_CONTEXT = 3

_Opcode = tuple[Literal["replace", "delete", "insert", "equal"], int, int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacement:
    """Put `new` where `old` is: at its one place, or with `everywhere` at all of them."""

    old: str
    new: str
    everywhere: bool = False


def replace_all(text: str, replacements: Sequence[Replacement]) -> tuple[str, int]:
    """Apply `replacements` in order, each to the outcome of those before; give the text and how many places changed.

    Raises `ToolError` naming the replacement (1-based) whose old text is empty, is not there or is ambiguous.
    """
    places = 0
    for number, replacement in enumerate(replacements, 1):
        label = f"edit {number} of {len(replacements)}"
        if not replacement.old:
            raise ToolError(f"{label}: old_text is empty. Quote the text to replace, or use write_file for a new file.")
        text, count = _replace(text, replacement, label)
        places += count
    return text, places


def _replace(text: str, replacement: Replacement, label: str) -> tuple[str, int]:
    plain = text.replace("\r\n", "\n")
    old = replacement.old.replace("\r\n", "\n")
    new = replacement.new.replace("\r\n", "\n")
    found = _occurrences(plain, old)
    if not found:
        raise ToolError(f"{label}: old_text was not found, nothing was changed. {_hint(plain, old)}")
    if len(found) > 1 and not replacement.everywhere:
        lines = [str(plain.count("\n", 0, at) + 1) for at in found[:_SHOWN_LINES]]
        more = "" if len(found) <= _SHOWN_LINES else " and more"
        raise ToolError(
            f"{label}: old_text occurs {len(found)} times, nothing was changed. It starts at lines {', '.join(lines)}"
            f"{more}. Quote more of the lines around the one you mean, or set replace_all."
        )
    pairs = text.count("\r\n")
    if pairs > text.count("\n") - pairs:
        new = new.replace("\n", "\r\n")
    # Offsets in `plain` of the line feeds that had a carriage return before them, to get back to `text`.
    returns = [match.start() - index for index, match in enumerate(re.finditer("\r\n", text))]
    parts: list[str] = []
    done = 0
    for at in found:
        start = at + bisect.bisect_left(returns, at)
        end = at + len(old)
        parts += [text[done:start], new]
        done = end + bisect.bisect_left(returns, end)
    parts.append(text[done:])
    return "".join(parts), len(found)


def unified_diff(before: str, after: str, name: str, limit: int) -> str:
    """What changed, as `diff -u` shows it (line ends as \\n), at most `limit` characters; "" if nothing did."""
    old, new = _lines(before), _lines(after)
    if old == new:
        return "" if before == after else "(only line ends changed)\n"
    same = 0
    while same < min(len(old), len(new)) and old[same] == new[same]:
        same += 1
    same_end = 0
    while same_end < min(len(old), len(new)) - same and old[-1 - same_end] == new[-1 - same_end]:
        same_end += 1
    if len(old) + len(new) - 2 * (same + same_end) > _DIFF_LINES:
        return f"(the changes spread over {len(new) - same - same_end} lines, too many for a diff)\n"
    body: list[str] = []
    for group in _Comparison(old, new, same, same_end).get_grouped_opcodes(_CONTEXT):
        body += _hunk(group, old, new)
    diff = f"--- a/{name}\n+++ b/{name}\n" + "".join(body)
    return diff if len(diff) <= limit else diff[:limit] + "\n(the rest of the diff is left out)\n"


class _Comparison(difflib.SequenceMatcher[str]):
    """Compares only what is between a common beginning and end, so that a large file costs no more than its changes."""

    def __init__(self, old: list[str], new: list[str], same: int, same_end: int) -> None:
        super().__init__(None, old[same : len(old) - same_end], new[same : len(new) - same_end], autojunk=False)
        self._same = same
        self._ends = len(old) - same_end, len(old), len(new) - same_end, len(new)

    def get_opcodes(self) -> list[_Opcode]:
        """The opcodes of the whole texts."""
        start = self._same
        inner = super().get_opcodes()
        shifted: list[_Opcode] = [(tag, a + start, b + start, c + start, d + start) for tag, a, b, c, d in inner]
        return [("equal", 0, start, 0, start), *shifted, ("equal", *self._ends)]


def _hunk(group: Sequence[tuple[str, int, int, int, int]], old: list[str], new: list[str]) -> list[str]:
    lines = [f"@@ -{_range(group[0][1], group[-1][2])} +{_range(group[0][3], group[-1][4])} @@\n"]
    for tag, old_from, old_to, new_from, new_to in group:
        if tag == "equal":
            lines += [" " + line for line in old[old_from:old_to]]
            continue
        lines += ["-" + line for line in old[old_from:old_to]]
        lines += ["+" + line for line in new[new_from:new_to]]
    return lines


def _range(start: int, end: int) -> str:
    """The `start,length` of a hunk: lines from 1, the line before an empty range, length 1 left out."""
    length = end - start
    if length == 1:
        return str(start + 1)
    return f"{start + 1 if length else start},{length}"


def _lines(text: str) -> list[str]:
    lines = [line + "\n" for line in text.replace("\r\n", "\n").split("\n")]
    last = lines.pop()
    if last != "\n":
        lines.append(last + "\\ No newline at end of file\n")
    return lines


def _occurrences(text: str, wanted: str) -> list[int]:
    found: list[int] = []
    at = text.find(wanted)
    while at >= 0:
        found.append(at)
        at = text.find(wanted, at + len(wanted))
    return found


def _hint(text: str, old: str) -> str:
    """Where the model probably meant: the same but for white space, else the most similar line."""
    lines = text.split("\n")[:_COMPARED_LINES]
    wanted = [line for line in old.split("\n") if line.strip()]
    if not wanted:
        return "Quote some text, not only white space."
    squeezed = ["".join(line.split()) for line in lines]
    first, rest = "".join(wanted[0].split()), ["".join(line.split()) for line in wanted]
    for index, line in enumerate(squeezed):
        if first in line and [each for each in squeezed[index : index + 2 * len(rest)] if each][: len(rest)] == rest:
            return f"It differs only in white space from the text at line {index + 1}: {_quoted(lines[index])}"
    best, best_ratio = -1, _CLOSE
    matcher = difflib.SequenceMatcher(autojunk=False)
    matcher.set_seq2(wanted[0].strip()[:_COMPARED_CHARACTERS])
    for index, line in enumerate(lines):
        matcher.set_seq1(line.strip()[:_COMPARED_CHARACTERS])
        if matcher.real_quick_ratio() > best_ratio and matcher.quick_ratio() > best_ratio:
            ratio = matcher.ratio()
            if ratio > best_ratio:
                best, best_ratio = index, ratio
    if best < 0:
        return "No line is similar to it. Read the file again before editing it."
    if best_ratio == 1:
        return f"Its first line is line {best + 1}, but the lines after it differ. Read from there again."
    return f"The most similar line is line {best + 1}: {_quoted(lines[best])}"


def _quoted(line: str) -> str:
    shown = line if len(line) <= _COMPARED_CHARACTERS else line[:_COMPARED_CHARACTERS] + "…"
    return repr(shown)
