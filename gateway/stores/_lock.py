"""One gateway a database: an flock that the kernel drops with the process, however it dies.

Not a pid file: the pid inside is only for the message.
"""

import fcntl
import os
from pathlib import Path


class DatabaseInUse(ValueError):
    """Another live process has the database open."""


def lock(path: Path) -> int:
    """Hold `path` until the returned descriptor is closed. Raises DatabaseInUse, naming the holder's pid."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    except BlockingIOError:
        holder = os.pread(descriptor, 32, 0).decode() or "unknown"
        os.close(descriptor)
        raise DatabaseInUse(
            f"Another gateway (process {holder}) is using {path.parent}. Stop it, or use another data directory."
        ) from None
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
