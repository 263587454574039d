"""A schema laid over another accepts exactly what both accept."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.tools.arguments import compiled
from gateway.tools.narrow import narrow

NAMES = st.sampled_from(["a", "b", "c"])
VALUES = st.recursive(
    st.one_of(st.integers(-2, 5), st.sampled_from(["", "x", "xy", "low", "high"]), st.booleans(), st.none()),
    lambda inner: st.one_of(st.dictionaries(NAMES, inner, max_size=3), st.lists(inner, max_size=2)),
    max_leaves=5,
)


def keywords(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    small = st.integers(0, 4)
    return st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(
                ["object", "string", "integer", "number", ["string", "object"], ["number", "null"]]
            ),
            "properties": st.dictionaries(NAMES, inner, max_size=3),
            "additionalProperties": st.one_of(st.booleans(), inner),
            "patternProperties": st.dictionaries(st.sampled_from(["^a", "b"]), inner, max_size=1),
            "required": st.lists(NAMES, unique=True, max_size=2),
            "enum": st.lists(st.sampled_from(["x", "low", "high", 1, True]), min_size=1, max_size=3),
            "maximum": small,
            "minimum": small,
            "maxLength": small,
            "minProperties": small,
            "items": inner,
            "not": inner,
            "anyOf": st.lists(inner, min_size=1, max_size=2),
            "allOf": st.lists(inner, min_size=1, max_size=2),
            "pattern": st.sampled_from(["^x", "y$"]),
            "unevaluatedProperties": st.booleans(),
            "description": st.just("words"),
        },
    )


SCHEMAS = keywords(keywords(st.one_of(st.booleans(), keywords(st.booleans()))))


def accepts(schema: dict[str, Any], value: object) -> bool:
    return not list(compiled(schema).iter_errors(value))


@settings(max_examples=400, deadline=None)
@given(SCHEMAS, SCHEMAS, VALUES)
def test_it_accepts_what_both_accept_and_nothing_else(
    schema: dict[str, Any], overlay: dict[str, Any], value: object
) -> None:
    assert accepts(narrow(schema, overlay), value) == (accepts(schema, value) and accepts(overlay, value))


def test_common_narrowings_stay_plain_schemas() -> None:
    schema = {
        "type": "object",
        "properties": {"subject": {"type": "string", "maxLength": 500}, "severity": {"enum": ["low", "high"]}},
        "required": ["subject"],
    }
    overlay = {"properties": {"subject": {"maxLength": 200}, "severity": {"enum": ["low"]}}, "required": ["severity"]}
    assert narrow(schema, overlay) == {
        "type": "object",
        "properties": {"subject": {"type": "string", "maxLength": 200}, "severity": {"enum": ["low"]}},
        "required": ["subject", "severity"],
    }


def test_references_of_the_tool_still_work() -> None:
    schema: dict[str, Any] = {
        "$defs": {"word": {"type": "string", "maxLength": 3}},
        "type": "object",
        "properties": {"w": {"$ref": "#/$defs/word"}},
    }
    merged = narrow(schema, {"properties": {"w": {"minLength": 2}}})
    assert [accepts(merged, {"w": word}) for word in ("a", "ab", "abcd")] == [False, True, False]
