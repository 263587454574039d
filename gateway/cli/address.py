"""Where the gateway of a data folder listens: a file beside its key, which counts while that gateway has it locked.

The lock is flock's: the kernel drops it with the process, however that dies, so what a crash leaves is not believed.
"""

import fcntl
import http.client
import os
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

NAME = "address"
PATIENCE = 5.0
"""Seconds that a silence may last."""


def url_of(host: str, port: int) -> str:
    """How this machine reaches what listens at `host`; no `/v1`."""
    here = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{here}]:{port}" if ":" in here else f"http://{here}:{port}"


@contextmanager
def published(data: Path, url: str) -> Generator[None]:
    """While it is entered, `published_in(data)` is `url`. At the end the file goes, unless another has replaced it."""
    path, made = data / NAME, data / f".{NAME}.{os.getpid()}"
    made.touch(mode=0o600)
    with made.open("w") as file:
        # Locked before it has its name: who reads it never takes it for one that was left behind.
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(url)
        file.flush()
        made.replace(path)
        try:
            yield
        finally:
            if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
                path.unlink(missing_ok=True)


def published_in(data: Path) -> str:
    """The address of the live gateway of this data folder; empty if there is none."""
    try:
        with (data / NAME).open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return file.read()
    except FileNotFoundError:
        pass
    return ""


def is_homeport(url: str) -> bool:
    """Whether a Homeport that is well answers there. For a thread: it waits for the answer."""
    # No aiohttp: a start would wait for its import. Nor a proxy: what listens here is asked directly.
    try:
        where = urlsplit(url)
        with closing(http.client.HTTPConnection(where.hostname or "", where.port, timeout=PATIENCE)) as connection:
            connection.request("GET", "/healthz")
            answer = connection.getresponse()
            return answer.status == 200 and "openai-processing-ms" in answer.headers
    except (OSError, http.client.HTTPException, ValueError):
        return False
