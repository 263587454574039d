"""Cuts a text into chunks of about 800 tokens, and each chunk into windows of about 200. It knows no files.

The windows are what is embedded: the model reads 256 tokens at most and one vector for 800 tokens loses most of them.
The chunk is what is returned: enough to answer from. Headings and pages are cut at, sentences are kept whole.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from gateway.retrieval.documents import Section, Text

CHUNK_TOKENS = 800
WINDOW_TOKENS = 200
# A rest smaller than this joins the window before it.
_SMALL_TOKENS = 50
# A new section begins a new chunk once the current one has this much.
_FULL_ENOUGH = CHUNK_TOKENS // 4

_PARAGRAPHS = re.compile(r"(?<=\n)[ \t]*\n+")
_SENTENCES = re.compile(r"(?<=[.!?:;…。\uff01\uff1f])[)\]\"'»”]*\s+|\n")
_WORDS = re.compile(r"\s+")

# An endless word (base64, a long URL) is one unknown token to the model; it must not make a passage endless.
_CHARACTERS_A_TOKEN = 8

Count = Callable[[str], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A part of a chunk within one section, by positions in the text; `body` is its start without the heading line."""

    start: int
    body: int
    end: int
    heading: tuple[str, ...] = ()
    page: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """The text from `start` to `end`; the chunks of a text follow one another without a gap. At least one window."""

    start: int
    end: int
    windows: Sequence[Window]


@dataclass(slots=True)
class _Piece:
    start: int
    end: int
    tokens: int


def split(text: Text, count: Count) -> list[Chunk]:
    """All chunks of a text. `count` says how many tokens a string has."""
    chunks: list[Chunk] = []
    windows: list[Window] = []
    size = 0
    start = 0
    bounds = [section.start for section in text.sections] + [len(text.text)]
    for section, (_, end) in zip(text.sections, pairwise(bounds), strict=True):
        found = _windows(text.text, section, end, count)
        for index, (window, tokens) in enumerate(found):
            full = size + tokens > CHUNK_TOKENS or (index == 0 and size >= _FULL_ENOUGH)
            if windows and full:
                # A section that is only a heading made no window: it belongs to the chunk that follows it.
                cut = windows[-1].end
                chunks.append(Chunk(start=start, end=cut, windows=tuple(windows)))
                windows, size, start = [], 0, cut
            windows.append(window)
            size += tokens
    if windows:
        chunks.append(Chunk(start=start, end=len(text.text), windows=tuple(windows)))
    elif chunks:
        last = chunks.pop()
        chunks.append(Chunk(start=last.start, end=len(text.text), windows=last.windows))
    elif text.text.strip():
        # Nothing but headings.
        section = text.sections[-1]
        end = len(text.text)
        only = Window(start=0, body=0, end=end, heading=section.heading, page=section.page)
        chunks.append(Chunk(start=0, end=end, windows=(only,)))
    return chunks


def _windows(text: str, section: Section, end: int, count: Count) -> list[tuple[Window, int]]:
    """The windows of one section with their token counts; none if it has no text but its heading."""
    if not text[section.body : end].strip():
        return []
    packed: list[_Piece] = []
    for piece in _pieces(text, section.body, end, count, (_PARAGRAPHS, _SENTENCES, _WORDS)):
        if packed and packed[-1].tokens + piece.tokens <= WINDOW_TOKENS:
            packed[-1].end = piece.end
            packed[-1].tokens += piece.tokens
        else:
            packed.append(piece)
    if len(packed) > 1 and packed[-1].tokens < _SMALL_TOKENS:
        rest = packed.pop()
        packed[-1].end = rest.end
        packed[-1].tokens += rest.tokens
    found: list[tuple[Window, int]] = []
    for index, piece in enumerate(packed):
        start = section.start if index == 0 else piece.start
        window = Window(start=start, body=piece.start, end=piece.end, heading=section.heading, page=section.page)
        found.append((window, piece.tokens))
    return found


def _pieces(text: str, start: int, end: int, count: Count, separators: Sequence[re.Pattern[str]]) -> Iterator[_Piece]:
    """`text[start:end]` as pieces of at most one window each, cut at the coarsest separator that makes them fit."""
    tokens = max(count(text[start:end]), (end - start) // _CHARACTERS_A_TOKEN)
    if tokens <= WINDOW_TOKENS:
        yield _Piece(start, end, tokens)
        return
    if not separators:
        # One endless word is cut by length; a token has at least one character.
        for at in range(start, end, WINDOW_TOKENS):
            stop = min(at + WINDOW_TOKENS, end)
            yield _Piece(at, stop, max(count(text[at:stop]), (stop - at) // _CHARACTERS_A_TOKEN))
        return
    cuts = [start, *(match.end() for match in separators[0].finditer(text, start, end)), end]
    for left, right in pairwise(cuts):
        if left < right:
            yield from _pieces(text, left, right, count, separators[1:])
