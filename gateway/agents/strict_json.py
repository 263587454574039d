"""Strict JSON (RFC 8259) with the place of every value: what Python's `json` accepts beyond it is refused.

Only the walk over arrays and objects is here; strings and numbers are read by the standard library.
"""

import json
import re
import unicodedata

from gateway.agents.positions import DocumentError, Location, Positions, unfit_number, unfit_text

SPACE = re.compile(r"[ \t\n\r]*")


def read_json(positions: Positions, max_depth: int) -> object:
    """The value of the whole text; None when there is only white space. Raises `DocumentError`."""
    reader = _Reader(positions, max_depth)
    if reader.skip(0) == len(positions.text):
        return None
    value, end = reader.value(0, ())
    if (rest := reader.skip(end)) != len(positions.text):
        raise reader.refuse(rest, "nothing may follow the document")
    return value


class _Reader:
    def __init__(self, positions: Positions, max_depth: int) -> None:
        self._positions = positions
        self._text = positions.text
        self._max_depth = max_depth
        self._decoder = json.JSONDecoder(parse_constant=self._constant, parse_int=_whole)

    def refuse(self, at: int, message: str) -> DocumentError:
        return DocumentError([self._positions.at(at, message)])

    def skip(self, at: int) -> int:
        """The next place that is not white space."""
        found = SPACE.match(self._text, at)
        return found.end() if found else at

    def value(self, at: int, where: Location) -> tuple[object, int]:
        at = self.skip(at)
        if len(where) > self._max_depth:
            raise self.refuse(at, f"nested more than {self._max_depth} deep")
        self._positions.values[where] = at
        opening = self._text[at : at + 1]
        if opening == "{":
            return self._object(at, where)
        if opening == "[":
            return self._array(at, where)
        return self._scalar(at)

    def _scalar(self, at: int) -> tuple[object, int]:
        try:
            value, end = self._decoder.raw_decode(self._text, at)
        except json.JSONDecodeError as error:
            raise self.refuse(error.pos, error.msg[:1].lower() + error.msg[1:]) from error
        except ValueError as error:
            raise self.refuse(at, str(error)) from error
        reason = unfit_text(value) if isinstance(value, str) else ""
        if isinstance(value, int | float):
            reason = unfit_number(value)
        if reason:
            raise self.refuse(at, reason)
        return value, end

    def _array(self, at: int, where: Location) -> tuple[object, int]:
        items: list[object] = []
        end = self.skip(at + 1)
        if self._text[end : end + 1] == "]":
            return items, end + 1
        while True:
            item, end = self.value(end, (*where, len(items)))
            items.append(item)
            end, closed = self._separator(end, "]")
            if closed:
                return items, end

    def _object(self, at: int, where: Location) -> tuple[object, int]:
        made: dict[str, object] = {}
        composed: set[str] = set()
        end = self.skip(at + 1)
        if self._text[end : end + 1] == "}":
            return made, end + 1
        while True:
            start = self.skip(end)
            if self._text[start : start + 1] != '"':
                raise self.refuse(start, "expected a key in double quotes")
            key, end = self._scalar(start)
            key = str(key)
            if (normal := unicodedata.normalize("NFC", key)) in composed:
                raise self.refuse(start, f"the key `{key}` is given twice")
            composed.add(normal)
            self._positions.keys[(*where, key)] = start
            end = self.skip(end)
            if self._text[end : end + 1] != ":":
                raise self.refuse(end, "expected `:`")
            made[key], end = self.value(end + 1, (*where, key))
            end, closed = self._separator(end, "}")
            if closed:
                return made, end

    def _separator(self, at: int, closing: str) -> tuple[int, bool]:
        at = self.skip(at)
        mark = self._text[at : at + 1]
        if mark not in (",", closing) or not mark:
            raise self.refuse(at, f"expected `,` or `{closing}`")
        return at + 1, mark == closing

    def _constant(self, name: str) -> float:
        raise ValueError(f"{name} is not JSON")


def _whole(digits: str) -> int:
    # Python refuses to parse very long integers, which are all refused later anyway.
    return int(digits) if len(digits) < 100 else 2**99
