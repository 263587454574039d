"""Why a schema cannot be used: found out before its tool is offered, in time proportional to its length.

The meta-schemas would say the same, but checking a long schema against them takes seconds.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

from gateway.json_schema.meter import SchemaUnusable, TooMuchWork
from gateway.json_schema.schema import Schema

MAX_SCHEMA = 128 * 1024
WORK = 2000
"""For the empty object. A schema that needs more for that can only be meant to take long."""

TYPES = frozenset({"null", "boolean", "object", "array", "number", "integer", "string", "any"})
INNER = frozenset(
    "not if then else contains propertyNames additionalItems additionalProperties unevaluatedItems"
    " unevaluatedProperties items".split()
)
INNER_BY_NAME = frozenset("properties patternProperties $defs definitions dependentSchemas".split())
INNER_LISTS = frozenset("allOf anyOf oneOf prefixItems".split())
COUNTS = frozenset("minLength maxLength minItems maxItems minProperties maxProperties minContains maxContains".split())
NUMBERS = frozenset("minimum maximum exclusiveMinimum exclusiveMaximum multipleOf".split())
TEXTS = frozenset("$ref $dynamicRef $recursiveRef $schema $id $anchor $dynamicAnchor pattern".split())


def schema_fault(schema: dict[str, Any]) -> str:
    """Why a tool with this schema cannot be offered; empty when it can."""
    try:
        text = json.dumps(schema)
        if len(text) > MAX_SCHEMA:
            return f"its schema is longer than {MAX_SCHEMA} characters"
        if '"patternProperties"' in text and '"unevaluatedProperties"' in text:
            return "its schema uses patternProperties together with unevaluatedProperties, which is not supported"
        if wrong := next(_misshapen(schema), ""):
            return f"its schema is not valid: {wrong}"
        Schema(schema).problems({}, WORK)
    except TooMuchWork:
        return "its schema takes too much work to check"
    except SchemaUnusable as error:
        return f"its schema cannot be used: {error}"
    except RecursionError:
        return "its schema is nested too deep"
    except (ValueError, TypeError) as error:
        return f"its schema is not JSON: {error}"
    return ""


def _misshapen(schema: dict[str, Any]) -> Iterator[str]:
    """Every keyword whose value is of a kind that it cannot have. A loop: schemas nest as deep as they like."""
    pending: list[tuple[str, Any]] = [("", schema)]
    while pending:
        place, inner = pending.pop()
        if isinstance(inner, bool):
            continue
        if not isinstance(inner, dict):
            yield f"{place or 'it'} must be a schema, not {inner!r:.100}"
            continue
        for name, value in cast("dict[str, Any]", inner).items():
            where = f"{place}.{name}" if place else name
            if not _fits(name, value):
                yield f"{where} cannot be {value!r:.100}"
            else:
                pending.extend(_inner(where, name, value))


def _inner(where: str, name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if name in INNER_LISTS or (name == "items" and isinstance(value, list)):
        yield from ((f"{where}.{index}", each) for index, each in enumerate(cast("list[Any]", value)))
    elif name in INNER:
        yield where, value
    elif name in INNER_BY_NAME or name == "dependencies":
        named = cast("Mapping[str, Any]", value).items()
        # Up to draft 7 a dependency may be a list of names.
        yield from ((f"{where}.{key}", each) for key, each in named if not (name == "dependencies" and _names(each)))


def _fits(name: str, value: Any) -> bool:
    if name in INNER_LISTS or name == "enum":
        return isinstance(value, list)
    if name in INNER_BY_NAME or name in ("dependencies", "dependentRequired"):
        return isinstance(value, dict)
    if name in COUNTS:
        return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
    if name in NUMBERS:
        # In draft 4 an exclusive bound is a boolean.
        return isinstance(value, int | float) and (name != "multipleOf" or value > 0)
    if name in TEXTS:
        # In draft 2019-09 `$recursiveAnchor` is a boolean; it is not among these.
        return isinstance(value, str)
    if name == "type":
        kinds = cast("list[Any]", value) if isinstance(value, list) else [value]
        return all(isinstance(kind, str) and kind in TYPES for kind in kinds)
    return name != "required" or _names(value)


def _names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in cast("list[Any]", value))
