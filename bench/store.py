"""What a stored turn costs: begin and end pairs through `SQLiteStore`, two durable commits each.

    python -m bench.store [--turns N] [--data DIR] [--work MICROSECONDS]

For 1, 16 and 64 concurrent conversations: turns and commits a second, and CPU microseconds a turn on the event
loop's thread and on the writer's (Linux: /proc/self/task/*/schedstat). Each turn continues the last one of its
branch and reads its history, as the engine does. `--work` burns that much CPU on the loop in each turn and then
passes a byte through a socket pair, which stands for the rest of a gateway. Numbers depend on what fdatasync
costs on the disk of `--data`, which is measured first.
"""

import argparse
import asyncio
import os
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path

import uvloop

from gateway.agents.spec import AgentSpec
from gateway.events import Usage
from gateway.items import Item, Message, Text, new_id
from gateway.ports import Turn
from gateway.storage import TurnEnd
from gateway.stores.sqlite import SQLiteStore

AGENT = AgentSpec(name="bench", model="openai/gpt-4o-mini", instructions="You are brief. " * 20, digest="bench")
WIRE = {"metadata": {"run": "bench"}, "include": [], "temperature": None, "text": {"format": {"type": "text"}}}


def say(role: str, text: str) -> Message:
    return Message(id=new_id("msg"), role="user" if role == "user" else "assistant", content=(Text(text=text),))


async def converse(store: SQLiteStore, turns: int, work: float, pair: tuple[socket.socket, socket.socket]) -> None:
    parent = None
    for _ in range(turns):
        question: Item = say("user", "What does a stored turn cost? " * 3)
        turn = Turn(id=new_id("resp"), agent=AGENT, input=(question,), parent=parent, wire=WIRE, created_at=time.time())
        await store.begin(turn)
        await store.history(turn.id)
        burn(work, pair)
        end = TurnEnd(
            status="completed",
            reason="stop",
            model=AGENT.model,
            usage=Usage(input_tokens=100, output_tokens=50),
            ended_at=time.time(),
        )
        await store.end(turn.id, end, say("assistant", "Two commits, and little else. " * 8))
        parent = turn.id


def burn(work: float, pair: tuple[socket.socket, socket.socket]) -> None:
    """Python for `work` seconds, then two system calls, which let other threads run."""
    if not work:
        return
    until = time.thread_time() + work
    while time.thread_time() < until:
        pass
    pair[0].send(b"x")
    pair[1].recv(1)


def cpu(thread_id: int) -> float:
    """Seconds a thread has spent on a CPU."""
    return int(Path(f"/proc/self/task/{thread_id}/schedstat").read_text().split()[0]) / 1e9


async def measure(data: Path, tasks: int, turns: int, work: float) -> str:
    pair = socket.socketpair()
    async with SQLiteStore(f"sqlite:///{data}/bench-{tasks}.db") as store:
        writer = next(thread for thread in threading.enumerate() if thread.name == "store-writer").native_id or 0
        loop = threading.get_native_id()
        await converse(store, 50, 0, pair)
        start, loop_start, writer_start = time.perf_counter(), cpu(loop), cpu(writer)
        await asyncio.gather(*(converse(store, turns // tasks, work, pair) for _ in range(tasks)))
        seconds, done = time.perf_counter() - start, turns // tasks * tasks
        loop_cpu, writer_cpu = cpu(loop) - loop_start, cpu(writer) - writer_start
    pair[0].close()
    pair[1].close()
    return (
        f"{tasks:3d} at once: {done / seconds:7.0f} turns/s {2 * done / seconds:7.0f} commits/s, "
        f"loop {loop_cpu / done * 1e6:5.0f} us, writer {writer_cpu / done * 1e6:5.0f} us a turn"
    )


def sync_cost(data: Path) -> float:
    """Median seconds of fdatasync after writing 4 KiB."""
    descriptor = os.open(data / "sync", os.O_CREAT | os.O_RDWR)
    costs: list[float] = []
    for _ in range(200):
        os.pwrite(descriptor, os.urandom(4096), 0)
        start = time.perf_counter()
        os.fdatasync(descriptor)
        costs.append(time.perf_counter() - start)
    os.close(descriptor)
    return sorted(costs)[100]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--turns", type=int, default=6400)
    arguments.add_argument("--work", type=float, default=0.0)
    arguments.add_argument("--data", default=None, help="a folder on the disk to measure")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(dir=given.data) as folder:
        sys.stdout.write(f"fdatasync {sync_cost(Path(folder)) * 1e6:.0f} us\n")
        for tasks in (1, 16, 64):
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                line = runner.run(measure(Path(folder), tasks, given.turns, given.work / 1e6))
            sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
