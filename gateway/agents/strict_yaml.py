"""Strict YAML: the core types of YAML 1.2 and nothing that surprises, on top of PyYAML's safe loader.

`on`, `off`, `yes`, `no`, dates, `1:30` and `1_000` are strings. Refused, with file, line and column: a key given
twice, a key that is not a string, merge keys (`<<`), tags, several documents in a file, and aliases that blow up.
It reads JSON files too. It does not know what the values mean.
"""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import yaml

from gateway.agents.positions import (
    DocumentError,
    Location,
    Positions,
    first_repeated,
    read_text,
    unfit_number,
    unfit_text,
)
from gateway.agents.strict_json import read_json
from gateway.agents.variables import fill

MAX_BYTES = 2**20
MAX_DEPTH = 64
MAX_VALUES = 100_000
TAG = "tag:yaml.org,2002:"
SPECIAL_BREAKS = re.compile("[\x85\u2028\u2029]")


class _CoreLoader(yaml.SafeLoader):
    """Resolves plain scalars as https://yaml.org/spec/1.2.2/#103-core-schema says, but for `0o17` (a string here)."""

    yaml_implicit_resolvers = {
        "": [(TAG + "null", re.compile("^$"))],
        None: [
            (TAG + "null", re.compile(r"^(?:~|null|Null|NULL)$")),
            (TAG + "bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$")),
            (TAG + "int", re.compile(r"^(?:[-+]?[0-9]+|0x[0-9a-fA-F]+)$")),
            (
                TAG + "float",
                re.compile(r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"),
            ),
        ],
    }  # fmt: skip

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            event = cast("yaml.Event", self.peek_event())  # pyright: ignore[reportUnknownMemberType]
            raise yaml.MarkedYAMLError(problem=f"nested more than {MAX_DEPTH} deep", problem_mark=event.start_mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


def load(file: Path, env: Mapping[str, str] | None = None) -> tuple[dict[str, Any], Positions]:
    """The mapping in a YAML or (by its name) JSON file, and where its values stand. An empty file is an empty mapping.

    With `env`, every `{{env.X}}` is replaced from it. Raises `DocumentError`.
    """
    text = read_text(file, MAX_BYTES)
    positions = Positions(file, text)
    data = read_json(positions, MAX_DEPTH) if file.suffix == ".json" else _read_yaml(positions)
    if data is None:
        return {}, positions
    if not isinstance(data, dict):
        raise DocumentError([positions.problem((), "must be a mapping of keys to values")])
    plain = cast("dict[str, Any]", data)
    return plain if env is None else cast("dict[str, Any]", fill(plain, env, positions)), positions


def _read_yaml(positions: Positions) -> object:
    if found := SPECIAL_BREAKS.search(positions.text):
        message = f"write U+{ord(found[0]):04X} as an escape in double quotes: YAML readers disagree on it"
        raise DocumentError([positions.at(found.start(), message)])
    try:
        node = _CoreLoader(positions.text).get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = ", ".join(part for part in (error.context, error.problem) if part) or "is not YAML"
        if "'\\t'" in message:
            message = "YAML is indented with spaces, not tabs"
        raise DocumentError([positions.at(mark.index if mark else 0, message)]) from error
    except yaml.reader.ReaderError as error:
        raise DocumentError([positions.at(int(error.position), "a control character is not allowed here")]) from error
    return None if node is None else _Builder(positions).value(node, ())


class _Builder:
    """Turns composed nodes into plain values and notes where each one stands."""

    def __init__(self, positions: Positions) -> None:
        self._positions = positions
        self._open: list[yaml.Node] = []
        self._count = 0

    def value(self, node: yaml.Node, where: Location) -> object:
        self._count += 1
        if self._count > MAX_VALUES or len(self._open) > MAX_DEPTH or node in self._open:
            raise self._refuse(node, "aliases make this document endless or far too large")
        self._positions.values[where] = node.start_mark.index
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        if node.tag not in (TAG + "map", TAG + "seq"):
            raise self._refuse(node, f"the tag {node.tag.replace(TAG, '!!')} is not supported")
        self._open.append(node)
        if isinstance(node, yaml.MappingNode):
            made = self._mapping(node, where)
        else:
            items = cast("list[yaml.Node]", node.value)
            made = [self.value(item, (*where, index)) for index, item in enumerate(items)]
        self._open.pop()
        return made

    def _mapping(self, node: yaml.MappingNode, where: Location) -> dict[str, object]:
        pairs = cast("list[tuple[yaml.Node, yaml.Node]]", node.value)
        keys = [self._key(key) for key, _ in pairs]
        if (again := first_repeated(keys)) is not None:
            raise self._refuse(pairs[again][0], f"the key `{keys[again]}` is given twice")
        made: dict[str, object] = {}
        for key, (key_node, item) in zip(keys, pairs, strict=True):
            self._positions.keys[(*where, key)] = key_node.start_mark.index
            made[key] = self.value(item, (*where, key))
        return made

    def _key(self, node: yaml.Node) -> str:
        if isinstance(node, yaml.ScalarNode) and node.value == "<<" and node.style is None:
            raise self._refuse(node, "merge keys (`<<`) are not part of YAML 1.2: write the keys out")
        key = self._scalar(node) if isinstance(node, yaml.ScalarNode) else None
        if not isinstance(key, str):
            raise self._refuse(node, "a key must be a string: quote it")
        return key

    def _scalar(self, node: yaml.ScalarNode) -> str | float | bool | None:
        text = cast("str", node.value)
        kind = node.tag.removeprefix(TAG)
        if kind == "str":
            if reason := unfit_text(text):
                raise self._refuse(node, reason)
            return text
        patterns = dict(_CoreLoader.yaml_implicit_resolvers[None])
        if node.tag not in patterns:
            raise self._refuse(node, f"the tag {node.tag.replace(TAG, '!!')} is not supported")
        if not patterns[node.tag].match(text) and not (kind == "null" and not text):
            raise self._refuse(node, f"{text!r} is not of the type !!{kind}")
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() == "true"
        number = _number(text, kind)
        if reason := unfit_number(number):
            raise self._refuse(node, reason)
        return number

    def _refuse(self, node: yaml.Node, message: str) -> DocumentError:
        return DocumentError([self._positions.at(node.start_mark.index, message)])


def _number(text: str, kind: str) -> float:
    if kind == "int":
        # Python refuses to parse very long integers, which are all refused here anyway.
        return int(text, 16 if text.startswith("0x") else 10) if len(text) < 100 else 2**99
    word = text.lower().lstrip("+-")
    return math.inf if word == ".inf" else math.nan if word == ".nan" else float(text)
