"""Names of tools that every model provider accepts: `server__tool`, shortened with a hash where that does not fit.

The name of a tool is the same on every machine and in every run, so that a stored conversation stays readable.
"""

import hashlib
import re
from collections.abc import Iterable

PROVIDER_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What OpenAI, Anthropic and Google all accept."""
LONGEST = 64


def provider_names(tools: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """A name for each (server, tool). Names differ; only in a clash of hashes does one depend on the others."""
    names: dict[tuple[str, str], str] = {}
    taken: set[str] = set()
    # A name that needs no change comes first, so a made-up one can never take its place.
    for server, tool in sorted(set(tools), key=lambda pair: (not _fits(*pair), pair)):
        digits = 8
        name = provider_name(server, tool)
        while name in taken and digits < 40:
            digits += 8
            name = _hashed(server, tool, digits)
        names[server, tool] = name
        taken.add(name)
    return names


def provider_name(server: str, tool: str) -> str:
    return f"{server}__{tool}" if _fits(server, tool) else _hashed(server, tool, 8)


def _fits(server: str, tool: str) -> bool:
    return PROVIDER_NAME.fullmatch(f"{server}__{tool}") is not None


def _hashed(server: str, tool: str, digits: int) -> str:
    """The readable beginning, then hex digits of the SHA-256 of the real name."""
    mark = hashlib.sha256(f"{server}\0{tool}".encode("utf-8", "surrogatepass")).hexdigest()[:digits]
    readable = re.sub(r"[^A-Za-z0-9-]+", "_", tool)[: LONGEST - len(server) - 2 - digits - 1].strip("_")
    return f"{server}__{readable}_{mark}" if readable else f"{server}__{mark}"
