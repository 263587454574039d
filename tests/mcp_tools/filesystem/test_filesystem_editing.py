"""Editing: exact replacements that keep everything else, and refusals that help."""

import re
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_tools.filesystem.editing import Replacement, replace_all, unified_diff
from tests.mcp_tools.filesystem.file_tools import Era, FileTools, content, file_tools, text_of

pytestmark = pytest.mark.anyio


async def test_several_edits_are_made_in_order_and_shown_as_a_diff(folder: Path, era: Era) -> None:
    (folder / "a.py").write_text("def f():\n    return 1\n\n\ndef g():\n    return 2\n")
    edits = [
        {"old_text": "return 1", "new_text": "return 10"},
        {"oldText": "return 10\n", "newText": "return 100\n"},
        {"old_text": "def ", "new_text": "async def ", "replace_all": True},
    ]
    async with file_tools(folder, era=era) as files:
        result = await files.result("edit_file", path="a.py", edits=edits)
    after = "async def f():\n    return 100\n\n\nasync def g():\n    return 2\n"
    assert content(folder / "a.py") == after
    assert text_of(result) == (
        "Changed 4 place(s) in a.py.\n--- a/a.py\n+++ b/a.py\n@@ -1,6 +1,6 @@\n-def f():\n-    return 1\n"
        "+async def f():\n+    return 100\n \n \n-def g():\n+async def g():\n     return 2"
    )


async def test_a_dry_run_shows_the_diff_and_changes_nothing(files: FileTools, folder: Path) -> None:
    (folder / "a").write_text("one\n")
    edits = [{"old_text": "one", "new_text": "two"}]
    dry = await files.data("edit_file", path="a", edits=edits, dry_run=True)
    assert (dry["changed"], dry["dry_run"], content(folder / "a")) == (False, True, "one\n")
    assert dry["sha256"] == (await files.data("get_file_info", path="a"))["sha256"]
    wet = await files.data("edit_file", path="a", edits=edits)
    assert (wet["changed"], wet["diff"], content(folder / "a")) == (True, dry["diff"], "two\n")
    assert wet["sha256"] == (await files.data("get_file_info", path="a"))["sha256"]


@pytest.mark.parametrize(
    ("old_text", "hint"),
    [
        ("  x = 1\n  y = 2", "differs only in white space from the text at line 2: '    x = 1'"),
        ("    retrun x + y", "most similar line is line 4: '    return x + y'"),
        ("    x = 1\n    z = 3", "first line is line 2, but the lines after it differ"),
        ("nothing like it at all", "No line is similar"),
        (" \n ", "Quote some text"),
        ("", "old_text is empty"),
        ("x", "occurs 3 times, nothing was changed. It starts at lines 1, 2, 4."),
    ],
)
async def test_an_edit_that_does_not_fit_says_where_it_might(
    files: FileTools, folder: Path, old_text: str, hint: str
) -> None:
    before = "def xf():\n    x = 1\n    y = 2\n    return x + y\n"
    (folder / "a").write_text(before)
    edits = [{"old_text": "def", "new_text": "DEF"}, {"old_text": old_text, "new_text": "new"}]
    refusal = await files.refusal("edit_file", path="a", edits=edits)
    assert refusal.startswith("edit 2 of 2: ") and hint in refusal
    assert content(folder / "a") == before


async def test_an_edit_needs_a_text_file_that_exists(files: FileTools, folder: Path) -> None:
    edits = [{"old_text": "a", "new_text": "b"}]
    assert "does not exist" in await files.refusal("edit_file", path="a", edits=edits)
    (folder / "a").write_bytes(b"a\0")
    assert "binary" in await files.refusal("edit_file", path="a", edits=edits)
    (folder / "d").mkdir()
    assert "is a directory" in await files.refusal("edit_file", path="d", edits=edits)
    (folder / "a").write_bytes(b"\xff\xfea\0\0")
    assert "not valid utf-16-le" in await files.refusal("edit_file", path="a", edits=edits)


@pytest.mark.parametrize(
    ("encoding", "mark"),
    [
        ("utf-8", b""),
        ("utf-8", b"\xef\xbb\xbf"),
        ("cp1252", b""),
        ("utf-16-be", b"\xfe\xff"),
        ("utf-16-le", b"\xff\xfe"),
    ],
)
async def test_encoding_mark_and_line_ends_are_kept(files: FileTools, folder: Path, encoding: str, mark: bytes) -> None:
    (folder / "a").write_bytes(mark + "„Zürich“\r\nzwei\r\nlone\nlast".encode(encoding))
    edits = [{"old_text": "“\nzwei\n", "new_text": "“\n2\n3\n"}]
    result = await files.data("edit_file", path="a", edits=edits)
    assert (folder / "a").read_bytes() == mark + "„Zürich“\r\n2\r\n3\r\nlone\nlast".encode(encoding)
    assert "\r" not in result["diff"]


async def test_a_character_that_the_encoding_lacks_is_refused(files: FileTools, folder: Path) -> None:
    (folder / "a").write_bytes("Zürich".encode("latin-1"))
    refusal = await files.refusal("edit_file", path="a", edits=[{"old_text": "rich", "new_text": "漢"}])
    assert "iso-8859-1, which has no '漢'" in refusal
    assert (folder / "a").read_bytes() == "Zürich".encode("latin-1")


async def test_edits_at_the_same_time_all_survive(files: FileTools, folder: Path) -> None:
    (folder / "a").write_text("".join(f"<{number}>\n" for number in range(24)))

    async def edit(number: int) -> None:
        await files.data("edit_file", path="a", edits=[{"old_text": f"<{number}>", "new_text": f"[{number}]"}])

    async with anyio.create_task_group() as group:
        for number in range(24):
            group.start_soon(edit, number)
    assert content(folder / "a") == "".join(f"[{number}]\n" for number in range(24))


async def test_an_edit_that_changes_nothing_says_so(files: FileTools, folder: Path) -> None:
    (folder / "a").write_text("same")
    result = await files.result("edit_file", path="a", edits=[{"old_text": "same", "new_text": "same"}])
    assert text_of(result) == "The edits leave a as it is."


ENDS = st.sampled_from(["\n", "\r\n"])
LINES = st.lists(st.tuples(st.text("ab \t", max_size=6), ENDS), max_size=8)


@given(before=LINES, after=LINES, new=st.text("xy", max_size=3))
def test_what_is_not_replaced_keeps_every_byte(
    before: list[tuple[str, str]], after: list[tuple[str, str]], new: str
) -> None:
    head, tail = ("".join(line + end for line, end in lines) for lines in (before, after))
    assert replace_all(head + "MARK" + tail, [Replacement(old="MARK", new=new)]) == (head + new + tail, 1)


def applied(diff: str, text: str) -> str:
    """`text` with `diff` applied as strictly as can be: every line number, count and context line must fit."""
    old = text.removesuffix("\n").split("\n") if text else []
    new: list[str] = []
    at, end = 0, text[-1:] == "\n"
    lines = diff.split("\n")
    assert lines[:2] == ["--- a/f", "+++ b/f"] and lines[-1] == ""
    for index, line in enumerate(lines[2:-1], 2):
        unended = lines[index + 1].startswith("\\")
        if header := re.fullmatch(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@", line):
            start, count, into, made = (int(number or 1) for number in header.groups())
            new += old[at : start - bool(count)]
            at = start - bool(count)
            assert len(new) == into - bool(made)
        elif line[0] in " -":
            assert old[at] == line[1:]
            assert unended is (at == len(old) - 1 and not text.endswith("\n"))
            at += 1
        if line[0] in " +":
            new.append(line[1:])
            end = not unended
    rest = old[at:]
    return "".join(f"{line}\n" for line in new + rest)[: None if (text[-1:] == "\n" if rest else end) else -1]


@given(before=st.text("ab\n", max_size=30), after=st.text("ab\n", max_size=30))
def test_a_diff_turns_the_old_text_into_the_new(before: str, after: str) -> None:
    diff = unified_diff(before, after, "f", 10_000)
    assert (diff == "") is (before == after)
    if diff:
        assert applied(diff, before) == after
