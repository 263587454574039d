"""What is in a directory, and below it: entries, and a bounded walk that follows no links.

Names of files only; their content is `reading`'s and `searching`'s matter.
"""

import datetime
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from anyio import from_thread

from mcp_tools.filesystem.beneath import DIRECTORY
from mcp_tools.filesystem.roots import Place, Roots, explaining, kind_of

Order = Literal["name", "size", "modified"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One name in a directory. `size` is bytes of a file, else None; `modified` is ISO 8601 in UTC, or None."""

    name: str
    kind: str
    size: int | None
    modified: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Something met on a walk: its path from where the walk started, its depth (1 is directly there) and kind."""

    path: str
    depth: int
    kind: str


@dataclass(slots=True, kw_only=True)
class Walk:
    """A walk through a directory, names sorted, a directory before its content, no symbolic link followed.

    `enters(path)` says whether to go into the directory at `path`; `depth` is how many levels are entered, None all.
    `unreadable` counts the directories that could not be opened, in the course of `found`.
    """

    roots: Roots
    start: Place
    enters: Callable[[str], bool] = field(default=lambda path: True)
    depth: int | None = None
    unreadable: int = 0

    def found(self) -> Iterator[Found]:
        """Everything below the start. `ToolError` if the start is no directory."""
        with self.roots.directory(self.start) as top:
            pending = _children(top, "", 1)
            while pending:
                from_thread.check_cancelled()
                here = pending.pop()
                yield here
                if here.kind != "directory" or here.depth == self.depth or not self.enters(here.path):
                    continue
                # From the start each time: a deep tree would use up the descriptors if each level stayed open.
                try:
                    descriptor = self.roots.beneath.open(top, here.path, DIRECTORY, links=False)
                except OSError:
                    self.unreadable += 1
                    continue
                try:
                    pending += _children(descriptor, here.path + "/", here.depth + 1)
                finally:
                    os.close(descriptor)


def utc(seconds: float) -> str:
    """A file time as ISO 8601 in UTC, to the second."""
    return datetime.datetime.fromtimestamp(int(seconds), datetime.UTC).isoformat().replace("+00:00", "Z")


def entries(roots: Roots, place: Place, order: Order, offset: int, limit: int) -> tuple[list[Entry], int]:
    """A page of the directory `place` in `order` (sizes and times: largest and newest first), and the total number."""
    with roots.directory(place) as descriptor:
        names = sorted(os.listdir(descriptor))
        if order == "name":
            page = names[offset : offset + limit]
            return [entry for name in page if (entry := _entry(descriptor, name)) is not None], len(names)
        known: list[tuple[float, str]] = []
        for name in names:
            status = _status(descriptor, name)
            if status is not None:
                known.append((-status.st_size if order == "size" else -status.st_mtime, name))
        page = [name for _, name in sorted(known)[offset : offset + limit]]
        return [entry for name in page if (entry := _entry(descriptor, name)) is not None], len(names)


def link_status(roots: Roots, place: Place) -> os.stat_result:
    """What lstat(2) says of `place`: of a link itself. The root's own status for the root."""
    if place.relative == ".":
        return roots.status(place)
    with roots.spot(place, follow=False) as spot, explaining(place.shown):
        return os.stat(spot.name, dir_fd=spot.directory, follow_symlinks=False)


def _children(directory: int, prefix: str, depth: int) -> list[Found]:
    """What is in the open directory, last name first."""
    with os.scandir(directory) as found:
        unsorted = [(entry.name, _kind(entry)) for entry in found]
    return [Found(path=prefix + name, depth=depth, kind=kind) for name, kind in sorted(unsorted, reverse=True)]


def _kind(entry: os.DirEntry[str]) -> str:
    try:
        if entry.is_symlink():
            return "symlink"
        if entry.is_dir(follow_symlinks=False):
            return "directory"
        return "file" if entry.is_file(follow_symlinks=False) else "special"
    except OSError:  # gone meanwhile
        return "special"


def _entry(directory: int, name: str) -> Entry | None:
    status = _status(directory, name)
    if status is None:
        return None
    kind = kind_of(status.st_mode)
    return Entry(name=name, kind=kind, size=status.st_size if kind == "file" else None, modified=utc(status.st_mtime))


def _status(directory: int, name: str) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False)
    except OSError:  # gone meanwhile
        return None
