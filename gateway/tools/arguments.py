"""Checks the arguments that a model wrote for a tool, and says what is wrong so that the model can put it right.

Schemas come from tool servers, so they are not trusted: a reference is never fetched, a pattern that takes too long
to match counts as not matched, and a schema that cannot be used is found out before its tool is offered.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Protocol, cast

import regex
from cachetools import LRUCache
from jsonschema import Draft202012Validator, SchemaError, ValidationError, validators
from referencing.exceptions import Unresolvable
from referencing.jsonschema import EMPTY_REGISTRY

from gateway.errors import BadArguments
from gateway.ports import ToolSpec

MAX_BYTES = 2**20
MAX_DEPTH = 64
MAX_PROBLEMS = 5
"""What is told at once: enough to put a call right, not a wall of text."""
MAX_SCHEMA = 128 * 1024
PATTERN_SECONDS = 0.05
_UNTYPED = cast("Any", validators)
_EMPTY: Any = EMPTY_REGISTRY
"""A registry that knows no document but the schema itself and fetches none."""


class Validator(Protocol):
    """The part of jsonschema that is used here; the library itself is typed too loosely."""

    def iter_errors(self, instance: Any) -> Iterator[ValidationError]: ...


class ArgumentChecker:
    """Compiled validators by schema object: a schema is compiled once and then costs what validating costs."""

    def __init__(self, capacity: int = 2048) -> None:
        # By identity, for hashing a schema costs more than compiling it; the schema is kept so its id stays its own.
        self._compiled: LRUCache[int, tuple[dict[str, Any], Validator]] = LRUCache(capacity)

    def check(self, spec: ToolSpec, text: str) -> dict[str, Any]:
        """The arguments as an object. An empty text is an empty object. Raises `BadArguments`, worded for the model."""
        arguments = _parsed(text)
        try:
            errors = list(self._validator(spec.schema).iter_errors(arguments))
        except (Unresolvable, RecursionError, SchemaError) as error:
            fault = f"The tool's own schema cannot be used ({type(error).__name__}), so it was not run."
            raise BadArguments(fault) from None
        if errors:
            errors.sort(key=lambda error: [str(step) for step in error.absolute_path])
            told = [_told(error) for error in errors[:MAX_PROBLEMS]]
            if len(errors) > MAX_PROBLEMS:
                told.append(f"and {len(errors) - MAX_PROBLEMS} more")
            raise BadArguments("The arguments do not fit the tool's schema. " + "; ".join(told))
        return arguments

    def _validator(self, schema: dict[str, Any]) -> Validator:
        found = self._compiled.get(id(schema))
        if found is None or found[0] is not schema:
            found = self._compiled[id(schema)] = (schema, compiled(schema))
        return found[1]


def compiled(schema: dict[str, Any]) -> Validator:
    """A validator of the schema's own draft (2020-12 where it names none). References stay within the schema."""
    bounded = _UNTYPED.extend(_UNTYPED.validator_for(schema, default=Draft202012Validator), BOUNDED)
    return cast("Validator", bounded(schema, registry=_EMPTY))


def schema_fault(schema: dict[str, Any]) -> str:
    """Why a tool with this schema cannot be offered; empty when it can."""
    try:
        text = json.dumps(schema)
        if len(text) > MAX_SCHEMA:
            return f"its schema is longer than {MAX_SCHEMA} characters"
        if '"patternProperties"' in text and '"unevaluatedProperties"' in text:
            return "its schema uses patternProperties together with unevaluatedProperties, which is not supported"
        # Formats are not checked: the patterns of other languages' dialects are no fault.
        _UNTYPED.validator_for(schema, default=Draft202012Validator).check_schema(schema, format_checker=None)
        list(compiled(schema).iter_errors({}))
    except SchemaError as error:
        return f"its schema is not valid: {error.message[:200]}"
    except Unresolvable as error:
        return f"its schema refers to something outside of itself: {error.ref}"
    except RecursionError:
        return "its schema refers to itself without end"
    except (ValueError, TypeError) as error:
        return f"its schema is not JSON: {error}"
    return ""


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


def _told(error: ValidationError) -> str:
    where = ".".join(str(step) for step in error.absolute_path)
    message = error.message if len(error.message) <= 300 else error.message[:300] + "…"
    return f"{where}: {message}" if where else message


def _matches(pattern: str, text: str) -> bool | None:
    """None when it took too long. A pattern in a dialect that is not known here is left to the server to check."""
    try:
        return regex.search(pattern, text, timeout=PATTERN_SECONDS) is not None
    except TimeoutError:
        return None
    except regex.error:
        return True


def _pattern(validator: Any, pattern: str, instance: object, schema: Mapping[str, Any]) -> Iterator[ValidationError]:
    if isinstance(instance, str):
        matches = _matches(pattern, instance)
        if matches is None:
            yield ValidationError(f"it took too long to match the pattern {pattern!r}")
        elif not matches:
            yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _pattern_properties(
    validator: Any, patterns: Mapping[str, Any], instance: object, schema: Mapping[str, Any]
) -> Iterator[ValidationError]:
    if not isinstance(instance, dict):
        return
    for pattern, inner in patterns.items():
        for key, value in cast("dict[str, Any]", instance).items():
            matches = _matches(pattern, key)
            if matches is None:
                yield ValidationError(f"it took too long to match the pattern {pattern!r}")
            elif matches:
                yield from validator.descend(value, inner, path=key, schema_path=pattern)


def _additional_properties(
    validator: Any, inner: Any, instance: object, schema: Mapping[str, Any]
) -> Iterator[ValidationError]:
    if not isinstance(instance, dict):
        return
    known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    for key, value in cast("dict[str, Any]", instance).items():
        if key in known or any(_matches(pattern, key) for pattern in patterns):
            continue
        if inner is False:
            yield ValidationError(f"{key!r} is not a known property (known: {', '.join(known) or 'none'})")
        else:
            yield from validator.descend(value, inner, path=key)


BOUNDED: Mapping[str, Any] = {
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "additionalProperties": _additional_properties,
}
"""The keywords that match patterns, replaced by ones that give up in time."""
