"""HTML to plain text with its headings. What is not shown (scripts, styles, templates) is left out."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from selectolax.lexbor import LexborHTMLParser, LexborNode

_HIDDEN = frozenset({"script", "style", "noscript", "template", "head", "svg", "iframe", "object", "select", "button"})
_INLINE = frozenset(
    "a abbr b bdi bdo cite code data del dfn em font i ins kbd label mark q s samp small span strong sub sup time tt u"
    " var wbr".split()
)
_CELLS = frozenset({"td", "th"})
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
# From least to most room: nothing, a blank, the border of a cell, a line end, a blank line.
_GAPS = ("", " ", " | ", "\n", "\n\n")
_BLANKS = re.compile(r"\s+")
# Characters of a heading that are kept: it stands above every passage below it.
_MOST_HEADING = 500

Heading = tuple[int, int, int, str]


@dataclass(slots=True)
class _Writer:
    """Text in the making: white space is folded, blocks are separated by blank lines, `pre` is kept as it is."""

    parts: list[str] = field(default_factory=lambda: list[str]())
    length: int = 0
    gap: str = ""

    def write(self, text: str) -> None:
        """Text as it is, after whatever gap is due."""
        if not text:
            return
        if self.gap and self.length:
            self.parts.append(self.gap)
            self.length += len(self.gap)
        self.gap = ""
        self.parts.append(text)
        self.length += len(text)

    def write_folded(self, text: str) -> None:
        folded = _BLANKS.sub(" ", text)
        if folded.startswith(" "):
            self.need(" ")
        self.write(folded.strip(" "))
        if folded.endswith(" "):
            self.need(" ")

    def need(self, gap: str) -> None:
        """At least this much room before the next text; one of `_GAPS`."""
        self.gap = max(self.gap, gap, key=_GAPS.index)


def read_html(source: str) -> tuple[str, list[Heading]]:
    """The visible text, and its headings as (start, end, level 1-6, title).

    Without an `h1`, the document's `<title>` becomes a heading of level 1 at the start, so that hits can name it.
    """
    parser = LexborHTMLParser(source)
    writer = _Writer()
    headings: list[Heading] = []
    title = parser.css_first("title")
    name = _BLANKS.sub(" ", title.text()).strip() if title is not None else ""
    if name and parser.css_first("h1") is None:
        writer.write(name)
        headings.append((0, len(name), 1, name[:_MOST_HEADING]))
        writer.need("\n\n")
    if parser.body is not None:
        _write_body(parser.body, writer, headings)
    return "".join(writer.parts), headings


def _write_body(body: LexborNode, writer: _Writer, headings: list[Heading]) -> None:
    started: int | None = None
    preformatted = 0
    for step, node in _walk(body):
        tag = node.tag or ""
        if tag == "-text":
            text = (node.text_content or "") if step == "open" else ""
            if preformatted:
                writer.write(text)
            else:
                writer.write_folded(text)
            continue
        if tag == "pre":
            preformatted += 1 if step == "open" else -1
        if tag in _INLINE or tag.startswith("-"):
            continue
        if tag in _CELLS and step == "close":
            writer.need(" | ")
        elif tag not in _CELLS:
            writer.need("\n" if tag in ("br", "li", "tr") else "\n\n")
        if tag in _HEADINGS and step == "open":
            started = len(writer.parts)
        elif tag in _HEADINGS and started is not None:
            _add_heading(writer, headings, started, _HEADINGS[tag])
            started = None


def _add_heading(writer: _Writer, headings: list[Heading], started: int, level: int) -> None:
    """`started` is how many parts there were when the heading opened; the first one since may be the gap before it."""
    written = "".join(writer.parts[started:])
    title = written.strip()
    if title:
        start = writer.length - len(written.lstrip())
        headings.append((start, writer.length, level, _BLANKS.sub(" ", title)[:_MOST_HEADING]))


def _walk(root: LexborNode) -> Iterator[tuple[Literal["open", "close"], LexborNode]]:
    """Every visible node below `root`, opened and closed in document order. A loop: HTML nests as deep as it likes."""
    node, depth = root.child, 1
    while node is not None and depth:
        hidden = (node.tag or "") in _HIDDEN
        if not hidden:
            yield "open", node
            if node.child is not None:
                node, depth = node.child, depth + 1
                continue
            yield "close", node
        while node.next is None:
            parent = node.parent
            depth -= 1
            if parent is None or not depth:
                return
            node = parent
            yield "close", node
        node = node.next
