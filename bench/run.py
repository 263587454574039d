"""`python -m bench.run`: what Homeport costs, as ratios to a bare pass-through proxy measured in the same run.

Every server has one core, load generator and fake provider the other. Cells are interleaved: in each round, each cell
is measured on every scenario in turn, so that what disturbs the machine disturbs all. Tables go to the terminal,
and as Markdown and JSON to bench/results/; those of a whole run are docs/benchmark.md, too, and a few of their columns
stand in README.md.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from bench.load import Load
from bench.processes import resident_mb
from bench.report import Result, drawn, markdown, publish, sheets
from bench.scenarios import CELLS, FLOOR, SCENARIOS, STALL_MS, Cell, Scenario
from bench.servers import SERVERS, Cores, Server, ask, litellm, pinned, provider, running

_SETTLE_S = 3.0
_ROOT = Path(__file__).parent.parent
_RESULTS = _ROOT / "bench" / "results"
_LITELLM = _ROOT / ".venv-litellm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What of the benchmark is run, and how long."""

    scenarios: tuple[Scenario, ...]
    cells: tuple[Cell, ...]
    rounds: int
    seconds: float
    warm_up: float
    litellm_venv: Path | None
    profiler: Path | None
    profile_format: str
    out: Path
    whole: bool


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    console = Console(width=None if sys.stdout.isatty() else 140)
    if options.litellm_venv is None:
        console.print("LiteLLM's proxy is not measured: it is not installed. scripts/environment.sh litellm does that.")
    cores = Cores.choose()
    if cores.server == cores.load:
        console.print("[yellow]warning:[/] this machine has one core; load and server share it.")
    with tempfile.TemporaryDirectory(prefix="homeport-bench-") as folder, Progress(console=console) as progress:
        results, starts = measure(options, cores, Path(folder), progress)
    about = describe(options, cores)
    made = sheets(results, starts)
    for sheet in made:
        console.print(drawn(sheet))
    for one in results:
        if one["errors"]:
            console.print(f"[red]{one['scenario']}, {one['cell']}: {one['errors']} errors:[/] ", end="")
            console.print(one["error"], markup=False)
    options.out.mkdir(parents=True, exist_ok=True)
    stem = options.out / time.strftime("%Y%m%d-%H%M%S")
    stem.with_suffix(".md").write_text(markdown(made, about))
    stem.with_suffix(".json").write_text(json.dumps({"about": about, "results": results, "starts": starts}, indent=1))
    console.print(f"Written: {stem}.md and .json")
    if options.whole:
        publish(results, starts, about)
        console.print("Written: docs/benchmark.md, and its summary in README.md")
    return 0


def parse(arguments: list[str]) -> Options:
    parser = argparse.ArgumentParser(prog="python -m bench.run", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round of 2 s cells, to iterate with")
    parser.add_argument("--rounds", type=int, help="3 unless quick")
    parser.add_argument("--seconds", type=float, help="length of a cell, 4 unless quick")
    parser.add_argument("--only", default="", help="scenarios whose name contains this; the floor is always there")
    parser.add_argument("--cells", default="", help=f"of {','.join(cell.name for cell in CELLS)}; all unless named")
    parser.add_argument("--litellm-venv", type=Path, help=f"with litellm[proxy]; {_LITELLM.name} if it is there")
    parser.add_argument("--profile", type=Path, metavar="PY_SPY", help="record each cell with this")
    parser.add_argument("--profile-format", choices=("flamegraph", "raw", "speedscope"), default="flamegraph")
    parser.add_argument("--out", type=Path, default=_RESULTS)
    given = parser.parse_args(arguments)
    wanted = [name for name in given.cells.split(",") if name]
    if unknown := set(wanted) - {cell.name for cell in CELLS}:
        parser.error(f"no such cell: {', '.join(sorted(unknown))}")
    beside = given.litellm_venv or (_LITELLM if (_LITELLM / "bin" / "litellm").exists() else None)
    servers = {"floor", "gateway"} | ({"litellm"} if beside else set())
    return Options(
        scenarios=tuple(one for one in SCENARIOS if one.server in servers and (given.only in one.name or one is FLOOR)),
        cells=tuple(cell for cell in CELLS if not wanted or cell.name in wanted),
        rounds=given.rounds or (1 if given.quick else 3),
        seconds=given.seconds or (2.0 if given.quick else 4.0),
        warm_up=0.5,
        litellm_venv=beside,
        profiler=given.profile,
        profile_format=given.profile_format,
        out=given.out,
        # What is only a part, or a glance, takes nobody's place.
        whole=not (given.quick or given.only or wanted or given.profile or given.rounds or given.seconds),
    )


def measure(options: Options, cores: Cores, folder: Path, progress: Progress) -> tuple[list[Result], list[Result]]:
    """All rounds: what each cell gave, and how each server started."""
    results: list[Result] = []
    starts: list[Result] = []
    task = progress.add_task("", total=options.rounds * len(options.cells) * len(options.scenarios))
    with running(provider(), cores.load, folder / "provider.txt") as fake:
        for number in range(options.rounds):
            with ExitStack() as stack:
                servers: dict[str, Server] = {}
                for name in dict.fromkeys(one.server for one in options.scenarios):
                    progress.update(task, description=f"starting {name}")
                    servers[name], started = start(name, options, fake.port, cores, folder, stack)
                    starts.append(started | {"server": name, "round": number})
                for cell in options.cells:
                    for scenario in options.scenarios:
                        progress.update(task, description=f"round {number + 1}: {cell.name} {scenario.name}")
                        result = load(scenario, cell, servers[scenario.server], options, cores)
                        results.append(result | {"scenario": scenario.name, "cell": cell.name, "round": number})
                        progress.advance(task)
                for started in starts[-len(servers) :]:
                    started["loaded_mb"] = resident_mb(servers[started["server"]].pid)
    return results, starts


def start(
    name: str, options: Options, upstream: int, cores: Cores, folder: Path, stack: ExitStack
) -> tuple[Server, Result]:
    """A server of its own for this round, and how long it took to live and to answer its first request."""
    place = folder / name
    place.mkdir(exist_ok=True)
    make = litellm(options.litellm_venv) if name == "litellm" and options.litellm_venv else SERVERS[name]
    server = stack.enter_context(running(make(upstream, place), cores.server, place / "log.txt"))
    first = next(one for one in options.scenarios if one.server == name)
    body = json.dumps(first.body(CELLS[0])).encode()
    status, answer = ask(server.port, "POST", first.path, server.key, body)
    answered = time.perf_counter() - server.started
    if status != 200:
        raise RuntimeError(f"{name} answered its first request with {status}: {answer.decode(errors='replace')[:500]}")
    time.sleep(_SETTLE_S)
    return server, {"healthy_s": server.healthy_s, "answer_s": answered, "idle_mb": resident_mb(server.pid)}


def load(scenario: Scenario, cell: Cell, server: Server, options: Options, cores: Cores) -> Result:
    """One cell, by a load generator of its own, with a profiler beside it where one was named."""
    spec = Load(
        port=server.port,
        path=scenario.path,
        key=server.key,
        body=scenario.body(cell),
        connections=cell.connections,
        seconds=options.seconds,
        warm_up=options.warm_up,
        server=server.pid,
        conversations=scenario.conversations,
        stall_ms=STALL_MS if cell.every_ms else 0.0,
    )
    with ExitStack() as stack:
        if options.profiler:
            recorder = subprocess.Popen(recording(scenario, cell, server, options), stdout=subprocess.DEVNULL)
            stack.callback(recorder.wait)
        with pinned(cores.load):
            process = subprocess.Popen(
                [sys.executable, "-m", "bench.load"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        output, _ = process.communicate(json.dumps(asdict(spec)).encode())
    if process.returncode:
        raise RuntimeError(f"the load generator failed at {scenario.name}, {cell.name}")
    result: dict[str, Any] = json.loads(output)
    return result


def recording(scenario: Scenario, cell: Cell, server: Server, options: Options) -> list[str]:
    """The command that samples `server` with py-spy for as long as the cell takes."""
    options.out.mkdir(parents=True, exist_ok=True)
    suffix = {"flamegraph": "svg", "raw": "txt", "speedscope": "json"}[options.profile_format]
    words = f"{scenario.name} {cell.name}".replace(",", "").split()
    output = options.out / f"profile-{'-'.join(words)}.{suffix}"
    command = [str(options.profiler), "record", "--pid", str(server.pid), "--rate", "200"]
    command += ["--format", options.profile_format, "--output", str(output)]
    return [*command, "--duration", str(max(1, round(options.seconds)))]


def describe(options: Options, cores: Cores) -> list[str]:
    """The circumstances, which a number without is not worth much."""
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    beside: list[str] = []
    if options.litellm_venv:
        version = "import importlib.metadata as m; print(m.version('litellm'))"
        command = [options.litellm_venv / "bin" / "python", "-c", version]
        said = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
        beside = [f"LiteLLM's proxy {said or 'of an unknown version'}, one worker, no database"]
    return [
        f"commit {commit.stdout.strip() or 'unknown'}, {time.strftime('%Y-%m-%d %H:%M')}",
        f"{(names or ['?: unknown processor'])[0].partition(': ')[2]}, server on core {cores.server}, "
        f"load and provider on core {cores.load}",
        f"Python {platform.python_version()}, load average {os.getloadavg()[0]:.1f} at the end",
        f"medians of {options.rounds} round(s), {options.seconds:g} s a cell; ratios are to the bare pass-through of "
        "the same round",
        *beside,
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
