"""The structured answers of the tools, as their output schemas publish them. Wire shapes only, no behaviour."""

from pydantic import BaseModel, Field

_PATH = Field(description="The path as the other tools take it.")


class TextFile(BaseModel):
    """A text file or a part of one."""

    path: str = _PATH
    content: str = Field(description="The text exactly as it is in the file, without a byte-order mark.")
    encoding: str
    line_ends: str = Field(description="lf, crlf, cr, mixed or none.")
    size: int = Field(description="Bytes in the whole file.")
    total_lines: int | None = Field(description="Lines in the whole file; null if it is too large to count.")
    first_line: int | None = Field(description="Number of the first line in `content`; null if not counted.")
    byte_start: int = Field(description="Offset in the file where `content` starts.")
    byte_end: int = Field(description="Offset in the file after the end of `content`.")
    truncated: bool = Field(description="The size limit, not the request, ended `content`.")
    next_first_line: int | None = Field(description="Where to go on reading by lines; null if not at a line's start.")
    sha256: str | None = Field(description="Hash of the whole file for expected_sha256; null if it is too large.")


class FileOutcome(BaseModel):
    """One of several files: either the file or why it could not be read."""

    path: str = _PATH
    file: TextFile | None
    error: str | None


class TextFiles(BaseModel):
    """Several files, in the order asked for."""

    files: list[FileOutcome]
    failed: int


class WrittenFile(BaseModel):
    """A file that was written."""

    path: str = _PATH
    created: bool = Field(description="The file is new.")
    size: int
    sha256: str = Field(description="Hash of the new content.")


class EditedFile(BaseModel):
    """A file that was edited, or would be."""

    path: str = _PATH
    changed: bool = Field(description="The file on disk is different now.")
    dry_run: bool
    replacements: int
    diff: str = Field(description="The change as a unified diff.")
    sha256: str = Field(description="Hash of the file's content as it is on disk now.")


class DirectoryMade(BaseModel):
    """A directory that is there now."""

    path: str = _PATH
    created: bool


class DirectoryEntry(BaseModel):
    """One name in a directory."""

    name: str = Field(description="Bytes of a name that are not UTF-8 are shown as \\xNN.")
    type: str = Field(description="file, directory, symlink or special.")
    size: int | None = Field(description="Bytes of a file.")
    modified: str | None = Field(description="ISO 8601, UTC.")


class DirectoryPage(BaseModel):
    """A page of a directory."""

    path: str = _PATH
    entries: list[DirectoryEntry]
    total: int = Field(description="Names in the directory.")
    next_offset: int | None = Field(description="The offset of the next page; null on the last one.")


class TreeEntry(BaseModel):
    """Something below the directory, before what is in it."""

    path: str = Field(description="Relative to the directory asked for.")
    type: str


class Tree(BaseModel):
    """What is below a directory."""

    path: str = _PATH
    entries: list[TreeEntry]
    truncated: bool = Field(description="There is more than max_entries.")
    unreadable: int = Field(description="Directories that could not be opened.")


class SearchHit(BaseModel):
    """A file, or a line in it."""

    path: str = _PATH
    type: str
    line: int | None = Field(description="Line number, from 1; null in a search by name.")
    text: str | None = Field(description="The line, or the part of a long one around the match.")


class SearchOutcome(BaseModel):
    """What a search found."""

    hits: list[SearchHit]
    files: int = Field(description="Files that were looked at.")
    skipped: int = Field(description="Binary or unreadable files and directories that were left out.")
    stopped: str | None = Field(description="Why the search ended early: limit or time; null if it did not.")


class FileInfo(BaseModel):
    """What is known of a file, directory or link."""

    path: str = _PATH
    type: str = Field(description="file, directory, symlink or special.")
    size: int
    modified: str = Field(description="ISO 8601, UTC.")
    permissions: str = Field(description="As ls shows them: -rw-r--r--.")
    links_to: str | None = Field(description="For a symlink: file, directory, special, missing, circular or outside.")
    media_type: str | None = Field(description="For a file, by its content.")
    encoding: str | None = Field(description="For a text file.")
    total_lines: int | None = Field(description="For a text file that is not too large to count.")
    sha256: str | None = Field(description="For a file that is not too large.")


class Moved(BaseModel):
    """A file or directory that was moved."""

    source: str
    destination: str


class Deleted(BaseModel):
    """What was deleted."""

    path: str
    type: str


class AllowedRoot(BaseModel):
    """A folder the tools may touch."""

    path: str
    relative_paths_start_here: bool
    writable: bool


class AllowedRoots(BaseModel):
    """All folders the tools may touch."""

    roots: list[AllowedRoot]
