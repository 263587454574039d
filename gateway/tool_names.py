"""Names of tools that every model provider accepts: `server__tool`, shortened with a hash where that does not fit.

The name of a tool is the same on every machine and in every run, so that a stored conversation stays readable.
"""

import hashlib
import re
from collections.abc import Iterable

SERVER_NAME = r"^[A-Za-z0-9](?:_?[A-Za-z0-9-]){0,15}$"
"""Letters, digits, `-` and single `_`, at most 31; `__` parts server and tool in the names that models see."""
PROVIDER_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What OpenAI, Anthropic and Google all accept."""
LONGEST = 64
LONGEST_SERVER = 31


def provider_names(tools: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """A name for each (server, tool). Names differ; only in a clash of hashes does one depend on the others."""
    names: dict[tuple[str, str], str] = {}
    taken: set[str] = set()
    # A name that needs no change comes first, so a made-up one can never take its place.
    for server, tool in sorted(set(tools), key=lambda pair: (not _fits(*pair), pair)):
        attempt = 0
        name = provider_name(server, tool)
        while name in taken:
            attempt += 1
            name = _made_up(server, tool, attempt)
        names[server, tool] = name
        taken.add(name)
    return names


def provider_name(server: str, tool: str) -> str:
    """The name of one tool by itself. Any two texts will do: clients bring back calls of servers not known here."""
    return f"{server}__{tool}" if _fits(server, tool) else _made_up(server, tool)


def _fits(server: str, tool: str) -> bool:
    is_server = re.fullmatch(SERVER_NAME, server) is not None
    return is_server and PROVIDER_NAME.fullmatch(f"{server}__{tool}") is not None


def _made_up(server: str, tool: str, attempt: int = 0) -> str:
    """The readable beginnings, then 8 hex digits of the SHA-256 of the real name."""
    real = f"{server}\0{tool}" + "\0" * attempt
    mark = hashlib.sha256(real.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    first = _readable(server)[:LONGEST_SERVER].strip("_")
    second = _readable(tool)[: LONGEST - len(first) - len("__") - len("_") - len(mark)].strip("_")
    return f"{first}__{second}_{mark}" if second else f"{first}__{mark}"


def _readable(text: str) -> str:
    """Single `_` for whatever is neither letter, digit nor `-`, so that `__` stands in one place only."""
    return re.sub(r"[^A-Za-z0-9-]+", "_", text)
