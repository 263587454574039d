"""The process that ingests: a JSON request on standard input, JSON lines of progress and a report on standard output.

A process of its own keeps the event loop of the gateway free of the work, gives its memory back when it is done, and
may be killed at any moment without harm. It ends itself when whoever started it is gone.
"""

import json
import os
import sys
import threading
from dataclasses import asdict
from typing import Any, TextIO

from gateway.retrieval.errors import RetrievalError
from gateway.retrieval.ingest import ingest
from gateway.retrieval.ingest_request import IngestRequest

_NICE = 5


def main() -> None:
    """Serve one request."""
    request = IngestRequest.from_json(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if hasattr(os, "nice"):
        os.nice(_NICE)
    out = sys.stdout
    try:
        report = ingest(request, lambda progress: _say(out, {"progress": asdict(progress)}))
    except RetrievalError as error:
        _say(out, {"error": {"name": type(error).__name__, "message": str(error)}})
        return
    answer = asdict(report)
    for skipped in answer.pop("skipped"):
        _say(out, {"skipped": skipped})
    _say(out, {"report": answer})


def _say(out: TextIO, line: dict[str, Any]) -> None:
    out.write(json.dumps(line) + "\n")
    out.flush()


def _end_with_parent() -> None:
    """Standard input ends when the parent closes it or dies. The file being read is dropped, the index stays whole."""
    sys.stdin.read()
    os._exit(1)
