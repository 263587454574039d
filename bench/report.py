"""Results into tables: medians over rounds, and ratios to the floor of the same round. Not how they are measured.

`python -m bench.report RESULTS.json` writes docs/benchmark.md and the summary in README.md from a run's results.
"""

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from rich.table import Table

from bench.scenarios import CELLS, FLOOR, SCENARIOS, Cell, Scenario

ROOT = Path(__file__).parent.parent
PAGE, README = ROOT / "docs" / "benchmark.md", ROOT / "README.md"
BEGIN, END = "<!-- benchmark: written by bench/report.py -->", "<!-- /benchmark -->"
SHORT = {
    "c16": ("requests/s", "of the floor", "p50 ms", "p99 ms", "CPU ms/request"),
    "stream": ("tokens/s", "CPU µs/token", "first token ms p50"),
    "paced": ("token delay ms p50", "longest gap ms", "stalls"),
}
"""The cells, and the columns of each, that README.md shows."""
STARTS = ("healthy after s", "MB idle", "MB after the load")

Result = dict[str, Any]
"""What `load.run` returns, with `scenario`, `cell` and `round`; or a start-up, with `server` and `round`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """A table before it is drawn."""

    title: str
    columns: Sequence[str]
    rows: list[list[str]]


def rate(result: Result) -> float:
    """Requests a second."""
    return result["requests"] / result["seconds"]


def cpu_ms(result: Result) -> float | None:
    """CPU milliseconds of the server's process tree for a request."""
    return result["cpu_s"] * 1000 / result["requests"] if result["requests"] else None


def cpu_us_token(result: Result) -> float | None:
    """CPU microseconds for a streamed token, the cost of the request itself included."""
    return result["cpu_s"] * 1e6 / result["tokens"] if result["tokens"] else None


def sheets(results: list[Result], starts: list[Result]) -> list[Sheet]:
    """All tables of a run, cells without results left out."""
    made = [_sheet(cell, results) for cell in CELLS]
    return [sheet for sheet in [*made, _starts(starts)] if sheet.rows]


def summary(results: list[Result], starts: list[Result]) -> list[Sheet]:
    """The few tables of a run that README.md shows."""
    made = [_short(_sheet(cell, results), SHORT[cell.name]) for cell in CELLS if cell.name in SHORT]
    return [sheet for sheet in [*made, _short(_starts(starts), STARTS)] if sheet.rows]


def publish(results: list[Result], starts: list[Result], about: Sequence[str]) -> None:
    """Write docs/benchmark.md, and its summary between the marks in README.md."""
    PAGE.write_text(markdown(sheets(results, starts), about))
    before, _, rest = README.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    tables = "\n".join(_tables(summary(results, starts)))
    README.write_text(f"{before}{BEGIN}\n\n{tables}\n{END}{after}")


def _sheet(cell: Cell, results: list[Result]) -> Sheet:
    if cell.every_ms:
        return _paced(cell, results)
    return _stream(cell, results) if cell.streamed else _requests(cell, results)


def _short(sheet: Sheet, columns: Sequence[str]) -> Sheet:
    """These columns of it, behind the first."""
    places = [0, *map(sheet.columns.index, columns)]
    rows = [[row[place] for place in places] for row in sheet.rows]
    return Sheet(title=sheet.title, columns=["", *columns], rows=rows)


def _requests(cell: Cell, results: list[Result]) -> Sheet:
    columns = ("", "requests/s", "of the floor", "p50 ms", "p99 ms", "CPU ms/request", "x floor", "errors")
    rows: list[list[str]] = []
    for scenario, rounds in _by_scenario(cell, results):
        floor = _rounds(FLOOR, cell, results)
        rows.append(
            [
                scenario.name,
                _number(_median(rate, rounds), 0),
                _number(_ratio(rate, rounds, floor), 2),
                _number(_median(lambda one: one["p50_ms"], rounds), 2),
                _number(_median(lambda one: one["p99_ms"], rounds), 2),
                _number(_median(cpu_ms, rounds), 3),
                _number(_ratio(cpu_ms, rounds, floor), 1),
                _errors(rounds),
            ]
        )
    title = f"{cell.connections} connection{'s' * (cell.connections > 1)}, answers as JSON"
    return Sheet(title=title, columns=columns, rows=rows)


def _stream(cell: Cell, results: list[Result]) -> Sheet:
    columns = ("", "tokens/s", "of the floor", "CPU µs/token", "x floor", "first token ms p50", "p99", "errors")
    rows: list[list[str]] = []

    def tokens(result: Result) -> float:
        return result["tokens"] / result["seconds"]

    for scenario, rounds in _by_scenario(cell, results):
        floor = _rounds(FLOOR, cell, results)
        rows.append(
            [
                scenario.name,
                _number(_median(tokens, rounds), 0),
                _number(_ratio(tokens, rounds, floor), 2),
                _number(_median(cpu_us_token, rounds), 1),
                _number(_ratio(cpu_us_token, rounds, floor), 1),
                _number(_median(lambda one: one["ttft_p50_ms"], rounds), 1),
                _number(_median(lambda one: one["ttft_p99_ms"], rounds), 1),
                _errors(rounds),
            ]
        )
    title = f"{cell.connections} connections, streams of {cell.tokens} tokens as fast as they go"
    return Sheet(title=title, columns=columns, rows=rows)


def _paced(cell: Cell, results: list[Result]) -> Sheet:
    columns = ("", "first token ms p50", "p99", "token delay ms p50", "p99", "longest gap ms", "stalls")
    columns += ("CPU µs/token", "x floor", "errors")
    rows: list[list[str]] = []
    for scenario, rounds in _by_scenario(cell, results):
        keys = ("ttft_p50_ms", "ttft_p99_ms", "transit_p50_ms", "transit_p99_ms")
        rows.append(
            [
                scenario.name,
                *(_number(_median(lambda one, key=key: one[key], rounds), 1) for key in keys),
                _number(max((one["gap_max_ms"] or 0 for one in rounds), default=None), 0),
                str(sum(one["stalls"] for one in rounds)),
                _number(_median(cpu_us_token, rounds), 1),
                _number(_ratio(cpu_us_token, rounds, _rounds(FLOOR, cell, results)), 1),
                _errors(rounds),
            ]
        )
    title = f"{cell.connections} streams at {1000 // cell.every_ms} tokens a second each"
    return Sheet(title=title, columns=columns, rows=rows)


def _starts(starts: list[Result]) -> Sheet:
    columns = ("", "healthy after s", "first answer after s", "MB idle", "MB after the load")
    rows: list[list[str]] = []
    for server in dict.fromkeys(one["server"] for one in starts):
        rounds = [one for one in starts if one["server"] == server]
        rows.append(
            [
                server,
                *(_number(_median(lambda one, key=key: one[key], rounds), 2) for key in ("healthy_s", "answer_s")),
                *(_number(_median(lambda one, key=key: one.get(key), rounds), 0) for key in ("idle_mb", "loaded_mb")),
            ]
        )
    return Sheet(title="Start and memory", columns=columns, rows=rows)


def _by_scenario(cell: Cell, results: list[Result]) -> Iterable[tuple[Scenario, list[Result]]]:
    for scenario in SCENARIOS:
        if rounds := _rounds(scenario, cell, results):
            yield scenario, rounds


def _rounds(scenario: Scenario, cell: Cell, results: list[Result]) -> list[Result]:
    return [one for one in results if one["scenario"] == scenario.name and one["cell"] == cell.name]


def _median(measure: Callable[[Result], float | None], rounds: list[Result]) -> float | None:
    values = [value for one in rounds if (value := measure(one)) is not None]
    return median(values) if values else None


def _ratio(measure: Callable[[Result], float | None], rounds: list[Result], floor: list[Result]) -> float | None:
    """Each round against the floor of that round, then the median: what moves the machine moves both."""
    floors = {one["round"]: value for one in floor if (value := measure(one))}
    ratios = [value / floors[one["round"]] for one in rounds if one["round"] in floors and (value := measure(one))]
    return median(ratios) if ratios else None


def _errors(rounds: list[Result]) -> str:
    return str(sum(one["errors"] for one in rounds))


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def drawn(sheet: Sheet) -> Table:
    """For the terminal."""
    table = Table(title=sheet.title, title_justify="left", title_style="bold")
    for index, column in enumerate(sheet.columns):
        table.add_column(column, justify="right" if index else "left", no_wrap=not index)
    for row in sheet.rows:
        table.add_row(*row)
    return table


def markdown(sheets: Iterable[Sheet], about: Sequence[str]) -> str:
    """For a file."""
    head = [
        "# Benchmark",
        "",
        "`make bench` measures it again and writes it.",
        "",
        *(f"- {line}" for line in about),
        "",
    ]
    return "\n".join([*head, *_tables(sheets, heading="## ")])


def _tables(sheets: Iterable[Sheet], heading: str = "") -> Iterable[str]:
    """Lines of Markdown. Titles are headings, or else stand in the tables' first column."""
    for sheet in sheets:
        yield from [f"{heading}{sheet.title}", ""] if heading else []
        yield f"| {' | '.join([sheet.columns[0] if heading else sheet.title, *sheet.columns[1:]])} |"
        yield "|" + "|".join(["---"] + ["---:"] * (len(sheet.columns) - 1)) + "|"
        yield from (f"| {' | '.join(row)} |" for row in sheet.rows)
        yield ""


if __name__ == "__main__":
    publish(**json.loads(Path(sys.argv[1]).read_text()))
