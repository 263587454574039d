"""Writes docs/compatibility.md and the table in README.md from tests/compat/requirements.py.

Run it from the checkout: `python -m scripts.compatibility`. With `--check` it writes nothing, and fails if they are
stale.
"""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.compat.index import FIELDS, LINES, OPERATIONS
from tests.compat.requirement import Requirement
from tests.compat.requirements import REQUIREMENTS

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "compatibility.md"
README = ROOT / "README.md"
BEGIN = "<!-- compatibility: written by scripts/compatibility.py -->"
END = "<!-- /compatibility -->"
HEAD = """# Compatibility

What an OpenAI client may rely on: every promise, where it comes from, and the tests that show it. A promise with a note
is kept as far as the note says. Written by `scripts/compatibility.py` from `tests/compat/requirements.py`: edit that.
A new operation or field needs its line in `tests/compat/index.py`, or a test fails.
"""


def areas() -> Iterable[tuple[str, list[Requirement]]]:
    """In the order in which the manifest first names them."""
    found: dict[str, list[Requirement]] = {}
    for one in REQUIREMENTS:
        found.setdefault(one.area, []).append(one)
    return found.items()


def page() -> str:
    return HEAD + checklist() + "".join(section(area, found) for area, found in areas()) + index()


def checklist() -> str:
    return "\n## What a drop-in must get right\n\n" + places("", LINES)


def index() -> str:
    """Where to look for what is said of an operation or a field."""
    operations = {f"`{operation}`": ids for operation, ids in OPERATIONS.items()}
    fields = "".join(
        f"\n## Fields of `{body}`\n\n" + places("field", {f"`{field}`": ids for field, ids in known.items()})
        for body, known in FIELDS.items()
    )
    return "\n## Operations\n\n" + places("operation", operations) + fields


def places(what: str, named: Mapping[str, str]) -> str:
    lines = [f"| {what} | promises |\n".replace("|  |", "| |"), "|---|---|\n"]
    for name, ids in named.items():
        lines.append(f"| {name} | {', '.join(f'`{id}`' for id in ids.split())} |\n")
    return "".join(lines)


def section(area: str, found: list[Requirement]) -> str:
    lines = [f"\n## {area}\n\n", "| promise | source | shown by | known divergence |\n", "|---|---|---|---|\n"]
    for one in found:
        shown = "<br>".join(f"`{test.rpartition('/')[2]}`" for test in one.tests)
        cells = (f"`{one.id}`: {one.behaviour}", one.source, shown, one.divergence)
        lines.append("|" + "|".join(f" {cell} " if cell else " " for cell in cells) + "|\n")
    return "".join(lines)


def table() -> str:
    lines = [BEGIN, "", "| | promises tested | known divergences |", "|---|---:|---|"]
    for area, found in areas():
        tested = sum(bool(one.tests) for one in found)
        short = "; ".join(one.short for one in found if one.divergence)
        lines.append(f"| {area} | {tested} | {short} |" if short else f"| {area} | {tested} | |")
    return "\n".join([*lines, "", END])


def readme() -> str:
    before, _, rest = README.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + table() + after


def main(arguments: list[str]) -> int:
    """0, or 1 if something was stale under `--check`."""
    wanted = {PAGE: page(), README: readme()}
    stale = [path for path, text in wanted.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    if "--check" in arguments:
        names = ", ".join(path.name for path in stale)
        if stale:
            sys.stderr.write(f"{names}: stale. Run: python -m scripts.compatibility\n")
        return 1 if stale else 0
    for path in stale:
        path.write_text(wanted[path], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
