"""BERT's uncased WordPiece tokenizer in plain Python: text to the token ids that the bundled embedder was trained on.

It does what the `tokenizers` library does for `bert-base-uncased` (clean, split CJK, strip accents, lower-case, split
punctuation, greedy longest match), without its 40 MB of dependencies. It also counts tokens for the chunker.
"""

import re
import unicodedata
from functools import lru_cache
from pathlib import Path

# Kept as words or single signs by an ASCII text, which most texts are: 20 times faster than the general way.
_ASCII_PIECES = re.compile(r"[a-z0-9]+|[^\sa-z0-9]")
_ASCII_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_LONGEST_WORD = 100
# Ideographs, each of which is a word of its own (`_is_chinese_char` of BERT's tokenization.py).
_IDEOGRAPHS = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)


class WordPiece:
    """Turns text into token ids. Safe to use from several threads."""

    def __init__(self, vocabulary: Path) -> None:
        """`vocabulary` is a `vocab.txt`: one token a line, its id is its line number."""
        lines = vocabulary.read_text(encoding="utf-8").split("\n")
        self._ids = {token: index for index, token in enumerate(lines) if token}
        self._unknown = self._ids["[UNK]"]
        self._start, self._end = self._ids["[CLS]"], self._ids["[SEP]"]
        self._word = lru_cache(maxsize=16_384)(self._match)

    def encode(self, text: str, limit: int) -> list[int]:
        """Ids with [CLS] and [SEP] around, at most `limit` in all: what does not fit is left out at the end."""
        ids = [self._start]
        for piece in _pieces(text):
            ids.extend(self._word(piece))
            if len(ids) >= limit - 1:
                break
        del ids[limit - 1 :]
        ids.append(self._end)
        return ids

    def count(self, text: str) -> int:
        """How many tokens `text` has, without the two around it."""
        return sum(len(self._word(piece)) for piece in _pieces(text))

    def _match(self, word: str) -> tuple[int, ...]:
        if len(word) > _LONGEST_WORD:
            return (self._unknown,)
        found: list[int] = []
        start = 0
        while start < len(word):
            for end in range(len(word), start, -1):
                part = word[start:end] if start == 0 else "##" + word[start:end]
                if (token := self._ids.get(part)) is not None:
                    found.append(token)
                    start = end
                    break
            else:
                return (self._unknown,)
        return tuple(found)


def _pieces(text: str) -> list[str]:
    if text.isascii():
        return _ASCII_PIECES.findall(_ASCII_CONTROLS.sub("", text).lower())
    cleaned = unicodedata.normalize("NFD", "".join(map(_clean, text)))
    plain = "".join(char for char in cleaned if unicodedata.category(char) != "Mn").lower()
    pieces: list[str] = []
    for word in plain.split():
        start = 0
        for index, char in enumerate(word):
            if _is_punctuation(char):
                if index > start:
                    pieces.append(word[start:index])
                pieces.append(char)
                start = index + 1
        if start < len(word):
            pieces.append(word[start:])
    return pieces


@lru_cache(maxsize=8192)
def _clean(char: str) -> str:
    """Nothing for control characters, a blank for white space, an ideograph as a word of its own."""
    if char in "\t\n\r":
        return " "
    category = unicodedata.category(char)
    if category == "Zs":
        return " "
    if char == "\ufffd" or category in ("Cc", "Cf", "Cn", "Co"):
        return ""
    code = ord(char)
    if code >= 0x3400 and any(first <= code <= last for first, last in _IDEOGRAPHS):
        return f" {char} "
    return char


@lru_cache(maxsize=8192)
def _is_punctuation(char: str) -> bool:
    code = ord(char)
    if code < 128:
        return 33 <= code <= 47 or 58 <= code <= 64 or 91 <= code <= 96 or 123 <= code <= 126
    return unicodedata.category(char).startswith("P")
