"""`{{env.NAME}}` in the strings of a document, replaced from a mapping that the caller passes in.

It never looks at the process's environment. A value is put in once: `{{env.X}}` inside a value stays as it is.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import cast

from gateway.agents.positions import DocumentError, Location, Positions, Problem

VARIABLE = re.compile(r"\{\{\s*env\.([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")


def fill(data: object, env: Mapping[str, str], positions: Positions, listed: Collection[str] | None = None) -> object:
    """`data` with every variable replaced. `listed` are the names that may be used; None: all of `env`.

    Raises `DocumentError` that names each place where a variable is unset or not listed.
    """
    filling = _Filling(env, positions, listed)
    filled = filling.value(data, ())
    if filling.problems:
        raise DocumentError(filling.problems)
    return filled


@dataclass(slots=True)
class _Filling:
    env: Mapping[str, str]
    positions: Positions
    listed: Collection[str] | None
    problems: list[Problem] = field(default_factory=list[Problem])

    def value(self, value: object, where: Location) -> object:
        if isinstance(value, str):
            return self._text(value, where)
        if isinstance(value, dict):
            pairs = cast("dict[str, object]", value).items()
            return {key: self.value(item, (*where, key)) for key, item in pairs}
        if isinstance(value, list):
            return [self.value(item, (*where, n)) for n, item in enumerate(cast("list[object]", value))]
        return value

    def _text(self, text: str, where: Location) -> str:
        for found in VARIABLE.finditer(text):
            name = found[1]
            if self.listed is not None and name not in self.listed:
                self._note(where, found[0], f"`{name}` is not listed under `env` of this document")
            elif name not in self.env:
                self._note(where, found[0], f"the environment variable {name} is not set")
        return VARIABLE.sub(lambda found: self.env.get(found[1], ""), text)

    def _note(self, where: Location, source: str, message: str) -> None:
        self.problems.append(self.positions.problem_within(where, source, message))
