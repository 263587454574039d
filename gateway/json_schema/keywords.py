"""The keywords whose work in jsonschema has no bound: here they count it, or do it another way.

A keyword finds its check's `Meter` where jsonschema keeps a format checker, the one thing that a validator hands on
to the validators it makes; formats are not checked.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

from jsonschema import ValidationError

from gateway.json_schema.meter import Meter

Errors = Iterator[ValidationError]
Schema = Mapping[str, Any]


def canonical(value: Any) -> str:
    """One text for all values that JSON Schema calls equal. Its hash is keyed, so nobody can make texts collide."""
    return json.dumps(_plain(value), sort_keys=True)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in cast("list[Any]", value)]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _counted(meter: Meter, value: Any) -> str:
    text = canonical(value)
    meter.spend(1 + len(text) // 16)
    return text


def _pattern(validator: Any, pattern: str, instance: object, schema: Schema) -> Errors:
    if isinstance(instance, str):
        matches = validator.format_checker.matches(pattern, instance)
        if matches is None:
            yield ValidationError(f"it took too long to match the pattern {pattern!r}")
        elif not matches:
            yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _pattern_properties(validator: Any, patterns: Schema, instance: object, schema: Schema) -> Errors:
    if not isinstance(instance, dict):
        return
    for pattern, inner in patterns.items():
        for key, value in cast("dict[str, Any]", instance).items():
            matches = validator.format_checker.matches(pattern, key)
            if matches is None:
                yield ValidationError(f"it took too long to match the pattern {pattern!r}")
            elif matches:
                yield from validator.descend(value, inner, path=key, schema_path=pattern)


def _additional_properties(validator: Any, inner: Any, instance: object, schema: Schema) -> Errors:
    if not isinstance(instance, dict):
        return
    known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    for key, value in cast("dict[str, Any]", instance).items():
        if key in known or any(validator.format_checker.matches(pattern, key) for pattern in patterns):
            continue
        if inner is False:
            yield ValidationError(f"{key!r} is not a known property (known: {', '.join(known) or 'none'})")
        else:
            yield from validator.descend(value, inner, path=key)


def _unique_items(validator: Any, wanted: object, instance: object, schema: Schema) -> Errors:
    if not wanted or not isinstance(instance, list):
        return
    seen: set[str] = set()
    for index, item in enumerate(cast("list[Any]", instance)):
        text = _counted(validator.format_checker, item)
        if text in seen:
            yield ValidationError(f"item {index} is the same as one before it, and the items must differ")
            return
        seen.add(text)


def _enum(validator: Any, values: list[Any], instance: object, schema: Schema) -> Errors:
    if instance in values if isinstance(instance, str) else _is_one_of(validator.format_checker, values, instance):
        return
    yield ValidationError(f"{instance!r} is not one of {values!r}")


def _is_one_of(meter: Meter, values: list[Any], instance: object) -> bool:
    text = _counted(meter, instance)
    return any(_counted(meter, value) == text for value in values)


def _const(validator: Any, value: Any, instance: object, schema: Schema) -> Errors:
    if not _is_one_of(validator.format_checker, [value], instance):
        yield ValidationError(f"{value!r} was expected")


BOUNDED: Mapping[str, Any] = {
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "additionalProperties": _additional_properties,
    "uniqueItems": _unique_items,
    "enum": _enum,
    "const": _const,
}
