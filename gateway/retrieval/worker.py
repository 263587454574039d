"""The process that ingests: one JSON request on standard input, JSON lines of progress and a report on standard output.

A process of its own keeps the event loop of the gateway free of the work, gives its memory back when it is done, and may
be killed at any moment without harm. It ends itself when whoever started it is gone.
"""

import json
import os
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO, cast

from gateway.retrieval.errors import RetrievalError
from gateway.retrieval.ingest import IngestRequest, ingest

_NICE = 5


def main() -> None:
    """Serve one request."""
    request = cast(dict[str, Any], json.loads(sys.stdin.readline()))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if hasattr(os, "nice"):
        os.nice(_NICE)
    out = sys.stdout
    try:
        report = ingest(
            IngestRequest(
                data=Path(request["data"]),
                knowledge_base=request["knowledge_base"],
                folder=Path(request["folder"]),
                model=Path(request["model"]),
                max_file_bytes=request["max_file_bytes"],
                threads=request["threads"],
            ),
            lambda progress: _say(out, {"progress": asdict(progress)}),
        )
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
