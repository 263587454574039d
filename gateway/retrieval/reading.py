"""Has files read in a process of its own, within limits: a file that breaks or outlasts it costs that file only.

Documents come from anywhere. Some are made to take hours or all memory, some crash the native code that reads them.
`reading_process` is the other side.
"""

import json
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Self, cast

from gateway.retrieval.documents import Section, Text, is_pdf
from gateway.retrieval.errors import UnsupportedFile

_BOOT = "import sys; sys.path.append(sys.argv[1]); from gateway.retrieval.reading_process import main; main()"
_PACKAGES = str(Path(__file__).resolve().parents[2])
_MEMORY = 2**30
_MEMORY_A_BYTE = 10
"""What reading any file may take, and besides for each byte of it."""
_PATIENCE = 4
"""The process is killed after this many times the processor time that it has: it may wait for its turn."""


class Reader:
    """Reads files one after the other. The process is started by the first, and again after one that ended it."""

    def __init__(self, max_bytes: int, seconds: int) -> None:
        """`max_bytes` is the most text of one file, `seconds` the most processor time."""
        self._max_bytes = max_bytes
        self._seconds = seconds
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process. It may be started again."""
        if (process := self._process) is not None:
            self._process = None
            process.kill()
            process.communicate()

    def read(self, path: str, data: bytes) -> Text:
        """The text of a file, named by `path`. Raises `UnsupportedFile` with the reason. Blocks."""
        answer = self._answer(path, data)
        if is_pdf(path, data):
            # What one of them may have done to the memory of native code must not touch the next file.
            self.close()
        if "problem" in answer:
            raise UnsupportedFile(str(answer["problem"]))
        sections = [
            Section(start=start, body=body, heading=tuple(heading), page=page)
            for start, body, heading, page in answer["sections"]
        ]
        return Text(text=answer["text"], sections=sections)

    def _answer(self, path: str, data: bytes) -> dict[str, Any]:
        order = {
            "path": path,
            "length": len(data),
            "seconds": self._seconds,
            "memory": _MEMORY + _MEMORY_A_BYTE * len(data),
            "most": self._max_bytes,
        }
        process = self._started()
        source, sink = cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout)
        late = threading.Timer(_PATIENCE * self._seconds, process.kill)
        late.start()
        try:
            with suppress(BrokenPipeError):
                source.write(json.dumps(order).encode() + b"\n")
                source.write(data)
                source.flush()
            head = sink.read(8)
            body = sink.read(int.from_bytes(head))
        finally:
            late.cancel()
        if len(head) < 8 or len(body) < int.from_bytes(head):
            return {"problem": self._why_it_ended()}
        return cast("dict[str, Any]", json.loads(body))

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            # -P: neither the current folder nor this one may shadow a module of the standard library.
            command = [sys.executable, "-P", "-c", _BOOT, _PACKAGES]
            pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
            self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=nothing)
        return self._process

    def _why_it_ended(self) -> str:
        process, self._process = self._process, None
        assert process is not None  # it was just talked to
        process.communicate()
        if process.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
            return f"reading it takes longer than {self._seconds} s"
        return f"reading it takes too much memory, or crashes the reader (exit code {process.returncode})"
