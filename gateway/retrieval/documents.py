"""The bytes of a file to its text and the headings or pages in it. It does not touch the disk.

Markdown, HTML and PDF have structure; every other file that is text is taken as it is.
"""

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import PurePosixPath

from gateway.retrieval.errors import UnsupportedFile
from gateway.retrieval.html_text import read_html
from gateway.retrieval.pdf_text import PdfText, read_pdf

_MARKDOWN = frozenset({".md", ".markdown", ".mdown", ".mdx"})
_HTML = frozenset({".html", ".htm", ".xhtml"})
_PLAIN = frozenset({".txt", ".text", ".rst", ".adoc", ".log", ".csv", ".tsv", ".org"})
EMPTY = "it holds no text"
"""The reason why nothing is read of a file that is as it should be."""

_FENCE = re.compile(r"^ {0,3}(```+|~~~+)")
_ATX = re.compile(r"^ {0,3}(#{1,6})(?=[ \t]|$)")
_SETEXT = re.compile(r"^ {0,3}(=+|-+)[ \t]*$")
# Each of these looks at a character once or twice, whatever the line: lines come from strangers.
_LINK = re.compile(r"!?\[([^\[\]]*)\](?:\([^()]*\)|\[[^\[\]]*\])")
_MARKUP = re.compile(r"[*`]|(?<!\w)_+|(?<!_)_++(?!\w)|\{#[^{}]*\}$")
# Characters of a heading that are kept: it stands above every passage below it.
_MOST_HEADING = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """The text from `start` up to the next section. `body` is where its own heading line ends.

    `heading` is the path of headings, outermost first; `page` counts from 1, None where there are no pages.
    """

    start: int
    body: int
    heading: tuple[str, ...] = ()
    page: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A file's text and its sections in order; the first one starts at 0."""

    text: str
    sections: Sequence[Section]


def parse(path: str, data: bytes) -> Text:
    """The text of a file. Raises `UnsupportedFile` with the reason when there is none to be had."""
    suffix = PurePosixPath(path).suffix.lower()
    if is_pdf(path, data):
        return _pdf(read_pdf(data))
    text = _decode(data, lenient=suffix in _PLAIN or suffix in _MARKDOWN or suffix in _HTML)
    if suffix in _HTML or text[:200].lstrip().lower().startswith(("<!doctype html", "<html")):
        html, headings = read_html(text)
        found = Text(text=html, sections=_nest(headings))
    elif suffix in _MARKDOWN:
        found = Text(text=text, sections=_nest(_markdown_headings(text)))
    else:
        found = Text(text=text, sections=(Section(start=0, body=0),))
    if not found.text.strip():
        raise UnsupportedFile(EMPTY)
    return found


def is_document(path: str) -> bool:
    """Whether a file of this name is one that there should be text in."""
    suffix = PurePosixPath(path).suffix.lower()
    return suffix == ".pdf" or any(suffix in kind for kind in (_MARKDOWN, _HTML, _PLAIN))


def is_pdf(path: str, data: bytes) -> bool:
    """By its name or its first bytes."""
    return path.lower().endswith(".pdf") or data.startswith(b"%PDF-")


def _decode(data: bytes, *, lenient: bool) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = data.decode("utf-16", "replace")
    elif b"\x00" in data[:65536]:
        raise UnsupportedFile("not a text file")
    else:
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            if not lenient:
                raise UnsupportedFile("not a text file (or not in UTF-8)") from None
            # What old Windows tools call text; every byte has a meaning in it, or becomes U+FFFD.
            text = data.decode("cp1252", "replace")
    return _storable(text.replace("\r\n", "\n").replace("\r", "\n"))


def _storable(text: str) -> str:
    """Without NUL and lone surrogates, which SQLite cannot keep."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()


def _markdown_headings(text: str) -> list[tuple[int, int, int, str]]:
    """(start, end of the heading lines, level 1-6, title) of ATX and setext headings outside code fences."""
    found: list[tuple[int, int, int, str]] = []
    position, fence, previous = _front_matter(text), "", ""
    for line in text[position:].splitlines(keepends=True):
        end = position + len(line)
        bare = line.rstrip("\n")
        opening = _FENCE.match(bare)
        if fence:
            if opening and opening[1].startswith(fence) and not bare.strip().strip(fence[0]):
                fence = ""
        elif opening:
            fence = opening[1]
        elif atx := _ATX.match(bare):
            if title := _plain(_unclosed(bare[atx.end() :])):
                found.append((position, end, len(atx[1]), title))
        elif (setext := _SETEXT.match(bare)) and _is_paragraph(previous):
            found.append((position - len(previous), end, 1 if setext[1][0] == "=" else 2, _plain(previous)))
        previous = "" if fence or opening else line
        position = end
    return found


def _front_matter(text: str) -> int:
    """Where the YAML block at the top ends, 0 without one."""
    if not text.startswith("---\n"):
        return 0
    end = text.find("\n---\n", 3)
    return 0 if end < 0 else end + len("\n---\n")


def _is_paragraph(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith(("#", ">", "|", "- ", "* ", "+ "))


def _unclosed(title: str) -> str:
    """A title without the `#` that may close an ATX heading."""
    title = title.strip(" \t")
    bare = title.rstrip("#")
    return bare.rstrip(" \t") if not bare or bare.endswith((" ", "\t")) else title


def _plain(heading: str) -> str:
    text = heading.strip()[:_MOST_HEADING]
    # Twice, for the pictures in links.
    return _MARKUP.sub("", _LINK.sub(r"\1", _LINK.sub(r"\1", text))).strip()


def _nest(headings: Sequence[tuple[int, int, int, str]]) -> list[Section]:
    """Flat headings to sections with the path of headings above them; what comes before the first has none."""
    sections = [] if headings and headings[0][0] == 0 else [Section(start=0, body=0)]
    path: list[tuple[int, str]] = []
    for start, body, level, title in headings:
        path = [above for above in path if above[0] < level]
        path.append((level, title))
        sections.append(Section(start=start, body=body, heading=tuple(name for _, name in path)))
    return sections


def _pdf(pdf: PdfText) -> Text:
    """Pages joined by blank lines, each a section under the outline entry it begins in."""
    pages = [_storable(page).strip() for page in pdf["pages"]]
    if not any(pages):
        raise UnsupportedFile(
            f"this PDF has {len(pages)} pages but no text (scanned images?); run it through OCR and ingest it again"
        )
    starts = [0]
    for page in pages:
        starts.append(starts[-1] + len(page) + 2)
    paths = _outline_paths(pdf)
    sections: list[Section] = []
    for number, (start, _) in enumerate(pairwise(starts)):
        index = bisect_right([page for page, _ in paths], number)
        heading = paths[index - 1][1] if index else ()
        sections.append(Section(start=start, body=start, heading=heading, page=number + 1))
    return Text(text="\n\n".join(pages), sections=sections)


def _outline_paths(pdf: PdfText) -> list[tuple[int, tuple[str, ...]]]:
    """(page from 0, path of titles), one a page: the first entry on it, under which most of the page belongs."""
    path: list[tuple[int, str]] = []
    found: dict[int, tuple[str, ...]] = {}
    for entry in pdf["outline"]:
        path = [above for above in path if above[0] < entry["level"]]
        path.append((entry["level"], _storable(entry["title"])))
        found.setdefault(entry["page"], tuple(title for _, title in path if title))
    return sorted(found.items())
