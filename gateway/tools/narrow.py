"""Lays a JSON Schema over a tool's own so that the result accepts what both accept: it can narrow, never widen.

Where both speak of the same thing the keywords are merged, because providers refuse `allOf` at the top of a tool's
schema; what cannot be merged exactly goes into an `allOf` just there.
"""

from collections.abc import Callable, Mapping
from typing import Any, cast

Schema = dict[str, Any]

ANNOTATIONS = ("title", "description", "default", "examples", "deprecated")
"""They do not restrict anything; the overlay's take the place of the tool's."""
ALONE = ("type", "enum", "const", "multipleOf", "pattern", "format", "uniqueItems", "not", "anyOf", "oneOf")
"""Keywords whose meaning does not depend on the keywords beside them, so they may stand beside any others."""
LOWEST = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
HIGHEST = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
UNEVALUATED = {"unevaluatedProperties", "unevaluatedItems"}
DEFINITIONS = ("$schema", "$id", "$defs", "definitions")


def narrow(schema: Schema, overlay: Mapping[str, Any]) -> Schema:
    """A new schema; neither argument is changed. `overlay` holds no references."""
    left: Schema = dict(overlay)
    if not left:
        return dict(schema)
    if UNEVALUATED & (schema.keys() | left.keys()):
        # These look at everything beside them.
        return {**{key: schema[key] for key in DEFINITIONS if key in schema}, "allOf": [schema, left]}
    if "$ref" in schema:
        # Up to draft 7 the keywords beside a `$ref` are ignored.
        rest = {key: value for key, value in schema.items() if key not in ("$ref", "allOf")}
        return {**rest, "allOf": [*schema.get("allOf", []), {"$ref": schema["$ref"]}, left]}
    merged = dict(schema)
    if {"properties", "additionalProperties"} & left.keys():
        _merge_properties(merged, left)
    for keyword in tuple(left):
        if keyword in ANNOTATIONS or (merged.get(keyword, left) == left[keyword] and keyword in ALONE):
            merged[keyword] = left.pop(keyword)
        elif keyword in (*ALONE, *COMBINERS) and keyword not in merged:
            merged[keyword] = left.pop(keyword)
        elif combine := COMBINERS.get(keyword):
            both = combine(merged[keyword], left[keyword])
            if both is not None:
                merged[keyword] = both
                left.pop(keyword)
    if left:
        merged["allOf"] = [*merged.get("allOf", []), left]
    return merged


def _merge_properties(merged: Schema, left: Schema) -> None:
    """Moves `properties` and `additionalProperties` from `left` into `merged`, unless that would not be exact."""
    if "patternProperties" in merged or "patternProperties" in left:
        return
    own, theirs = merged.get("additionalProperties", True), left.get("additionalProperties", True)
    if not isinstance(own, bool) or not isinstance(theirs, bool):
        return
    ours = cast("Schema", merged.get("properties", {}))
    wanted = cast("Schema", left.pop("properties", {}))
    left.pop("additionalProperties", None)
    properties: Schema = {}
    for name in dict.fromkeys([*ours, *wanted]):
        if name in ours and name in wanted:
            properties[name] = _both(ours[name], wanted[name])
        elif name in ours:
            # A property that the overlay does not know is forbidden when the overlay is closed, and the reverse.
            properties.update({name: ours[name]} if theirs else {})
        elif own:
            properties[name] = wanted[name]
    merged["properties"] = properties
    if not (own and theirs):
        merged["additionalProperties"] = False


def _both(one: Any, other: Any) -> Any:
    if isinstance(one, bool):
        return other if one else False
    if isinstance(other, bool):
        return one if other else False
    return narrow(one, other)


def _types(one: Any, other: Any) -> Any:
    ours, theirs = _listed(one), _listed(other)
    both = [each for each in ours if each in theirs]
    if "integer" not in both and "number" not in both and {"integer", "number"} <= {*ours, *theirs}:
        both.append("integer")
    return None if not both else both[0] if len(both) == 1 else both


def _listed(kinds: Any) -> list[Any]:
    return cast("list[Any]", kinds) if isinstance(kinds, list) else [kinds]


def _common(one: list[Any], other: list[Any]) -> list[Any] | None:
    if not all(isinstance(each, str) for each in [*one, *other]):
        return None  # JSON and Python do not agree on what is equal (True and 1).
    return [each for each in one if each in other] or None


def _union(one: list[str], other: list[str]) -> list[str]:
    return list(dict.fromkeys([*one, *other]))


def _all(one: list[Any], other: list[Any]) -> list[Any]:
    return [*one, *other]


def _bound(choose: Callable[[float, float], float]) -> Callable[[Any, Any], Any]:
    def chosen(one: Any, other: Any) -> Any:
        # In draft 4 an exclusive bound is a boolean.
        return None if isinstance(one, bool) or isinstance(other, bool) else choose(one, other)

    return chosen


COMBINERS: Mapping[str, Callable[[Any, Any], Any]] = {
    **dict.fromkeys(LOWEST, _bound(min)),
    **dict.fromkeys(HIGHEST, _bound(max)),
    "type": _types,
    "enum": _common,
    "required": _union,
    "allOf": _all,
}
"""How two values of one keyword become one; None where they cannot."""
