"""`${...}` templates and paths into JSON: how a preset says which value goes where. No I/O, no HTTP.

`MISSING` (None) is a value that is not there; what it does to its surroundings is told in `preset`.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from mcp_tools.ticketing.errors import TicketingError

PLACEHOLDER = re.compile(r"\$\{([^}]+)\}")


def find(document: Any, path: str) -> Any:
    """The value at a dotted path, None where there is none. A number indexes a list; an empty path is the whole."""
    for part in path.split(".") if path else ():
        if isinstance(document, Mapping):
            document = document.get(part)
        elif isinstance(document, Sequence) and not isinstance(document, str) and re.fullmatch(r"-?\d+", part):
            document = document[int(part)] if -len(document) <= int(part) < len(document) else None
        else:
            return None
    return document


def names_used(value: Any) -> set[str]:
    """The first names of every placeholder anywhere in a template."""
    if isinstance(value, Mapping):
        return set().union(*map(names_used, value.values()))
    if isinstance(value, list):
        return set().union(*map(names_used, value))
    if not isinstance(value, str):
        return set()
    return {re.split(r"[.|]", inside, maxsplit=1)[0].strip() for inside in PLACEHOLDER.findall(value)}


def render(value: Any, names: Mapping[str, Any]) -> Any:
    """A template with its placeholders filled in; None if nothing is left of it."""
    if isinstance(value, Mapping) and "$join" in value:
        texts = render(value.get("of", []), names)
        return value["$join"].join(map(str, texts)) if texts else None
    if isinstance(value, Mapping):
        return _kept({key: render(inside, names) for key, inside in value.items()})
    if isinstance(value, list):
        kept = [done for done in (render(inside, names) for inside in value) if done is not None]
        return kept if kept or not value else None
    if not isinstance(value, str):
        return value
    if whole := PLACEHOLDER.fullmatch(value):
        return _evaluate(whole[1], names)
    values = [_evaluate(inside, names) for inside in PLACEHOLDER.findall(value)]
    if any(found is None for found in values):
        return None
    return _fill(value, [str(found) for found in values])


def render_path(path: str, names: Mapping[str, Any]) -> str:
    """A request path. Every value becomes one percent-encoded segment, unless its filter is `path`.

    Raises `TicketingError` for a value that is missing or could climb out of its segment.
    """
    segments: list[str] = []
    for inside in PLACEHOLDER.findall(path):
        found = _evaluate(inside, names)
        keep_slashes = inside.rpartition("|")[2].strip() == "path"
        text = "" if found is None else str(found)
        parts = text.split("/") if keep_slashes else [text]
        if any(part in ("", ".", "..") or not part.isprintable() for part in parts):
            raise TicketingError(f"{text!r} cannot be used as an id.")
        segments.append("/".join(quote(part, safe="") for part in parts))
    return _fill(path, segments)


def _kept(mapping: dict[str, Any]) -> dict[str, Any] | None:
    kept = {key: value for key, value in mapping.items() if value is not None}
    return kept if kept or not mapping else None


def _fill(template: str, values: Iterable[str]) -> str:
    following = iter(values)
    return PLACEHOLDER.sub(lambda _: next(following), template)


def _evaluate(inside: str, names: Mapping[str, Any]) -> Any:
    path, *filters = inside.split("|")
    value = find(names, path.strip())
    for call in filters:
        if value is None:
            return None
        name, _, argument = call.strip().partition(":")
        if name not in FILTERS:
            raise TicketingError(f"The preset uses a filter that does not exist: {name!r}.")
        value = FILTERS[name](value, argument)
    return value


def _quoted_words(value: Any, _: str) -> str | None:
    words = [word for word in str(value).replace('"', " ").replace("\\", " ").split() if word]
    return " ".join(f'"{word}"' for word in words) or None


def _each(value: Any, path: str) -> list[Any] | None:
    if not isinstance(value, list):
        return None
    return [found for found in (find(item, path) for item in value) if found is not None] or None


FILTERS: Mapping[str, Callable[[Any, str], Any]] = {
    "words": lambda value, _: str(value).split() or None,
    "quoted_words": _quoted_words,
    "each": _each,
    "last": lambda value, count: value[-int(count) :] if isinstance(value, list) else None,
    "join": lambda value, by: by.join(map(str, value)) if isinstance(value, list) else str(value),
    "utc": lambda value, form: datetime.fromtimestamp(float(value), UTC).strftime(form),
    "path": lambda value, _: value,
}
