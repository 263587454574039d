"""Changing files without a moment in which half of a change can be seen or lost.

A file is written to a temporary name in the same directory, synced, and renamed: a reader sees the old content or the
new, and so does the disk after a crash. All through descriptors (`roots.Spot`), so a directory that is swapped for a
link in the middle changes nothing. What text means is `text_format`'s and `editing`'s matter.
"""

import errno
import fcntl
import hashlib
import os
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

from mcp.server.mcpserver.exceptions import ToolError

from mcp_tools.filesystem.beneath import Beneath
from mcp_tools.filesystem.reading import read_span
from mcp_tools.filesystem.roots import Spot

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LOCK_TRIES, _LOCK_PAUSE = 200, 0.05  # together ten seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Current:
    """A file as it is now: its bytes, and the mode and owner that its next version keeps."""

    data: bytes
    status: os.stat_result

    @property
    def sha256(self) -> str:
        """The hash of the bytes, hexadecimal."""
        return hashlib.sha256(self.data).hexdigest()


@contextmanager
def locked(*spots: Spot) -> Iterator[None]:
    """Keep other calls and other servers of this kind out of the spots' directories, with flock(2).

    So two edits at once both survive, and a hash that was compared still holds when the file is renamed. Programs
    that do not lock are not kept out. A file system without locks is written without them.
    """
    directories: dict[tuple[int, int], int] = {}
    for spot in spots:
        status = os.fstat(spot.directory)
        directories.setdefault((status.st_dev, status.st_ino), spot.directory)
    with ExitStack() as held:
        for _, directory in sorted(directories.items()):  # everybody in the same order, so nobody waits in a circle
            if _lock(directory):
                held.callback(fcntl.flock, directory, fcntl.LOCK_UN)
        yield


def _lock(directory: int) -> bool:
    for _ in range(_LOCK_TRIES):
        try:
            fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_LOCK_PAUSE)
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL):
                raise
            return False
        else:
            return True
    raise ToolError("Another program holds the lock of this directory. Nothing was changed; try again later.")


def current(spot: Spot, limit: int) -> Current | None:
    """The regular file at `spot`, None if there is none. `ToolError` if it is over `limit` bytes or no regular file."""
    try:
        status = os.stat(spot.name, dir_fd=spot.directory, follow_symlinks=False)
        _require_regular(status)
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(spot.name, flags, dir_fd=spot.directory)
    except FileNotFoundError:
        return None
    try:
        status = os.fstat(descriptor)
        _require_regular(status)
        if status.st_size > limit:
            raise ToolError(f"The file has {status.st_size} bytes, more than the {limit} this server changes at once.")
        return Current(data=read_span(descriptor, 0, status.st_size), status=status)
    finally:
        os.close(descriptor)


def status_of(spot: Spot) -> os.stat_result | None:
    """What is at `spot`, links not followed; None if nothing is."""
    try:
        return os.stat(spot.name, dir_fd=spot.directory, follow_symlinks=False)
    except FileNotFoundError:
        return None


def put(spot: Spot, data: bytes, old: os.stat_result | None, beneath: Beneath, *, replace: bool = True) -> None:
    """Make `data` the whole content of `spot`, on disk when this returns.

    `old` is the file that is replaced: its mode (without set-id bits, as a plain write would clear them) and, as far
    as the process may, its owner stay. Without `replace` a name that is taken meanwhile is an `OSError` EEXIST.
    """
    if old is not None:
        _require_regular(old)
    temporary = f".homeport-{secrets.token_hex(8)}.tmp"
    # A new file gets what the umask leaves of 666; a replaced one stays private until it has the old one's mode.
    descriptor = os.open(temporary, _CREATE, 0o666 if old is None else 0o600, dir_fd=spot.directory)
    try:
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
            if old is not None:
                _keep_owner(descriptor, old)
                os.fchmod(descriptor, stat.S_IMODE(old.st_mode) & 0o1777)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if replace:
            os.rename(temporary, spot.name, src_dir_fd=spot.directory, dst_dir_fd=spot.directory)
        else:
            beneath.rename_new(spot.directory, temporary, spot.directory, spot.name)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=spot.directory)
        raise
    sync_directory(spot)


def sync_directory(spot: Spot) -> None:
    """Make a rename or removal in the spot's directory durable, where the file system knows how."""
    try:
        os.fsync(spot.directory)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EBADF, errno.EOPNOTSUPP):
            raise


def move(source: Spot, target: Spot, beneath: Beneath, *, replace: bool) -> None:
    """Rename `source` to `target`, links themselves and not what they lead to. OSError EEXIST unless `replace`."""
    try:
        if replace:
            os.rename(source.name, target.name, src_dir_fd=source.directory, dst_dir_fd=target.directory)
        else:
            beneath.rename_new(source.directory, source.name, target.directory, target.name)
    except OSError as error:
        if error.errno == errno.EXDEV:
            raise ToolError("Source and destination are on different file systems. Write a copy instead.") from error
        if error.errno == errno.EINVAL:
            raise ToolError("A directory cannot be moved into itself. Choose another destination.") from error
        raise
    sync_directory(target)
    sync_directory(source)


def remove(spot: Spot) -> str:
    """Remove a file, a link (not what it leads to) or an empty directory; say which kind it was."""
    mode = os.stat(spot.name, dir_fd=spot.directory, follow_symlinks=False).st_mode
    if stat.S_ISDIR(mode):
        os.rmdir(spot.name, dir_fd=spot.directory)
    else:
        os.unlink(spot.name, dir_fd=spot.directory)
    sync_directory(spot)
    return "directory" if stat.S_ISDIR(mode) else "symlink" if stat.S_ISLNK(mode) else "file"


def require_sha256(found: Current | None, expected: str) -> None:
    """Raise `ToolError` unless `found` has the hash `expected` ("" expects nothing)."""
    if not expected:
        return
    if found is None:
        raise ToolError("expected_sha256 was given, but the file does not exist any more. Read the directory again.")
    if found.sha256 != expected.lower():
        raise ToolError(
            f"The file has changed since it was read, so it was not touched: its sha256 is now {found.sha256}. "
            "Read it again, then repeat the change with the new expected_sha256."
        )


def _keep_owner(descriptor: int, old: os.stat_result) -> None:
    new = os.fstat(descriptor)
    if (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid):
        with suppress(PermissionError):
            os.fchown(descriptor, old.st_uid, old.st_gid)


def _require_regular(status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.ENXIO, os.strerror(errno.ENXIO))
