"""What is in a folder, and reading it safely: never outside the folder, never anything but a regular file.

Hidden files and folders (a leading dot) are left out without a word. Symbolic links are never followed: what they
point to inside the folder is found under its own name, and what is outside must not be read.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from gateway.retrieval.errors import InvalidFolder, UnsupportedFile


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundFile:
    """`path` is relative with `/`. `problem` says why it cannot be read at all; size and time are 0 if not known."""

    path: str
    size: int = 0
    mtime_ns: int = 0
    problem: str = ""


def open_folder(folder: Path) -> Path:
    """The folder's real, absolute path. Raises `InvalidFolder`."""
    try:
        root = folder.expanduser().resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise InvalidFolder(f"The folder {folder} does not exist or cannot be read: {error}") from error
    if not root.is_dir():
        raise InvalidFolder(f"{root} is not a folder. Give the folder that holds the documents.")
    if not os.access(root, os.R_OK | os.X_OK):
        raise InvalidFolder(f"The folder {root} cannot be read: permission denied.")
    return root


def scan(root: Path, max_file_bytes: int) -> list[FoundFile]:
    """Every file below `root` in a stable order, those that cannot be read included with their problem."""
    return sorted(_walk(root, max_file_bytes), key=lambda found: found.path)


def _walk(root: Path, max_file_bytes: int) -> Iterator[FoundFile]:
    pending = [root]
    while pending:
        folder = pending.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(Path(entry.path))
                    elif (found := _look(root, entry, max_file_bytes)) is not None:
                        yield found
        except OSError as error:
            yield FoundFile(path=_relative(root, folder), problem=f"the folder cannot be read: {error.strerror}")


def _look(root: Path, entry: os.DirEntry[str], max_file_bytes: int) -> FoundFile | None:
    path = _relative(root, Path(entry.path))
    if not _is_text(path):
        return FoundFile(path=ascii(path), problem="its name is not valid Unicode")
    if entry.is_symlink():
        inside = Path(os.path.realpath(entry.path)).is_relative_to(root)
        return None if inside else FoundFile(path=path, problem="a symbolic link that leads outside the folder")
    try:
        facts = entry.stat(follow_symlinks=False)
    except OSError as error:
        return FoundFile(path=path, problem=f"it cannot be read: {error.strerror}")
    if not stat.S_ISREG(facts.st_mode):
        return FoundFile(path=path, problem="not a regular file")
    problem = ""
    if facts.st_size > max_file_bytes:
        problem = f"too large: {facts.st_size / 2**20:.1f} MB, the limit is {max_file_bytes / 2**20:.0f} MB"
    return FoundFile(path=path, size=facts.st_size, mtime_ns=facts.st_mtime_ns, problem=problem)


def _relative(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def read(root: Path, file: FoundFile, max_file_bytes: int) -> bytes:
    """The bytes of a file found by `scan`. Raises `UnsupportedFile` if it is gone, unreadable or not what it was."""
    try:
        descriptor = _open_beneath(root, file.path)
        with os.fdopen(descriptor, "rb") as opened:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise UnsupportedFile("not a regular file")
            data = opened.read(max_file_bytes + 1)
    except OSError as error:
        raise UnsupportedFile(f"it cannot be read: {error.strerror}") from error
    if len(data) > max_file_bytes:
        raise UnsupportedFile(f"too large: the limit is {max_file_bytes / 2**20:.0f} MB")
    return data


def _open_beneath(root: Path, path: str) -> int:
    """Open one component after the other without following links, so a folder swapped for a link cannot lead out."""
    if os.open not in os.supports_dir_fd:
        return os.open(root / path, os.O_RDONLY)
    *folders, name = PurePosixPath(path).parts
    at = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for folder in folders:
            below = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=at)
            os.close(at)
            at = below
        # O_NONBLOCK: a pipe put in the file's place must not hold the reader.
        return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=at)
    finally:
        os.close(at)
