"""The tools that read files: read_text_file, read_media_file, read_multiple_files, get_file_info.

They turn arguments into calls of `roots` and `reading`, and what comes back into an answer with a readable text and a
structured form. Directories and searches are `finding_tools`.
"""

import base64
import os
import pathlib
import stat
from typing import Annotated

from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    TextContent,
)
from pydantic import Field

from mcp_tools.filesystem.answers import FileInfo, FileOutcome, TextFile, TextFiles
from mcp_tools.filesystem.listing import link_status, utc
from mcp_tools.filesystem.media import media_type
from mcp_tools.filesystem.reading import Excerpt, Selection, read_excerpt, read_span, survey, text_format_of
from mcp_tools.filesystem.roots import Place, Roots, kind_of, visible
from mcp_tools.filesystem.settings import FilesystemSettings
from mcp_tools.filesystem.text_format import line_ends
from mcp_tools.filesystem.workers import Workers, answer

FilePath = Annotated[str, Field(description="Absolute inside an allowed root, or relative to the first root.")]


class ReadingTools:
    """The tools as methods; a method's docstring is its description."""

    def __init__(self, roots: Roots, settings: FilesystemSettings, workers: Workers) -> None:
        self._roots = roots
        self._settings = settings
        self._workers = workers

    async def read_text_file(
        self,
        path: FilePath,
        head: Annotated[int | None, Field(ge=1, description="Only the first so many lines.")] = None,
        tail: Annotated[int | None, Field(ge=1, description="Only the last so many lines.")] = None,
        first_line: Annotated[int | None, Field(ge=1, description="Start at this line; the first is 1.")] = None,
        last_line: Annotated[int | None, Field(ge=1, description="Stop after this line.")] = None,
        byte_offset: Annotated[int | None, Field(ge=0, description="Start at this byte, for very long lines.")] = None,
        byte_length: Annotated[int | None, Field(ge=1, description="Read at most so many bytes.")] = None,
    ) -> Annotated[CallToolResult, TextFile]:
        """Read a text file, whole or in part: head, tail, a range of lines or a range of bytes (one of these).

        Says the encoding, how many lines there are and whether the text was cut, and where to go on. Files of any
        size can be read in parts.
        """
        selection = Selection(
            head=head,
            tail=tail,
            first_line=first_line,
            last_line=last_line,
            byte_offset=byte_offset,
            byte_length=byte_length,
        )
        file = await self._workers.run(self._read, path, selection, self._settings.max_read_bytes)
        blocks: list[ContentBlock] = [TextContent(type="text", text=file.content)] if file.content else []
        return answer([*blocks, TextContent(type="text", text=_notice(file))], file)

    async def read_multiple_files(
        self,
        paths: Annotated[list[FilePath], Field(min_length=1, max_length=100)],
        head: Annotated[int | None, Field(ge=1, description="Only the first so many lines of each.")] = None,
    ) -> Annotated[CallToolResult, TextFiles]:
        """Read several text files at once. A file that cannot be read is reported and does not stop the others.

        All together share the size limit of one answer, so long files may be cut: the answer says so.
        """
        files = await self._workers.run(self._read_all, paths, Selection(head=head))
        blocks: list[ContentBlock] = []
        for outcome in files.files:
            if outcome.file is None:
                text = f"[{visible(outcome.path)}: ERROR: {outcome.error}]"
            else:
                text = f"{_notice(outcome.file)}\n{outcome.file.content}"
            blocks.append(TextContent(type="text", text=text))
        return answer(blocks, files)

    async def read_media_file(self, path: FilePath) -> CallToolResult:
        """Read an image or a sound, so that you can see or hear it; any other binary file as an attachment.

        What it is, is told by its content, not its name.
        """
        return CallToolResult(content=[await self._workers.run(self._media, path)])

    async def get_file_info(self, path: FilePath) -> Annotated[CallToolResult, FileInfo]:
        """What is known of a file or directory without reading it out: type, size, time, permissions, and for files
        media type, encoding, number of lines and sha256. A symbolic link itself is described, not where it leads.
        """
        info = await self._workers.run(self._info, path)
        lines = [f"{key}: {value}" for key, value in info.model_dump(exclude_none=True).items() if key != "path"]
        return answer([TextContent(type="text", text="\n".join([visible(info.path), *lines]))], info)

    def _read(self, path: str, selection: Selection, limit: int) -> TextFile:
        place = self._roots.locate(path)
        with self._roots.regular_file(place) as descriptor:
            return _text_file(place, read_excerpt(descriptor, selection, limit))

    def _read_all(self, paths: list[str], selection: Selection) -> TextFiles:
        outcomes: list[FileOutcome] = []
        left = self._settings.max_read_bytes
        for number, path in enumerate(paths):
            # An even share of what is left, so that one long file does not use up what later ones need.
            share = max(1_024, left // (len(paths) - number))
            try:
                file = self._read(path, selection, share)
            except ToolError as error:
                outcomes.append(FileOutcome(path=path, file=None, error=str(error)))
                continue
            left -= file.byte_end - file.byte_start
            outcomes.append(FileOutcome(path=file.path, file=file, error=None))
        return TextFiles(files=outcomes, failed=sum(outcome.file is None for outcome in outcomes))

    def _media(self, path: str) -> ContentBlock:
        place = self._roots.locate(path)
        with self._roots.regular_file(place) as descriptor:
            size = os.fstat(descriptor).st_size
            if size > self._settings.max_media_bytes:
                raise ToolError(
                    f"{visible(place.shown)} has {size} bytes, more than the {self._settings.max_media_bytes} that "
                    "are read at once. Ask the user for a smaller version."
                )
            data = read_span(descriptor, 0, size)
        kind = media_type(data[:12], place.relative)
        text = base64.b64encode(data).decode()
        if kind.startswith("image/") and kind != "image/svg+xml":
            return ImageContent(type="image", data=text, mime_type=kind)
        if kind.startswith("audio/"):
            return AudioContent(type="audio", data=text, mime_type=kind)
        uri = pathlib.Path(place.root.path, place.relative).as_uri()
        return EmbeddedResource(type="resource", resource=BlobResourceContents(uri=uri, mime_type=kind, blob=text))

    def _info(self, path: str) -> FileInfo:
        place = self._roots.locate(path)
        status = link_status(self._roots, place)
        info = FileInfo(
            path=place.shown,
            type=kind_of(status.st_mode),
            size=status.st_size,
            modified=utc(status.st_mtime),
            permissions=stat.filemode(status.st_mode),
            links_to=self._roots.link_kind(place) if stat.S_ISLNK(status.st_mode) else None,
            media_type=None,
            encoding=None,
            total_lines=None,
            sha256=None,
        )
        if info.type != "file":
            return info
        with self._roots.regular_file(place) as descriptor:
            format = text_format_of(descriptor)
            known = survey(descriptor, format)
            info.media_type = media_type(read_span(descriptor, 0, 12), place.relative)
        if format is not None and info.media_type == "application/octet-stream":
            info.media_type = "text/plain"
        info.encoding = format.name if format else None
        info.total_lines = known.lines if known and format else None
        info.sha256 = known.sha256 if known else None
        return info


def _text_file(place: Place, excerpt: Excerpt) -> TextFile:
    return TextFile(
        path=place.shown,
        content=excerpt.text,
        encoding=excerpt.format.name,
        line_ends=line_ends(excerpt.text),
        size=excerpt.size,
        total_lines=excerpt.survey.lines if excerpt.survey else None,
        first_line=excerpt.first_line,
        byte_start=excerpt.start,
        byte_end=excerpt.end,
        truncated=excerpt.cut,
        next_first_line=excerpt.next_line,
        sha256=excerpt.survey.sha256 if excerpt.survey else None,
    )


def _notice(file: TextFile) -> str:
    """One line in brackets about a text that was read."""
    if not file.size:
        return f"[{visible(file.path)}: empty file]"
    total = "?" if file.total_lines is None else str(file.total_lines)
    facts = [f"bytes {file.byte_start}-{file.byte_end} of {file.size}"]
    if file.first_line is not None:
        count = len(file.content.removesuffix("\n").split("\n"))
        facts.insert(0, f"lines {file.first_line}-{file.first_line + count - 1} of {total}")
    facts.append(file.encoding)
    if file.line_ends not in ("lf", "none"):
        facts.append(f"{file.line_ends} line ends")
    if "\ufffd" in file.content:
        facts.append("bytes that do not fit the encoding are shown as U+FFFD")
    if file.sha256 is not None:
        facts.append(f"sha256 {file.sha256}")
    if file.truncated and file.next_first_line is not None:
        facts.append(f"TRUNCATED, go on with first_line={file.next_first_line}")
    elif file.truncated:
        facts.append(f"TRUNCATED, go on with byte_offset={file.byte_end}" if file.byte_end < file.size else "TRUNCATED")
    return f"[{visible(file.path)}: {'; '.join(facts)}]"
