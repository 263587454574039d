"""A schema laid over another accepts exactly what both accept."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.json_schema.schema import Schema
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
    return not Schema(schema).problems(value)


@settings(max_examples=100, deadline=None)
@given(SCHEMAS, SCHEMAS, VALUES)
def test_it_accepts_what_both_accept_and_nothing_else(
    schema: dict[str, Any], overlay: dict[str, Any], value: object
) -> None:
    assert accepts(narrow(schema, overlay), value) == (accepts(schema, value) and accepts(overlay, value))


LEAVES = st.sampled_from([True, False, {"type": "integer"}, {"type": "string"}, {"maximum": 1}, {"enum": ["x", "y"]}])
OBJECTS = st.fixed_dictionaries(
    {},
    optional={
        "properties": st.dictionaries(NAMES, LEAVES, max_size=2),
        "additionalProperties": LEAVES,
        "patternProperties": st.dictionaries(st.sampled_from(["^a", "b|c"]), LEAVES, min_size=1, max_size=1),
        "unevaluatedProperties": LEAVES,
        "anyOf": st.lists(
            st.fixed_dictionaries({"properties": st.dictionaries(NAMES, LEAVES, min_size=1)}), min_size=1
        ),
        "required": st.lists(NAMES, unique=True, max_size=1),
    },
)


@settings(max_examples=400, deadline=None)
@given(OBJECTS, OBJECTS, st.dictionaries(NAMES, st.sampled_from([1, 2, "x", "z"]), max_size=3))
def test_properties_that_only_one_of_them_knows_are_neither_let_in_nor_shut_out_wrongly(
    schema: dict[str, Any], overlay: dict[str, Any], value: object
) -> None:
    assert accepts(narrow(schema, overlay), value) == (accepts(schema, value) and accepts(overlay, value))


@pytest.mark.parametrize(
    ("schema", "overlay", "refused"),
    [
        ({"properties": {"a": {}}}, {"additionalProperties": False}, {"a": 1}),
        ({"properties": {"a": {}}, "additionalProperties": False}, {"properties": {"b": {}}}, {"b": 1}),
        ({"additionalProperties": {"type": "string"}}, {"properties": {"b": {}}}, {"b": 1}),
        ({"unevaluatedProperties": False}, {"properties": {"b": {}}}, {"b": 1}),
        ({"enum": [True]}, {"enum": [1]}, True),
        (
            {"$schema": "http://json-schema.org/draft-07/schema#", "$ref": "#/definitions/x", "definitions": {"x": {}}},
            {"maxLength": 1},
            "ab",
        ),
    ],
)
def test_a_narrowing_is_never_lost(schema: dict[str, Any], overlay: dict[str, Any], refused: object) -> None:
    assert not accepts(narrow(schema, overlay), refused)


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
