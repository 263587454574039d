"""YAML without surprises, and JSON, with the place of every mistake."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.agents.positions import DocumentError
from gateway.agents.strict_yaml import load


def read(folder: Path, text: str, name: str = "x.yaml") -> dict[str, object]:
    file = folder / name
    file.write_bytes(text.encode())
    return load(file)[0]


def refused(folder: Path, text: str, name: str = "x.yaml") -> str:
    with pytest.raises(DocumentError) as caught:
        read(folder, text, name)
    return str(caught.value).removeprefix(f"{folder}/{name}:")


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("on", "on"),
        ("off", "off"),
        ("yes", "yes"),
        ("No", "No"),
        ("true", True),
        ("False", False),
        ("2026-01-31", "2026-01-31"),
        ("2026-01-31T10:00:00Z", "2026-01-31T10:00:00Z"),
        ("1:30", "1:30"),
        ("190:20:30", "190:20:30"),
        ("0o17", "0o17"),
        ("010", 10),
        ("0x1F", 31),
        ("1_000", "1_000"),
        ("0b1", "0b1"),
        ("+12", 12),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("1.", 1.0),
        ("~", None),
        ("", None),
        ("null", None),
        ("=", "="),
        ("!!str 5", "5"),
        ("!!float 5", 5.0),
        ('"\\u00e9"', "é"),
        ("|\n  a\n  b\n", "a\nb\n"),
        (">-\n  a\n  b\n", "a b"),
    ],
)
def test_a_plain_value_is_what_yaml_1_2_says(tmp_path: Path, written: str, value: object) -> None:
    found = read(tmp_path, f"x: {written}")["x"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "3:1: the key `a` is given twice"),
        ("a:\n  é: 1\n  e\u0301: 2\n", "3:3: the key `e\u0301` is given twice"),
        ("a: 1\n\tb: 2\n", "2:1: YAML is indented with spaces, not tabs"),
        ("1: a\n", "1:1: a key must be a string: quote it"),
        ("? [a]\n: b\n", "1:3: a key must be a string: quote it"),
        ("a: &x {b: 1}\nc:\n  <<: *x\n", "3:3: merge keys (`<<`) are not part of YAML 1.2: write the keys out"),
        ("a: !!timestamp 2026-01-01\n", "1:4: the tag !!timestamp is not supported"),
        ("a: !thing 1\n", "1:4: the tag !thing is not supported"),
        ("a: !!set {b}\n", "1:4: the tag !!set is not supported"),
        ("a: !!int x\n", "1:4: 'x' is not of the type !!int"),
        ("a: .inf\n", "1:4: infinite and undefined numbers are not allowed"),
        ("a: 1e999\n", "1:4: infinite and undefined numbers are not allowed"),
        ("a: 9007199254740993\n", "1:4: whole numbers beyond 2^53-1 are not exact in JSON; quote it"),
        ("a: " + "9" * 5000, "1:4: whole numbers beyond 2^53-1 are not exact in JSON; quote it"),
        ("a: 1\n--- \nb: 2\n", "2:1: expected a single document in the stream, but found another document"),
        ("- a\n", "1:1: must be a mapping of keys to values"),
        ("a: *b\n", "1:4: found undefined alias 'b'"),
        ("a: &a [*a]\n", "1:4: aliases make this document endless or far too large"),
        ("a: [1\nb: 2\n", "2:2: while parsing a flow sequence, expected ',' or ']', but got ':'"),
        ("a: 1\nb: x\x01\n", "2:5: a control character is not allowed here"),
        ("a: b\u2028c\n", "1:5: write U+2028 as an escape in double quotes: YAML readers disagree on it"),
        ('a: "\\ud800"\n', "1:4: half a surrogate pair"),
        ("a: " + "[" * 80, "1:67: nested more than 64 deep"),
    ],
)
def test_a_mistake_names_line_and_column(tmp_path: Path, text: str, message: str) -> None:
    assert refused(tmp_path, text) == message


def test_aliases_work_but_a_bomb_of_them_is_refused(tmp_path: Path) -> None:
    assert read(tmp_path, "a: &x {b: 1}\nc: *x\n") == {"a": {"b": 1}, "c": {"b": 1}}
    bomb = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10))
    assert "aliases make this document endless or far too large" in refused(tmp_path, bomb)


def test_an_empty_file_is_an_empty_mapping(tmp_path: Path) -> None:
    assert read(tmp_path, "# nothing\n") == {}
    assert read(tmp_path, " \n", "x.json") == {}


def test_a_file_that_cannot_be_read_is_an_error_of_that_file(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match=r"none.yaml:1:1: cannot be read: No such file"):
        load(tmp_path / "none.yaml")
    (tmp_path / "x.yaml").write_bytes(b"a: 1\nb: \xff\n")
    with pytest.raises(DocumentError, match=r"x.yaml:2:4: is not UTF-8 text"):
        load(tmp_path / "x.yaml")
    (tmp_path / "x.yaml").write_bytes(b"#" * (2**20 + 1))
    with pytest.raises(DocumentError, match="is larger than 1048576 bytes"):
        load(tmp_path / "x.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1, "a": 2}', "1:10: the key `a` is given twice"),
        ('{"a": 1,\n}', "2:1: expected a key in double quotes"),
        ('{"a": NaN}', "1:7: NaN is not JSON"),
        ('{"a": 1} x', "1:10: nothing may follow the document"),
        ('{"a": [1 2]}', "1:10: expected `,` or `]`"),
        ('{"a" 1}', "1:6: expected `:`"),
        ('{"a": tru}', "1:7: expecting value"),
        ('{"a": "b\n"}', "1:9: invalid control character at"),
        ('{"a": "\\ud800"}', "1:7: half a surrogate pair"),
        ('{"a": 1e999}', "1:7: infinite and undefined numbers are not allowed"),
        ('{"a": ' + "[" * 80, "1:71: nested more than 64 deep"),
        ("[1]", "1:1: must be a mapping of keys to values"),
    ],
)
def test_a_mistake_in_json_names_line_and_column(tmp_path: Path, text: str, message: str) -> None:
    assert refused(tmp_path, text, "x.json") == message


def test_json_may_be_indented_with_tabs_and_hold_surrogate_pairs(tmp_path: Path) -> None:
    assert read(tmp_path, '{\n\t"a"\n:\t"\\ud83d\\ude00"}', "x.json") == {"a": "😀"}


@given(st.text(max_size=200))
def test_no_text_makes_it_fail_in_another_way(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.mktemp("any")
    for name in ("x.yaml", "x.json"):
        (folder / name).write_bytes(text.encode("utf-8", "surrogatepass"))
        try:
            load(folder / name)
        except DocumentError as error:
            assert error.problems[0].line >= 1


def test_variables_are_filled_in_from_the_mapping_only(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("a: '{{env.HOST}}:{{ env.PORT }}'\nb: [1, '{{env.ODD}}']\n")
    data, _ = load(tmp_path / "x.yaml", {"HOST": "h", "PORT": "1", "ODD": "{{env.HOST}}"})
    assert data == {"a": "h:1", "b": [1, "{{env.HOST}}"]}
    with pytest.raises(DocumentError, match=r"x.yaml:2:9: the environment variable ODD is not set"):
        load(tmp_path / "x.yaml", {"HOST": "h", "PORT": "1"})
