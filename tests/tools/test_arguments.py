"""What a model hears about the arguments it wrote."""

import json
from typing import Any

import pytest

from gateway.errors import BadArguments
from gateway.ports import ToolSpec
from gateway.tools.arguments import ArgumentChecker, schema_fault

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "subject": {"type": "string", "maxLength": 20},
        "severity": {"enum": ["low", "high"]},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["subject"],
    "additionalProperties": False,
}


def check(text: str, schema: dict[str, Any] = SCHEMA) -> dict[str, Any]:
    return ArgumentChecker().check(ToolSpec(name="t", description="", schema=schema), text)


def test_arguments_that_fit_are_returned() -> None:
    assert check('{"subject": "printer", "tags": ["a"]}') == {"subject": "printer", "tags": ["a"]}


def test_no_text_is_no_arguments() -> None:
    assert check(" ", {"type": "object"}) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"subject": "x", "severity": "urgnt"}', "severity: 'urgnt' is not one of ['low', 'high']"),
        ('{"subject": "x", "tags": ["a", 5]}', "tags.1: 5 is not of type 'string'"),
        ("{}", "'subject' is a required property"),
        ('{"subject": "x", "color": 1}', "'color' is not a known property (known: subject, severity, tags)"),
        ('{"subject": "x"', "not valid JSON: Expecting ',' delimiter at character 15, near '{\"subject\": \"x\"'"),
        ("[1]", "must be a JSON object, not an array"),
        ('{"subject": NaN}', "NaN is not JSON"),
        ('{"subject": ' + "[" * 70 + "]" * 70 + "}", "nested more than 64 deep"),
        ('{"subject": ' + "[" * 100_000, "not valid JSON"),
        ('{"subject": "' + "x" * 2**20 + '"}', "longer than 1048576 characters"),
    ],
)
def test_the_message_says_what_is_wrong_and_where(text: str, message: str) -> None:
    with pytest.raises(BadArguments) as caught:
        check(text)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("text", ['{"x": "\\ud83d"}', '{"\\udc00": 1}', '{"x": "\ud83d"}'])
def test_half_of_a_surrogate_pair_is_not_passed_on(text: str) -> None:
    with pytest.raises(BadArguments, match="not valid Unicode"):
        check(text, {"type": "object"})


def test_a_whole_surrogate_pair_is_one_character() -> None:
    assert check('{"x": "\\ud83d\\ude00"}', {"type": "object"}) == {"x": "\U0001f600"}


def test_many_mistakes_are_told_a_few_at_a_time() -> None:
    schema = {"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(9)}}
    with pytest.raises(BadArguments, match="and 4 more"):
        check("{" + ", ".join(f'"p{n}": {n}' for n in range(9)) + "}", schema)


def test_a_pattern_that_never_ends_counts_as_not_matched() -> None:
    schema = {"type": "object", "properties": {"x": {"pattern": "^(a|a)*$"}}}
    with pytest.raises(BadArguments, match="took too long"):
        check('{"x": "' + "a" * 5000 + 'b"}', schema)


def test_a_pattern_in_an_unknown_dialect_is_left_to_the_server() -> None:
    assert check('{"x": "a"}', {"type": "object", "properties": {"x": {"pattern": "(?!<["}}}) == {"x": "a"}


@pytest.mark.parametrize(
    ("schema", "fault"),
    [
        ({"type": "object"}, ""),
        ({"type": 5}, "not valid"),
        ({"properties": {"x": {"pattern": "(?!<["}}}, ""),
        ({"$ref": "http://127.0.0.1:9/x.json"}, "outside of itself"),
        ({"$ref": "#"}, "without end"),
        ({"$schema": "http://json-schema.org/draft-07/schema#", "properties": {"a": {"items": [{}]}}}, ""),
    ],
)
def test_a_schema_that_cannot_be_used_is_known_before_it_is_offered(schema: dict[str, Any], fault: str) -> None:
    found = schema_fault(schema)
    assert fault in found if fault else not found


def test_a_schema_is_compiled_once() -> None:
    checker, spec = ArgumentChecker(capacity=1), ToolSpec(name="t", description="", schema=SCHEMA)
    assert checker.check(spec, '{"subject": "x"}') == checker.check(spec, '{"subject": "x"}')
    other = ToolSpec(name="u", description="", schema={"type": "object"})
    assert checker.check(other, '{"anything": 1}') == {"anything": 1}


def doubling(keyword: str, levels: int) -> dict[str, Any]:
    """A small schema that takes 2^levels steps to go through."""

    def twice(level: int) -> dict[str, Any]:
        return {keyword: [{"$ref": f"#/$defs/level{level}"}] * 2}

    inner = {f"level{level}": twice(level + 1) for level in range(levels)}
    return {"type": "object", **twice(0), "$defs": {**inner, f"level{levels}": {}}}


@pytest.mark.parametrize("keyword", ["allOf", "anyOf", "oneOf"])
def test_a_schema_that_takes_for_ever_is_known_before_it_is_offered(keyword: str) -> None:
    schema = doubling(keyword, 60 if keyword != "anyOf" else 1)
    assert ("too much work" in schema_fault(schema)) is (keyword != "anyOf")


def test_a_schema_that_takes_for_ever_with_some_arguments_is_not_gone_through() -> None:
    bomb = doubling("allOf", 60)
    schema = {"properties": {"x": {"$ref": "#/$defs/level0"}}, "$defs": bomb["$defs"]}
    assert schema_fault(schema) == ""
    with pytest.raises(BadArguments, match="too much work"):
        check('{"x": 1}', schema)


def test_work_that_hides_behind_unevaluated_properties_counts() -> None:
    bomb = doubling("allOf", 60)
    schema = {"properties": {"x": {"unevaluatedProperties": False, **bomb}}, "$defs": bomb["$defs"]}
    with pytest.raises(BadArguments, match="too much work"):
        check('{"x": {}}', schema)


def test_a_long_schema_is_looked_through_at_once() -> None:
    assert schema_fault({"type": "object", "$defs": {f"d{number}": {} for number in range(9000)}}) == ""


def test_many_strings_do_not_get_the_time_of_one_each() -> None:
    schema = {"properties": {"x": {"items": {"pattern": "^(a|aa)+$"}}}}
    with pytest.raises(BadArguments, match="too much work"):
        check(json.dumps({"x": ["a" * 60 + "b"] * 10_000}), schema)


def test_an_inner_schema_of_another_draft_is_bounded_too() -> None:
    inner = {"$schema": "http://json-schema.org/draft-07/schema#", "pattern": "^(a|a)*$"}
    with pytest.raises(BadArguments, match="took too long"):
        check('{"x": "' + "a" * 5000 + 'b"}', {"properties": {"x": inner}})


@pytest.mark.parametrize("item", ['{"a": %d}', "%d", '"%d"', "1%d000000000000000000.0", "[%d]"])
def test_many_items_are_compared_without_comparing_each_with_each(item: str) -> None:
    schema = {"properties": {"x": {"uniqueItems": True}}}
    items = [item % number for number in range(15_000)]
    assert check('{"x": [' + ", ".join(items) + "]}", schema)
    with pytest.raises(BadArguments, match="x: item 15000 is the same"):
        check('{"x": [' + ", ".join([*items, items[7]]) + "]}", schema)


@pytest.mark.parametrize(
    ("items", "equal"),
    [
        ("1, 1.0", True),
        ("1, true", False),
        ("0, false", False),
        ('"1", 1', False),
        ('{"a": 1, "b": [2.0]}, {"b": [2], "a": 1}', True),
        ("null, false", False),
        ("1e400, 1e401", True),
    ],
)
def test_equal_means_what_json_schema_says(items: str, equal: bool) -> None:
    schema = {"properties": {"x": {"uniqueItems": True}}}
    if not equal:
        assert check(f'{{"x": [{items}]}}', schema)
        return
    with pytest.raises(BadArguments, match="the same"):
        check(f'{{"x": [{items}]}}', schema)


def test_what_is_too_long_is_not_looked_at_any_further() -> None:
    schema = {"properties": {"x": {"uniqueItems": True, "items": {"type": "string"}, "maxItems": 2}}}
    with pytest.raises(BadArguments) as caught:
        check('{"x": [' + ", ".join(["1"] * 100_000) + "]}", schema)
    assert str(caught.value).count("x") == 1


def test_large_values_are_not_written_out_for_every_branch() -> None:
    schema = {"properties": {"x": {"anyOf": [{"type": "string"}] * 5000}}}
    with pytest.raises(BadArguments, match="too much work"):
        check('{"x": [' + ", ".join(["1"] * 300_000) + "]}", schema)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"$ref": "#/default", "default": {"properties": 5}}, "{}"),
        ({"properties": {"x": {"$ref": "#/default"}}, "default": {"type": "what"}}, '{"x": 1}'),
        ({"properties": {"x": {"$ref": "#/default"}}, "default": {"multipleOf": 0}}, '{"x": 1}'),
        ({"properties": {"x": {"$ref": "#/properties/x"}}}, '{"x": 1}'),
        ({"properties": {"x": {"$ref": "#nowhere"}}}, '{"x": 1}'),
    ],
)
def test_what_is_no_schema_where_one_is_referred_to_is_the_tools_fault(schema: dict[str, Any], value: str) -> None:
    with pytest.raises(BadArguments, match="own schema cannot be used"):
        check(value, schema)


@pytest.mark.parametrize(
    ("schema", "place"),
    [
        ({"properties": [1]}, "properties"),
        ({"properties": {"x": {"required": True}}}, "properties.x.required"),
        ({"allOf": [{"minLength": -1}]}, "allOf.0.minLength"),
        ({"properties": {"x": 5}}, "properties.x"),
        ({"items": {"enum": 5}}, "items.enum"),
        ({"$defs": 5}, "$defs"),
    ],
)
def test_a_keyword_with_an_impossible_value_is_named(schema: dict[str, Any], place: str) -> None:
    assert f"not valid: {place} " in schema_fault(schema)


def test_references_by_anchor_and_id_are_found() -> None:
    schema = {
        "$id": "https://example.org/tool",
        "properties": {"x": {"$ref": "#name"}, "y": {"$ref": "part"}},
        "$defs": {"a": {"$anchor": "name", "type": "string"}, "b": {"$id": "part", "type": "integer"}},
    }
    assert schema_fault(schema) == ""
    assert check('{"x": "a", "y": 1}', schema)
    with pytest.raises(BadArguments, match="x: 1 is not of type 'string'; y: 'a' is not of type 'integer'"):
        check('{"x": 1, "y": "a"}', schema)
