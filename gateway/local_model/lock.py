"""An exclusive lock on an open file that the operating system takes back when the process ends."""

import sys
from typing import BinaryIO

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


def locked(file: BinaryIO) -> bool:
    """Take the lock of `file` without waiting; whether it was free. It is given back when `file` is closed."""
    try:
        if sys.platform == "win32":
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True
