"""The index holds what is in the documents: only the user it belongs to may read it."""

from contextlib import suppress
from pathlib import Path


def make_private(path: Path) -> None:
    """Make an empty file that only this user can read, or a file that is there one. SQLite takes it as it is.

    Where this cannot be done, opening the file says what is wrong.
    """
    with suppress(OSError):
        path.touch(mode=0o600)
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)
