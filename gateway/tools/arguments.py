"""Checks the arguments that a model wrote for a tool, and says what is wrong so that the model can put it right.

Schemas come from tool servers, so they are not trusted: `gateway.json_schema` checks with a bound on the work.
"""

import json
from typing import Any, cast

from cachetools import LRUCache

from gateway.errors import BadArguments
from gateway.json_schema.fault import schema_fault
from gateway.json_schema.meter import CannotCheck, TooMuchWork
from gateway.json_schema.schema import MAX_PROBLEMS, Problem, Schema
from gateway.ports import ToolSpec

__all__ = ["ArgumentChecker", "schema_fault"]

MAX_BYTES = 2**20
MAX_DEPTH = 64
TOLD = 5
"""What is told at once: enough to put a call right, not a wall of text."""


class ArgumentChecker:
    """Compiled schemas by schema object: a schema is compiled once and then costs what checking costs."""

    def __init__(self, capacity: int = 2048) -> None:
        # By identity, for hashing a schema costs more than compiling it; the schema is kept so its id stays its own.
        self._compiled: LRUCache[int, tuple[dict[str, Any], Schema]] = LRUCache(capacity)

    def check(self, spec: ToolSpec, text: str) -> dict[str, Any]:
        """The arguments as an object, with those that are fixed. An empty text is an empty object.

        Raises `BadArguments`, worded for the model.
        """
        arguments = {**spec.fixed, **_parsed(text)}
        try:
            problems = self._schema(spec.schema).problems(arguments)
        except TooMuchWork:
            fault = (
                "Checking the arguments against the tool's schema takes too much work, so it was not run. Send less."
            )
            raise BadArguments(fault) from None
        except CannotCheck as error:
            raise BadArguments(f"The tool's own schema cannot be used ({error}), so it was not run.") from None
        if problems:
            told = [_told(problem) for problem in problems[:TOLD]]
            if len(problems) > TOLD:
                more = "many" if len(problems) == MAX_PROBLEMS else len(problems) - TOLD
                told.append(f"and {more} more")
            raise BadArguments("The arguments do not fit the tool's schema. " + "; ".join(told))
        return arguments

    def _schema(self, schema: dict[str, Any]) -> Schema:
        found = self._compiled.get(id(schema))
        if found is None or found[0] is not schema:
            found = self._compiled[id(schema)] = (schema, Schema(schema))
        return found[1]


def _parsed(text: str) -> dict[str, Any]:
    if len(text) > MAX_BYTES:
        raise BadArguments(f"The arguments are longer than {MAX_BYTES} characters.")
    if not text.strip():
        return {}
    try:
        value = json.loads(text, parse_constant=_constant)
    except json.JSONDecodeError as error:
        near = text[max(0, error.pos - 20) : error.pos + 20]
        raise BadArguments(
            f"The arguments are not valid JSON: {error.msg} at character {error.pos}, near {near!r}."
        ) from None
    except (ValueError, RecursionError) as error:
        raise BadArguments(f"The arguments are not valid JSON: {str(error)[:100]}.") from None
    if not isinstance(value, dict):
        raise BadArguments(f"The arguments must be a JSON object, not {_kind(value)}.")
    if _depth(cast("object", value)) > MAX_DEPTH:
        raise BadArguments(f"The arguments are nested more than {MAX_DEPTH} deep.")
    try:
        # JSON may spell half of a surrogate pair, which nothing that comes after this can encode.
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise BadArguments("The arguments are not valid Unicode: a \\u escape is half of a surrogate pair.") from None
    return cast("dict[str, Any]", value)


def _constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _depth(value: object) -> int:
    """How deep it is nested, found level by level so that the depth itself cannot hurt."""
    depth, level = 0, [value]
    while level and depth <= MAX_DEPTH:
        depth += 1
        level = [inner for outer in level for inner in _inside(outer)]
    return depth


def _inside(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(cast("dict[str, object]", value).values())
    return cast("list[object]", value) if isinstance(value, list) else []


def _kind(value: object) -> str:
    kinds = {"str": "a string", "list": "an array", "bool": "a boolean", "int": "a number", "float": "a number"}
    return kinds.get(type(value).__name__, "null")


def _told(problem: Problem) -> str:
    return f"{problem.where}: {problem.message}" if problem.where else problem.message
