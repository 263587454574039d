"""The tools that change files: write_file, edit_file, create_directory, move_file, delete_file.

They turn arguments into calls of `roots`, `editing` and `writing`, and what comes back into answers. Reading is
`reading_tools`'s matter.
"""

import base64
import errno
import hashlib
import os
from typing import Annotated, Literal

from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult, TextContent
from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from mcp_tools.filesystem.answers import Deleted, DirectoryMade, EditedFile, Moved, WrittenFile
from mcp_tools.filesystem.editing import Replacement, replace_all, unified_diff
from mcp_tools.filesystem.reading_tools import FilePath
from mcp_tools.filesystem.roots import Place, Roots, explaining, visible
from mcp_tools.filesystem.settings import FilesystemSettings
from mcp_tools.filesystem.text_format import detect
from mcp_tools.filesystem.workers import Workers, answer
from mcp_tools.filesystem.writing import current, locked, move, put, remove, require_sha256, status_of

Sha256 = Annotated[
    str,
    Field(
        pattern="^([0-9a-fA-F]{64})?$",
        description="Change the file only if this is still its hash (from read_text_file or get_file_info).",
    ),
]


class Edit(BaseModel):
    """One replacement. The names of the reference server (`oldText`, `newText`) are understood too."""

    model_config = ConfigDict(extra="forbid")

    old_text: str = Field(
        validation_alias=AliasChoices("old_text", "oldText"),
        description="Text in the file, exactly, with enough around it to occur only once.",
    )
    new_text: str = Field(validation_alias=AliasChoices("new_text", "newText"), description="What to put there.")
    replace_all: bool = Field(default=False, description="Replace it at every place.")


class WritingTools:
    """The tools as methods; a method's docstring is its description."""

    def __init__(self, roots: Roots, settings: FilesystemSettings, workers: Workers) -> None:
        self._roots = roots
        self._settings = settings
        self._workers = workers

    async def write_file(
        self,
        path: FilePath,
        content: str,
        encoding: Annotated[
            Literal["utf-8", "base64"], Field(description="base64: content is the bytes of a binary file.")
        ] = "utf-8",
        overwrite: Annotated[bool, Field(description="False: fail if the file exists.")] = True,
        create_directories: Annotated[bool, Field(description="Make missing directories above it.")] = False,
        expected_sha256: Sha256 = "",
    ) -> Annotated[CallToolResult, WrittenFile]:
        """Write a whole file, new or replaced, in one step: readers see the old content or the new, never a part.

        A replaced file keeps its permissions. To change a part of a file use edit_file.
        """
        try:
            data = content.encode() if encoding == "utf-8" else base64.b64decode(content, validate=True)
        except ValueError:  # binascii.Error, or characters that are not ASCII
            raise ToolError("content is not valid base64. Encode the bytes again, or set encoding to utf-8.") from None
        if len(data) > self._settings.max_write_bytes:
            raise ToolError(
                f"content has {len(data)} bytes, more than the {self._settings.max_write_bytes} allowed. Write less."
            )
        place = self._roots.locate(path)
        written = await self._workers.run(self._write, place, data, overwrite, create_directories, expected_sha256)
        verb = "Created" if written.created else "Replaced"
        text = f"{verb} {visible(written.path)} ({written.size} bytes; sha256 {written.sha256})."
        return answer([TextContent(type="text", text=text)], written)

    async def edit_file(
        self,
        path: FilePath,
        edits: Annotated[list[Edit], Field(min_length=1, max_length=100, description="Applied in order, all or none.")],
        dry_run: Annotated[bool, Field(description="Show the diff, change nothing.")] = False,
        expected_sha256: Sha256 = "",
    ) -> Annotated[CallToolResult, EditedFile]:
        """Replace exact pieces of text in a file and see the change as a diff.

        Each old_text must occur exactly once (or set replace_all). All edits happen or none. Encoding and line ends
        of the file are kept; a line feed in old_text fits the file's own line ends.
        """
        edited = await self._workers.run(self._edit, self._roots.locate(path), edits, dry_run, expected_sha256)
        done = f"{'Would change' if dry_run else 'Changed'} {edited.replacements} place(s) in {visible(edited.path)}."
        if not edited.diff:
            done = f"The edits leave {visible(edited.path)} as it is."
        return answer([TextContent(type="text", text=f"{done}\n{edited.diff}".rstrip("\n"))], edited)

    async def create_directory(self, path: FilePath) -> Annotated[CallToolResult, DirectoryMade]:
        """Make a directory, and those above it that are missing. One that exists already is fine."""
        place = self._roots.locate(path)
        created = await self._workers.run(self._roots.make_directories, place)
        text = f"{'Created' if created else 'Already there:'} {visible(place.shown)}"
        made = DirectoryMade(path=place.shown, created=created)
        return answer([TextContent(type="text", text=text)], made)

    async def move_file(
        self,
        source: FilePath,
        destination: Annotated[str, Field(description="The new path, its last name included.")],
        overwrite: Annotated[bool, Field(description="Replace what is at the destination.")] = False,
    ) -> Annotated[CallToolResult, Moved]:
        """Move or rename a file or directory. Fails if something is at the destination, unless overwrite is set.

        A symbolic link is moved itself, not what it leads to.
        """
        places = self._roots.locate(source), self._roots.locate(destination)
        await self._workers.run(self._move, *places, overwrite)
        moved = Moved(source=places[0].shown, destination=places[1].shown)
        text = f"Moved {visible(moved.source)} to {visible(moved.destination)}"
        return answer([TextContent(type="text", text=text)], moved)

    async def delete_file(self, path: FilePath) -> Annotated[CallToolResult, Deleted]:
        """Delete a file, a symbolic link (not what it leads to) or an empty directory. It cannot be undone."""
        place = self._roots.locate(path)
        kind = await self._workers.run(self._delete, place)
        deleted = Deleted(path=place.shown, type=kind)
        return answer([TextContent(type="text", text=f"Deleted the {kind} {visible(place.shown)}")], deleted)

    def _write(
        self, place: Place, data: bytes, overwrite: bool, create_directories: bool, expected: str
    ) -> WrittenFile:
        if create_directories and (above := os.path.dirname(place.relative)):
            self._roots.make_directories(Place(root=place.root, relative=above, shown=os.path.dirname(place.shown)))
        with self._roots.spot(place, follow=True) as spot, locked(spot):
            if expected:
                require_sha256(current(spot, self._settings.max_write_bytes), expected)
            old = status_of(spot)
            if old is not None and not overwrite:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
            put(spot, data, old, self._roots.beneath, replace=overwrite)
        return WrittenFile(
            path=place.shown, created=old is None, size=len(data), sha256=hashlib.sha256(data).hexdigest()
        )

    def _edit(self, place: Place, edits: list[Edit], dry_run: bool, expected: str) -> EditedFile:
        with self._roots.spot(place, follow=True) as spot, locked(spot):
            found = current(spot, self._settings.max_write_bytes)
            require_sha256(found, expected)
            if found is None:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
            format = detect(found.data, complete=True)
            if format is None:
                raise ToolError("This file is binary, not text, and cannot be edited. write_file can replace it whole.")
            body = found.data[len(format.mark) :]
            before = format.decode(body)
            if before.encode(format.encoding) != body:
                raise ToolError(
                    f"Parts of this file are not valid {format.name}, so an edit would change more than was asked. "
                    "write_file can replace it whole."
                )
            wanted = [Replacement(old=edit.old_text, new=edit.new_text, everywhere=edit.replace_all) for edit in edits]
            after, count = replace_all(before, wanted)
            try:
                data = format.mark + after.encode(format.encoding)
            except UnicodeEncodeError as error:
                raise ToolError(
                    f"The file is {format.name}, which has no {error.object[error.start]!r}. Use other characters, or "
                    "write the whole file as UTF-8 with write_file."
                ) from None
            if len(data) > self._settings.max_write_bytes:
                raise ToolError(f"The file would be larger than the {self._settings.max_write_bytes} bytes allowed.")
            changed = data != found.data and not dry_run
            if changed:
                put(spot, data, found.status, self._roots.beneath)
        return EditedFile(
            path=place.shown,
            changed=changed,
            dry_run=dry_run,
            replacements=count,
            diff=unified_diff(before, after, visible(place.shown).lstrip("/"), self._settings.max_read_bytes),
            sha256=hashlib.sha256(data).hexdigest() if changed else found.sha256,
        )

    def _move(self, source: Place, destination: Place, overwrite: bool) -> None:
        with (
            self._roots.spot(source, follow=False) as old,
            self._roots.spot(destination, follow=False) as new,
            locked(old, new),
        ):
            if status_of(old) is None:
                with explaining(source.shown):
                    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
            move(old, new, self._roots.beneath, replace=overwrite)

    def _delete(self, place: Place) -> str:
        with self._roots.spot(place, follow=False) as spot, locked(spot):
            return remove(spot)
