"""The process that reads files: each on standard input after a line of JSON, its text as JSON on standard output.

Nothing of a file is looked at before the limits are set. It ends when its input does.
"""

import json
import resource
import sys
from contextlib import suppress
from dataclasses import astuple
from typing import Any

from gateway.retrieval.documents import parse
from gateway.retrieval.errors import UnsupportedFile


def main() -> None:
    """Serve files."""
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    while line := source.readline():
        order = json.loads(line)
        _limit(order["seconds"], order["memory"])
        data = source.read(order["length"])
        if len(data) < order["length"]:
            return
        answer = _read(order["path"], data, order["most"])
        sink.write(len(answer).to_bytes(8) + answer)
        sink.flush()


def _read(path: str, data: bytes, most: int) -> bytes:
    answer: dict[str, Any]
    try:
        found = parse(path, data)
        answer = {"text": found.text, "sections": [astuple(section) for section in found.sections]}
        body = json.dumps(answer, ensure_ascii=False).encode("utf-8", "replace")
        # Beside the text, whose characters may take several bytes, there are its headings.
        if len(found.text) <= most and len(body) <= 8 * most + 2**20:
            return body
        problem = f"it holds more text than {most / 2**20:.1f} MB"
    except UnsupportedFile as error:
        problem = str(error)
    except (MemoryError, RecursionError):
        problem = "reading it takes too much memory"
    return json.dumps({"problem": problem}).encode()


def _limit(seconds: int, memory: int) -> None:
    """For the next file only: the limit of processor time counts what earlier ones took."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    spent = int(used.ru_utime + used.ru_stime) + 1
    with suppress(OSError, ValueError):  # not every system has these
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (spent + seconds, resource.RLIM_INFINITY))
        resource.setrlimit(resource.RLIMIT_AS, (memory, resource.RLIM_INFINITY))
