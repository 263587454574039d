"""Reading parts of text files of any size from a descriptor, without ever holding more than the part that is asked.

Lines end at a line feed and are counted from 1. Encodings are `text_format`'s matter; which file may be read is
`roots`'.
"""

import hashlib
import os
from dataclasses import dataclass

from anyio import from_thread
from mcp.server.mcpserver.exceptions import ToolError

from mcp_tools.filesystem.text_format import SAMPLE, TextFormat, detect

SURVEY_LIMIT = 64 * 2**20  # bytes up to which a file is read through to count its lines and hash it
_BLOCK = 2**20  # divisible by every width of a code unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which part is wanted: at most one of these, else everything.

    `head` and `tail` count lines; `first_line` and `last_line` are 1-based and inclusive, `last_line` None is the end;
    `byte_offset` counts from the start of the file, `byte_length` None is the end.
    """

    head: int | None = None
    tail: int | None = None
    first_line: int | None = None
    last_line: int | None = None
    byte_offset: int | None = None
    byte_length: int | None = None

    def __post_init__(self) -> None:
        """Refuse more than one way of selecting."""
        ways = (
            self.head is not None,
            self.tail is not None,
            self.first_line is not None or self.last_line is not None,
            self.byte_offset is not None or self.byte_length is not None,
        )
        if sum(ways) > 1:
            raise ToolError("Give one of head, tail, first_line with last_line, or byte_offset with byte_length.")
        if self.last_line is not None and self.last_line < (self.first_line or 1):
            raise ToolError("last_line is before first_line. Swap them.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What reading a file through tells: the number of its lines and the sha256 of its bytes (hexadecimal)."""

    lines: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Excerpt:
    """A part of a text file.

    `start` and `end` are byte offsets, `first_line` is None where the file is too large to count. `cut` says that the
    limit, not the selection, ended it (or, for a tail, began it); `next_line` is then set if the next part starts on
    a new line. `survey` is None for a file over `SURVEY_LIMIT`.
    """

    text: str
    format: TextFormat
    size: int
    start: int
    end: int
    first_line: int | None
    cut: bool
    next_line: int | None
    survey: Survey | None


def read_span(descriptor: int, start: int, end: int) -> bytes:
    """The bytes from `start` to `end`, fewer if the file is shorter."""
    parts: list[bytes] = []
    while start < end:
        part = os.pread(descriptor, min(end - start, _BLOCK), start)
        if not part:
            break
        parts.append(part)
        start += len(part)
    return b"".join(parts)


def text_format_of(descriptor: int) -> TextFormat | None:
    """How the open file is text; None for a binary file."""
    sample = read_span(descriptor, 0, SAMPLE)
    return detect(sample, complete=len(sample) < SAMPLE)


def survey(descriptor: int, format: TextFormat | None) -> Survey | None:
    """Read the file through; None if it is over `SURVEY_LIMIT`. A binary file (`format` None) has 0 lines."""
    if os.fstat(descriptor).st_size > SURVEY_LIMIT:
        return None
    digest, position, newlines, last = hashlib.sha256(), 0, 0, b""
    while block := os.pread(descriptor, _BLOCK, position):
        from_thread.check_cancelled()
        digest.update(block)
        position += len(block)
        if format is not None:
            newlines += format.count_newlines(block)
            last = block[-format.width :]
    if format is None or position <= len(format.mark):
        return Survey(lines=0, sha256=digest.hexdigest())
    return Survey(lines=newlines + (last != format.newline()), sha256=digest.hexdigest())


def read_excerpt(descriptor: int, selection: Selection, limit: int) -> Excerpt:
    """The selected part of the open file, at most `limit` bytes. `ToolError` for a binary file or an empty range."""
    format = text_format_of(descriptor)
    if format is None:
        raise ToolError("This file is binary, not text. read_media_file returns its bytes; get_file_info describes it.")
    size = os.fstat(descriptor).st_size
    known = survey(descriptor, format)
    start, end, cut = _bounds(descriptor, format, selection, size, limit)
    data = read_span(descriptor, start, min(end, start + limit))
    if selection.byte_offset is not None or selection.byte_length is not None:
        from_character, to_character = format.whole_characters(data)
        if to_character <= from_character and data:
            raise ToolError("This byte range holds no whole character. Ask for more bytes.")
        data, start = data[from_character:to_character], start + from_character
        cut = cut or end - start > limit
    elif end - start > limit:
        cut = True
        line_end = format.find_newline_back(data, len(data))
        data = data[: line_end if line_end > 0 else format.whole_characters(data)[1]]
    first_line = None if known is None else 1 + _newlines_between(descriptor, format, len(format.mark), start)
    if known is None and selection.tail is None and selection.byte_offset is None and selection.byte_length is None:
        first_line = selection.first_line or 1  # a start that was counted, not skipped to
    on_new_line = data.endswith(format.newline())
    more = cut and selection.tail is None and first_line is not None and on_new_line
    return Excerpt(
        text=format.decode(data),
        format=format,
        size=size,
        start=start,
        end=start + len(data),
        first_line=first_line,
        cut=cut,
        next_line=first_line + format.count_newlines(data) if more and first_line is not None else None,
        survey=known,
    )


def _bounds(descriptor: int, format: TextFormat, wanted: Selection, size: int, limit: int) -> tuple[int, int, bool]:
    """Start and end of the selection in bytes, and whether its beginning was cut to the limit."""
    body = len(format.mark)
    if wanted.tail is not None:
        start, cut = _tail_start(descriptor, format, wanted.tail, size, limit)
        return start, size, cut
    if wanted.byte_offset is not None or wanted.byte_length is not None:
        start = max(wanted.byte_offset or 0, body)
        start += -start % format.width
        if start > size:
            raise ToolError(f"byte_offset is past the end: the file has {size} bytes.")
        end = size if wanted.byte_length is None else (wanted.byte_offset or 0) + wanted.byte_length
        return start, max(start, min(size, end)), False
    if wanted.first_line is None and wanted.last_line is None and wanted.head is None:
        return body, size, False
    first = wanted.first_line or 1
    start = _after_newlines(descriptor, format, body, first - 1, size)
    if start is None or (start >= size and first > 1):
        raise ToolError(f"first_line {first} is past the end of the file. get_file_info tells how many lines it has.")
    last = wanted.head if wanted.head is not None else wanted.last_line
    if last is None:
        return start, size, False
    # One byte past the limit is enough to know that the selection is longer than that.
    end = _after_newlines(descriptor, format, start, last - first + 1, min(size, start + limit + format.width))
    return start, min(size, start + limit + format.width) if end is None else end, False


def _after_newlines(descriptor: int, format: TextFormat, start: int, count: int, end: int) -> int | None:
    """The offset after the `count`-th line feed from `start`; None if there are fewer before `end`."""
    position = start
    while count > 0:
        from_thread.check_cancelled()
        block = read_span(descriptor, position, min(end, position + _BLOCK))
        if not block:
            return None
        inside = format.count_newlines(block)
        if inside < count:
            count -= inside
            position += len(block)
            continue
        offset = 0
        for _ in range(count):
            offset = format.find_newline(block, offset)
        return position + offset
    return position


def _tail_start(descriptor: int, format: TextFormat, lines: int, size: int, limit: int) -> tuple[int, bool]:
    """Where the last `lines` lines start, at most `limit` bytes from the end; and whether the limit cut them."""
    body = len(format.mark)
    floor = max(body, size - limit)
    floor += (body - floor) % format.width
    data = read_span(descriptor, floor, size)
    position = len(data) - format.width if data.endswith(format.newline()) else len(data)
    for _ in range(lines):
        found = format.find_newline_back(data, position)
        if found < 0:
            if floor == body:
                return body, False
            first = format.find_newline(data, 0)  # begin with a whole line if there is one
            inside = first if 0 < first < len(data) else format.whole_characters(data)[0]
            return floor + inside, True
        position = found - format.width
    return floor + position + format.width, False


def _newlines_between(descriptor: int, format: TextFormat, start: int, end: int) -> int:
    count = 0
    while start < end:
        from_thread.check_cancelled()
        block = read_span(descriptor, start, min(end, start + _BLOCK))
        if not block:
            break
        count += format.count_newlines(block)
        start += len(block)
    return count
