"""What a process tree costs, from /proc: CPU seconds and resident memory. Linux only, like the benchmark."""

import os
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")


def tree(pid: int) -> list[int]:
    """`pid` and its descendants that are alive."""
    found, waiting = [], [pid]
    while waiting:
        one = waiting.pop()
        found.append(one)
        for children in Path(f"/proc/{one}/task").glob("*/children"):
            try:
                waiting += [int(child) for child in children.read_text().split()]
            except OSError:
                continue
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of the tree, in seconds; the kernel counts in ticks of 10 ms."""
    ticks = 0
    for one in tree(pid):
        try:
            fields = Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        # utime and stime, fields 14 and 15 in proc_pid_stat(5); the split begins at field 3.
        ticks += int(fields[11]) + int(fields[12])
    return ticks / _TICK


def resident_mb(pid: int) -> float:
    """Resident memory of the tree, in MB (shared pages count once for each process)."""
    return sum(_status_kb(one, "VmRSS") for one in tree(pid)) / 1000


def _status_kb(pid: int, field: str) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(field)), 0)
