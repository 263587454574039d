"""Globs over relative paths, matched part by part in bounded time. Pure, no files."""

import fnmatch
import re

from mcp.server.mcpserver.exceptions import ToolError

_MOST_CHARACTERS = 1_000
_MOST_ALTERNATIVES = 64
_BRACES = re.compile(r"\{([^{}]*)\}")


class NamePattern:
    """A glob over paths with "/" between the parts.

    `*`, `?` and `[abc]` stay within a part, `**` spans any number of parts, `{a,b}` is either one. A pattern without
    "/" is matched against the last part alone, so `*.py` finds Python files at any depth. Upper and lower case differ.
    """

    def __init__(self, pattern: str) -> None:
        """Raises `ToolError` for a pattern that is too long or has too many alternatives."""
        if len(pattern) > _MOST_CHARACTERS:
            raise ToolError(f"The pattern is too long: at most {_MOST_CHARACTERS} characters.")
        self._alternatives = [_parts(text) for text in _expanded(pattern)]

    def matches(self, path: str) -> bool:
        """Whether the relative `path` fits."""
        parts = path.split("/")
        return any(_fits(parts, wanted) for wanted in self._alternatives)


def _expanded(pattern: str) -> list[str]:
    """The patterns that the braces of `pattern` stand for; the innermost braces first, so they may be nested."""
    done: list[str] = []
    pending = [pattern]
    while pending:
        text = pending.pop()
        braces = _BRACES.search(text)
        if braces is None:
            done.append(text)
        else:
            pending += [text[: braces.start()] + choice + text[braces.end() :] for choice in braces[1].split(",")]
        if len(done) + len(pending) > _MOST_ALTERNATIVES:
            raise ToolError(f"The pattern has too many alternatives in braces: at most {_MOST_ALTERNATIVES}.")
    return done


def _parts(pattern: str) -> list[str]:
    parts = [part for part in pattern.split("/") if part not in ("", ".")]
    if len(parts) == 1 and "/" not in pattern:
        return ["**", parts[0]]
    return parts


def _fits(parts: list[str], wanted: list[str]) -> bool:
    """Whether `parts` fit `wanted`: one row of a table for each pattern part, so never exponential."""
    reachable = [True] + [False] * len(parts)  # reachable[n]: the pattern parts so far can take up the first n parts
    for pattern in wanted:
        following = [False] * (len(parts) + 1)
        if pattern == "**":
            following[0] = reachable[0]
            for index in range(1, len(parts) + 1):
                following[index] = reachable[index] or following[index - 1]
        else:
            for index, part in enumerate(parts):
                following[index + 1] = reachable[index] and fnmatch.fnmatchcase(part, pattern)
        reachable = following
    return reachable[-1]
