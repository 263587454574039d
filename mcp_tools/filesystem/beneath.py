"""Opening and renaming below a directory that is already open, so that no symbolic link can lead out of it.

Two ways with one behaviour. `KernelBeneath` asks Linux to resolve the path (openat2(2) with RESOLVE_BENEATH and
RESOLVE_NO_MAGICLINKS, Linux 5.6; renameat2(2) with RENAME_NOREPLACE). `PortableBeneath` resolves it here, one
component at a time, each opened with O_NOFOLLOW relative to the descriptor before it; it needs nothing but POSIX.
In both a relative link is followed as long as it stays below; an absolute one, or one that climbs out, is refused.

There is no check of a path that is followed by a use of it: what was resolved is what is opened. This module knows
nothing of roots, tools or messages; it raises `OSError` and nothing else.
"""

import ctypes
import errno
import os
import stat
import sys
from typing import Protocol

# Opens a directory for lookups only, without the right to read it. macOS has no O_PATH: there it must be readable.
SEARCH = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
MAX_LINKS = 40  # path_resolution(7): Linux gives up after 40 links, and so do we

_SYS_OPENAT2 = 437  # the same on every architecture but alpha
_RESOLVE_NO_MAGICLINKS, _RESOLVE_NO_SYMLINKS, _RESOLVE_BENEATH = 0x02, 0x04, 0x08  # linux/openat2.h
_RENAME_NOREPLACE = 1  # linux/fs.h
_RETRIES = 64  # openat2(2): EAGAIN when a directory was renamed while ".." was resolved


class Beneath(Protocol):
    """What a file server needs of the operating system to stay below a directory."""

    def open(self, directory: int, path: str, flags: int, mode: int = 0o666, *, links: bool = True) -> int:
        """Open `path`, relative to the descriptor `directory` and below it; give the new descriptor.

        `flags` and `mode` are those of open(2); O_NOFOLLOW speaks of the last component. With `links` False a
        symbolic link anywhere in the path is an error (ELOOP). OSError: EXDEV when the path leads out, else as open(2).
        """
        ...

    def rename_new(self, source_directory: int, source: str, target_directory: int, target: str) -> None:
        """Rename a single name to another one that must not exist yet (OSError EEXIST if it does)."""
        ...


class PortableBeneath:
    """Resolution in this process, for systems without openat2(2) or where a sandbox forbids it."""

    def open(self, directory: int, path: str, flags: int, mode: int = 0o666, *, links: bool = True) -> int:
        """See `Beneath.open`."""
        held = [os.open(".", SEARCH, dir_fd=directory)]  # the directories from the top down to where we stand
        pending = _components(path)[::-1]
        followed = 0
        try:
            while pending:
                name = pending.pop()
                if name == "..":
                    if len(held) == 1:
                        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
                    os.close(held.pop())
                    continue
                opened = _open_name(held[-1], name, SEARCH if pending else flags, mode)
                if isinstance(opened, int):
                    if not pending:
                        return opened
                    held.append(opened)
                    continue
                followed += 1
                if followed > MAX_LINKS or not links:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
                if opened.startswith("/"):
                    raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
                pending += _components(opened)[::-1]
            return os.open(".", flags | os.O_CLOEXEC, mode, dir_fd=held[-1])
        finally:
            for descriptor in held:
                os.close(descriptor)

    def rename_new(self, source_directory: int, source: str, target_directory: int, target: str) -> None:
        """See `Beneath.rename_new`. A file has both names for a moment; a crash right then leaves both."""
        if stat.S_ISDIR(os.lstat(source, dir_fd=source_directory).st_mode):
            # rename(2) may replace an empty directory: making that one first is what fails when the name is taken.
            os.mkdir(target, dir_fd=target_directory)
            try:
                os.rename(source, target, src_dir_fd=source_directory, dst_dir_fd=target_directory)
            except OSError:
                os.rmdir(target, dir_fd=target_directory)
                raise
            return
        os.link(source, target, src_dir_fd=source_directory, dst_dir_fd=target_directory, follow_symlinks=False)
        os.unlink(source, dir_fd=source_directory)


class _OpenHow(ctypes.Structure):
    """struct open_how of linux/openat2.h."""

    _fields_ = [("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64)]


class KernelBeneath:
    """Resolution by the Linux kernel. The constructor raises OSError where the kernel or a sandbox refuses it."""

    def __init__(self) -> None:
        """Try one open, so that a system without openat2 shows here and not at the first call."""
        if not sys.platform.startswith("linux"):
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._portable = PortableBeneath()
        top = os.open("/", SEARCH)
        try:
            os.close(self.open(top, ".", SEARCH))
        finally:
            os.close(top)

    def open(self, directory: int, path: str, flags: int, mode: int = 0o666, *, links: bool = True) -> int:
        """See `Beneath.open`."""
        resolve = _RESOLVE_BENEATH | _RESOLVE_NO_MAGICLINKS | (0 if links else _RESOLVE_NO_SYMLINKS)
        how = _OpenHow(flags | os.O_CLOEXEC, mode if flags & os.O_CREAT else 0, resolve)
        number = errno.EAGAIN
        for _ in range(_RETRIES):
            descriptor = self._libc.syscall(
                ctypes.c_long(_SYS_OPENAT2),
                ctypes.c_int(directory),
                ctypes.c_char_p(os.fsencode(path)),
                ctypes.byref(how),
                ctypes.c_size_t(ctypes.sizeof(how)),
            )
            if descriptor >= 0:
                return descriptor
            number = ctypes.get_errno()
            if number not in (errno.EAGAIN, errno.EINTR):
                break
        raise OSError(number, os.strerror(number))

    def rename_new(self, source_directory: int, source: str, target_directory: int, target: str) -> None:
        """See `Beneath.rename_new`."""
        if not hasattr(self._libc, "renameat2"):  # an old C library
            return self._portable.rename_new(source_directory, source, target_directory, target)
        failed = self._libc.renameat2(
            ctypes.c_int(source_directory),
            ctypes.c_char_p(os.fsencode(source)),
            ctypes.c_int(target_directory),
            ctypes.c_char_p(os.fsencode(target)),
            ctypes.c_uint(_RENAME_NOREPLACE),
        )
        number = ctypes.get_errno()
        if failed and number in (errno.ENOSYS, errno.EINVAL):  # EINVAL: this file system cannot do it
            return self._portable.rename_new(source_directory, source, target_directory, target)
        if failed:
            raise OSError(number, os.strerror(number))
        return None


def best_beneath() -> Beneath:
    """The kernel's way where it works, else the portable one."""
    try:
        return KernelBeneath()
    except OSError:
        return PortableBeneath()


def link_target(directory: int, name: str) -> str | None:
    """What the symbolic link `name` in `directory` says; None for anything that is not a link, or is not there."""
    try:
        return os.readlink(name, dir_fd=directory)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOENT):
            return None
        raise


def _components(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


def _open_name(directory: int, name: str, flags: int, mode: int) -> int | str:
    """Open one name without following it. A link that ought to be followed is given back as its target."""
    try:
        descriptor = os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=directory)
    except OSError as error:
        # A link answers ELOOP, ENOTDIR (with O_DIRECTORY) or EMLINK (BSD); a real file may answer ENOTDIR too.
        if error.errno not in (errno.ELOOP, errno.ENOTDIR, errno.EMLINK) or flags & os.O_NOFOLLOW:
            raise
        target = link_target(directory, name)
        if target is None:
            raise
        return target
    if flags & os.O_NOFOLLOW or not stat.S_ISLNK(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)  # O_PATH with O_NOFOLLOW opens the link itself
    return link_target(directory, name) or name
