"""The other side of a regular-expression search: a process of its own, so that a pattern can be stopped.

Started by path (`python -I regex_worker.py`), it imports nothing of Homeport and opens no file. It reads frames from
standard input and answers each on standard output; a frame is a length (4 bytes, big-endian) and as many bytes of
JSON. First the pattern, `{"pattern": str, "ignore_case": bool, "memory": bytes, "seconds": int}`, answered by
`{"error": str | null}`; then lists of lines, each answered by the list of `[index, start]` of the first match in every
line that has one. It ends when its input does. Python's `re` can take exponential time: stopping it is the parent's
part, and after `seconds` of processor time the system's, should the parent be gone.
"""

import contextlib
import json
import re
import resource
import struct
import sys
from typing import IO, Any


def receive(stream: IO[bytes]) -> Any | None:
    """The next frame's value; None where the stream ends, in the middle of a frame too."""
    head = stream.read(4)
    if len(head) < 4:
        return None
    length = struct.unpack(">I", head)[0]
    body = stream.read(length)
    return json.loads(body) if len(body) == length else None


def send(stream: IO[bytes], value: Any) -> None:
    """Write `value` as one frame."""
    body = json.dumps(value).encode()
    stream.write(struct.pack(">I", len(body)) + body)
    stream.flush()


def main() -> None:
    """Serve one search."""
    order = receive(sys.stdin.buffer)
    if order is None:
        return
    with contextlib.suppress(OSError, ValueError):  # not every system has this limit
        resource.setrlimit(resource.RLIMIT_CPU, (order["seconds"], order["seconds"]))
        resource.setrlimit(resource.RLIMIT_AS, (order["memory"], order["memory"]))
    try:
        pattern = re.compile(order["pattern"], re.IGNORECASE if order["ignore_case"] else 0)
    except (re.error, OverflowError, RecursionError, MemoryError) as error:
        return send(sys.stdout.buffer, {"error": str(error) or type(error).__name__})
    send(sys.stdout.buffer, {"error": None})
    while (lines := receive(sys.stdin.buffer)) is not None:
        matches = ((index, pattern.search(line)) for index, line in enumerate(lines))
        send(sys.stdout.buffer, [[index, match.start()] for index, match in matches if match])


if __name__ == "__main__":
    main()
