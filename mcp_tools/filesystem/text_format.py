"""How a file's bytes are text: its encoding, byte-order mark and line ends. Pure functions over bytes, no files.

Recognised: UTF-8, and UTF-16 and UTF-32 by their byte-order mark; what is neither of these nor binary is taken for
Windows-1252, or ISO-8859-1 where it uses a byte that Windows-1252 leaves out (0x81, 0x8d, 0x8f, 0x90, 0x9d).
"""

import codecs
from dataclasses import dataclass

SAMPLE = 65_536  # bytes that are looked at to tell the encoding of a file that is not read whole

_MARKS = (  # the longer marks first: UTF-32's little-endian mark begins with UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32-le", 4),
    (codecs.BOM_UTF32_BE, "utf-32-be", 4),
    (codecs.BOM_UTF8, "utf-8", 1),
    (codecs.BOM_UTF16_LE, "utf-16-le", 2),
    (codecs.BOM_UTF16_BE, "utf-16-be", 2),
)
# Control characters that text files do not have: all of C0 but \b \t \n \v \f \r and ESC.
_CONTROLS = bytes(byte for byte in range(32) if byte not in b"\b\t\n\v\f\r\x1b")
_MOST_CONTROLS = 0.02  # share of them above which a file is taken for binary


@dataclass(frozen=True, slots=True, kw_only=True)
class TextFormat:
    """An encoding as Python names it, the byte-order mark the file starts with, and the bytes of a code unit."""

    encoding: str
    mark: bytes = b""
    width: int = 1

    @property
    def name(self) -> str:
        """What a person calls it: `utf-8`, `utf-8 with BOM`, `windows-1252` …"""
        plain = {"cp1252": "windows-1252", "iso8859-1": "iso-8859-1"}.get(self.encoding, self.encoding)
        return f"{plain} with BOM" if self.mark else plain

    def decode(self, data: bytes) -> str:
        """The text of `data` (without the mark); bytes that do not fit become U+FFFD."""
        return data.decode(self.encoding, "replace")

    def newline(self) -> bytes:
        """A line feed in this encoding."""
        return "\n".encode(self.encoding)

    def count_newlines(self, data: bytes) -> int:
        """How many line feeds `data` holds; it starts and ends between two code units."""
        return data.count(b"\n") if self.width == 1 else self.decode(data).count("\n")

    def find_newline(self, data: bytes, start: int) -> int:
        """The offset just after the first line feed at or after `start`, or -1."""
        newline = self.newline()
        found = data.find(newline, start)
        while found >= 0 and found % self.width:
            found = data.find(newline, found + 1)
        return found + self.width if found >= 0 else -1

    def find_newline_back(self, data: bytes, end: int) -> int:
        """The offset just after the last line feed that ends at or before `end`, or -1."""
        newline = self.newline()
        found = data.rfind(newline, 0, end)
        while found >= 0 and found % self.width:
            found = data.rfind(newline, 0, found + self.width - 1)
        return found + self.width if found >= 0 else -1

    def whole_characters(self, data: bytes) -> tuple[int, int]:
        """Where the first character that starts in `data` starts, and where the last complete one ends."""
        if self.width > 1:
            return 0, len(data) - len(data) % self.width
        if self.encoding != "utf-8":
            return 0, len(data)
        start = 0
        while start < min(3, len(data)) and data[start] & 0xC0 == 0x80:
            start += 1
        for back in range(1, min(4, len(data) - start) + 1):
            byte = data[-back]
            if byte & 0xC0 == 0x80:
                continue
            need = 1 if byte < 0x80 else 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return start, len(data) if need <= back else len(data) - back
        return start, len(data)


def detect(sample: bytes, *, complete: bool) -> TextFormat | None:
    """The format of a file that begins with `sample` (`complete` if that is all of it); None for a binary file."""
    for mark, encoding, width in _MARKS:
        if sample.startswith(mark):
            return TextFormat(encoding=encoding, mark=mark, width=width)
    controls = len(sample) - len(sample.translate(None, _CONTROLS))
    if b"\0" in sample or controls > len(sample) * _MOST_CONTROLS:
        return None
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample, final=complete)
    except UnicodeDecodeError:
        pass
    else:
        return TextFormat(encoding="utf-8")
    try:
        sample.decode("cp1252")
    except UnicodeDecodeError:
        return TextFormat(encoding="iso8859-1")
    # Without a byte from 0x80 to 0x9f the two encodings agree, and ISO-8859-1 is the one everybody knows.
    special = any(0x80 <= byte <= 0x9F for byte in sample)
    return TextFormat(encoding="cp1252" if special else "iso8859-1")


def line_ends(text: str) -> str:
    """How the lines of `text` end: lf, crlf, cr, mixed or none."""
    crlf = text.count("\r\n")
    lone_feeds = text.count("\n") - crlf
    lone_returns = text.count("\r") - crlf
    present = [name for name, count in (("crlf", crlf), ("lf", lone_feeds), ("cr", lone_returns)) if count]
    if not present:
        return "none"
    return present[0] if len(present) == 1 else "mixed"
