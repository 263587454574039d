"""What a model hears about the arguments it wrote."""

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
