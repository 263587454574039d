"""Words for SQLite's full-text search: what is indexed beside a text, and the query made from a question.

The choices were measured on eight public test collections (nDCG@10): terms joined by OR; repeated terms kept, they
count twice; stop words dropped from the query only; identifiers searched whole and in parts.
"""

import re
from collections.abc import Callable, Sequence

TOKENIZER = "porter unicode61 remove_diacritics 2"
# More unique terms than this cost time and add nothing; the rarest are kept.
_MOST_TERMS = 24
_MOST_CONSIDERED = 200

_TERM = re.compile(r"\w+")
_CAMEL = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_IS_CAMEL = re.compile(r"[a-z][A-Z]|[A-Z]{2}[a-z]|[A-Za-z]\d|\d[A-Za-z]")
_STOP = frozenset(
    "a an and are as at be but by for from has have he her his how i if in into is it its me my no not of on or our she"
    " so such that the their them then there these they this to was we were what when where which who why will with"
    " would you your can could do does did should about".split()
)


def identifier_parts(text: str) -> str:
    """The parts of every camelCase word, once each: `getUserName` -> `get User Name`. snake_case is split by SQLite."""
    parts: dict[str, None] = {}
    for word in set(_TERM.findall(text)):
        if _IS_CAMEL.search(word):
            parts.update(dict.fromkeys(_CAMEL.findall(word)))
    return " ".join(sorted(parts))


def query_terms(question: str) -> list[str]:
    """The terms of a question, repetitions included, stop words left out unless there is nothing else."""
    words = _TERM.findall(question)
    kept = [word for word in words if word.lower() not in _STOP] or words
    terms: list[str] = []
    for word in kept:
        terms.append(word.lower())
        if "_" in word.strip("_") or _IS_CAMEL.search(word):
            terms += [part.lower() for part in _CAMEL.findall(word)]
    return terms


def match_expression(terms: Sequence[str], frequency: Callable[[str], int]) -> str:
    """An FTS5 query for the terms, empty if there are none. `frequency` says how many chunks a quoted term is in."""
    unique = list(dict.fromkeys(terms))[:_MOST_CONSIDERED]
    if len(unique) > _MOST_TERMS:
        unique = sorted(unique, key=lambda term: frequency(_quoted(term)))[:_MOST_TERMS]
    wanted = set(unique)
    return " OR ".join(_quoted(term) for term in terms[: 4 * _MOST_CONSIDERED] if term in wanted)


def _quoted(term: str) -> str:
    return f'"{term}"'
