"""The starting side of the worker process: sends a request, follows it, ends it. `worker` is the other side."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from gateway.retrieval.errors import IndexUnavailable, IngestFailed, InvalidFolder, ModelMissing, RetrievalError
from gateway.retrieval.ingest_request import IngestRequest
from gateway.retrieval.records import IngestProgress, IngestReport, SkippedFile

OnProgress = Callable[[IngestProgress], None]

_BOOT = "import sys; sys.path.append(sys.argv[1]); from gateway.retrieval.worker import main; main()"
_PACKAGES = str(Path(__file__).resolve().parents[2])
_LINE_BYTES = 2**20
_RAISED = (IndexUnavailable, InvalidFolder, ModelMissing)


async def run_ingest(request: IngestRequest, on_progress: OnProgress | None) -> IngestReport:
    """Ingest in a process of its own, killed when this is cancelled. Raises what the ingest failed with, or
    `IngestFailed` if the process ended without saying why."""
    # -P: neither the current folder nor this one may shadow a module of the standard library.
    process = await anyio.open_process([sys.executable, "-P", "-c", _BOOT, _PACKAGES], stderr=None)
    try:
        assert process.stdin is not None  # open_process makes a pipe by default
        try:
            await process.stdin.send(request.to_json().encode() + b"\n")
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            # It died at once; following it tells with which exit code.
            pass
        return await _follow(process, on_progress)
    finally:
        with anyio.CancelScope(shield=True):
            if process.returncode is None:
                process.kill()
            await process.aclose()


async def _follow(process: Process, on_progress: OnProgress | None) -> IngestReport:
    """Read the worker's lines up to its report. Raises what it says it failed with."""
    assert process.stdout is not None  # open_process makes a pipe by default
    lines = BufferedByteReceiveStream(process.stdout)
    skipped: list[SkippedFile] = []
    while True:
        try:
            line = cast(dict[str, dict[str, Any]], json.loads(await lines.receive_until(b"\n", _LINE_BYTES)))
        except (anyio.IncompleteRead, anyio.EndOfStream):
            code = await process.wait()
            raise IngestFailed(
                f"The ingesting process ended early (exit code {code}). Ingest again to go on."
            ) from None
        match line:
            case {"progress": progress}:
                if on_progress is not None:
                    on_progress(IngestProgress(**progress))
            case {"skipped": entry}:
                skipped.append(SkippedFile(**entry))
            case {"error": error}:
                raised = next((kind for kind in _RAISED if kind.__name__ == error["name"]), RetrievalError)
                raise raised(error["message"])
            case {"report": report}:
                return IngestReport(**report, skipped=tuple(skipped))
            case _:
                raise IngestFailed(f"The ingesting process said {line!r}.")
