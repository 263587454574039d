"""The allowed folders: from a path that a model wrote to an open descriptor below a root, or a refusal in words.

All other modules of this server reach the disk through `Roots`. It decides what a path means (which root, what
name to show) and what an error says; how a descriptor stays below its root is `beneath`'s part.
"""

import errno
import json
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from mcp.server.mcpserver.exceptions import ToolError

from mcp_tools.filesystem.beneath import DIRECTORY, MAX_LINKS, SEARCH, Beneath, link_target

_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY
_PROBE = getattr(os, "O_PATH", 0)

_EXPLAINED = {
    errno.ENOENT: "{0} does not exist. list_directory or search_files shows what does.",
    errno.ENOTDIR: "{0}: a part of this path is a file, or it is not a directory. get_file_info tells which.",
    errno.EISDIR: "{0} is a directory. Name a file in it; list_directory shows them.",
    errno.EXDEV: "{0} leads outside the allowed roots through a symbolic link (or the link is absolute), so it is not "
    "followed. Use a path that stays inside; list_allowed_roots names them.",
    errno.ELOOP: "{0} goes through too many symbolic links, perhaps in a circle. Name the file itself.",
    errno.EACCES: "{0}: the operating system does not permit this to the server. Choose another path.",
    errno.EPERM: "{0}: the operating system does not permit this to the server. Choose another path.",
    errno.EROFS: "{0} is on a read-only file system. Choose another path.",
    errno.EEXIST: "{0} exists already, and nothing was overwritten. Choose another name or allow overwriting.",
    errno.ENOTEMPTY: "{0} is a directory with content. Only empty directories can be removed or replaced.",
    errno.ENAMETOOLONG: "A name in the path is too long for this file system. Use shorter names.",
    errno.ENOSPC: "No space is left for {0}; the file was not changed. Free space, then try again.",
    errno.EFBIG: "{0} would be larger than the system allows; the file was not changed. Write less.",
    errno.EDQUOT: "The disk quota is used up, {0} was not changed. Free space, then try again.",
    errno.ENXIO: "{0} is not a regular file (it is a pipe, socket or device), so it is not opened.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """One allowed folder. `path` is absolute without links; `names` are the prefixes a caller may use for it."""

    path: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a path points: `relative` to its root ("." is the root itself), and how messages show it."""

    root: Root
    relative: str
    shown: str

    def below(self, relative: str) -> str:
        """How something found at `relative` under this place is shown, so that a tool takes it back as a path."""
        if relative == ".":
            return self.shown
        return relative if self.shown == "." else f"{self.shown}/{relative}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """A name in an open directory: what writes, renames and deletes act on. `name` is one component."""

    directory: int
    name: str


def visible(name: str) -> str:
    """`name` as one line of valid text: control characters are quoted as JSON, bytes that are no UTF-8 as \\xNN."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return text if text.isprintable() else json.dumps(text, ensure_ascii=True)


def decodable(name: str) -> str:
    """`name` with bytes that are no UTF-8 as \\xNN: the same string for every name a tool can take back."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def kind_of(mode: int) -> str:
    """The word for a file type: file, directory, symlink or special (pipes, sockets, devices)."""
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "directory"
    return "symlink" if stat.S_ISLNK(mode) else "special"


@contextmanager
def explaining(shown: str) -> Iterator[None]:
    """Turn an `OSError` about `shown` into a `ToolError` that says what to do and names no other path."""
    try:
        yield
    except OSError as error:
        number = error.errno or 0
        text = _EXPLAINED.get(number, "{0}: the operation failed (" + errno.errorcode.get(number, "unknown") + ").")
        raise ToolError(text.format(visible(shown))) from error


class Roots:
    """The allowed folders, opened afresh for every call, so that a folder made anew is seen.

    `paths` are existing folders. The first is the one that relative paths start from.
    """

    def __init__(self, paths: Sequence[str], beneath: Beneath) -> None:
        self._beneath = beneath
        self.roots = tuple(
            Root(
                path=os.path.realpath(path),
                names=tuple(dict.fromkeys((os.path.realpath(path), os.path.abspath(path)))),
            )
            for path in paths
        )

    @property
    def beneath(self) -> Beneath:
        """The operating system's part, for renames between two spots."""
        return self._beneath

    def locate(self, path: str) -> Place:
        """What `path` means; the disk is not touched. Raises `ToolError` for a path outside all roots."""
        try:
            os.fsencode(path)
        except UnicodeEncodeError:
            raise ToolError("The path is not valid Unicode. Write it again without escape sequences.") from None
        if not path or "\0" in path:
            raise ToolError("The path is empty or has a NUL character in it. Give a path such as 'notes/today.md'.")
        if len(os.fsencode(path)) > 4_000:
            raise ToolError("The path is too long: at most 4000 bytes. Use shorter names.")
        if not path.startswith("/"):
            relative = os.path.normpath(path)
            if relative == ".." or relative.startswith("../"):
                raise _outside(path)
            return Place(root=self.roots[0], relative=relative, shown=relative)
        plain = "/" + os.path.normpath(path).lstrip("/")
        for root in self.roots:
            for name in root.names:
                if plain == name or plain.startswith(name.rstrip("/") + "/"):
                    relative = plain[len(name.rstrip("/")) + 1 :] or "."
                    shown = relative if root is self.roots[0] else plain
                    return Place(root=root, relative=relative, shown=shown)
        raise _outside(path)

    @contextmanager
    def directory(self, place: Place) -> Iterator[int]:
        """A descriptor of the directory `place`, good for listing. `ToolError` if it is none."""
        with explaining(place.shown), self._top(place) as top:
            descriptor = self._beneath.open(top, place.relative, DIRECTORY)
            try:
                yield descriptor
            finally:
                os.close(descriptor)

    @contextmanager
    def regular_file(self, place: Place) -> Iterator[int]:
        """A descriptor for reading the regular file `place`. Pipes, sockets and devices are refused unopened."""
        with explaining(place.shown), self._top(place) as top:
            if _PROBE:  # opening a device can have effects of its own, so look first where the system lets us
                self._close_after_check(self._beneath.open(top, place.relative, _PROBE))
            descriptor = self._beneath.open(top, place.relative, _FILE)
            try:
                _require_regular(os.fstat(descriptor))
                yield descriptor
            finally:
                os.close(descriptor)

    @contextmanager
    def spot(self, place: Place, *, follow: bool) -> Iterator[Spot]:
        """The open parent directory and name of `place`, which need not exist.

        With `follow`, a symbolic link at `place` is followed (below the root only), as opening it for writing would;
        without, the spot is the link itself.
        """
        with explaining(place.shown), self._top(place) as top:
            directory, name = self._parent(top, place.relative, follow)
            try:
                yield Spot(directory=directory, name=name)
            finally:
                os.close(directory)

    def status(self, place: Place) -> os.stat_result:
        """What fstat(2) says of `place`, symbolic links followed. `ToolError` if it cannot be reached."""
        with explaining(place.shown), self._top(place) as top:
            return self._status(top, place.relative)

    def link_kind(self, place: Place) -> str:
        """Where the symbolic link `place` leads: file, directory, special, missing, circular or outside."""
        with explaining(place.shown), self._top(place) as top:
            try:
                return kind_of(self._status(top, place.relative).st_mode)
            except OSError as error:
                return {errno.EXDEV: "outside", errno.ELOOP: "circular"}.get(error.errno or 0, "missing")

    def make_directories(self, place: Place) -> bool:
        """Make the directory `place` and all above it that are missing; True if `place` itself is new."""
        parts = place.relative.split("/")
        made = False
        with explaining(place.shown), self._top(place) as top:
            for count in range(1, len(parts) + 1):
                path = "/".join(parts[:count])
                made = False
                try:
                    os.close(self._beneath.open(top, path, SEARCH))
                except FileNotFoundError:
                    made = self._make_directory(top, path)
                    os.close(self._beneath.open(top, path, SEARCH))
        return made

    def _make_directory(self, top: int, path: str) -> bool:
        head, name = os.path.split(path)
        parent = self._beneath.open(top, head or ".", SEARCH)
        try:
            os.mkdir(name, dir_fd=parent)
        except FileExistsError:  # made by another call in between
            return False
        finally:
            os.close(parent)
        return True

    def _parent(self, top: int, relative: str, follow: bool) -> tuple[int, str]:
        for _ in range(MAX_LINKS):
            head, name = os.path.split(relative)
            if name in ("", ".", ".."):
                raise ToolError("This path is a root or a directory above it. Name something inside the root.")
            directory = self._beneath.open(top, head or ".", DIRECTORY)
            try:
                target = link_target(directory, name) if follow else None
            except OSError:
                os.close(directory)
                raise
            if target is None:
                return directory, name
            os.close(directory)
            if target.startswith("/"):
                raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
            relative = os.path.join(head, target.rstrip("/"))
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))

    def _status(self, top: int, relative: str) -> os.stat_result:
        descriptor = self._beneath.open(top, relative, _PROBE or _FILE)
        try:
            return os.fstat(descriptor)
        finally:
            os.close(descriptor)

    @contextmanager
    def _top(self, place: Place) -> Iterator[int]:
        """The root's descriptor. Its path had no links when the server was made, and may not have any now."""
        slash = os.open("/", SEARCH)
        try:
            top = self._beneath.open(slash, place.root.path.lstrip("/") or ".", SEARCH, links=False)
        except OSError:
            raise ToolError("The root folder is not there at the moment. Tell the user that it is missing.") from None
        finally:
            os.close(slash)
        try:
            yield top
        finally:
            os.close(top)

    def _close_after_check(self, descriptor: int) -> None:
        try:
            _require_regular(os.fstat(descriptor))
        finally:
            os.close(descriptor)


def _require_regular(status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.ENXIO, os.strerror(errno.ENXIO))


def _outside(path: str) -> ToolError:
    return ToolError(
        f"{visible(path)} is outside the allowed roots. Use a path inside one; list_allowed_roots names them."
    )
