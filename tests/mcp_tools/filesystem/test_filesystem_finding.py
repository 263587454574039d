"""Listing and searching: sorted, in pages, within limits, and never hanging."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from mcp_tools.filesystem import regex_worker
from tests.mcp_tools.filesystem.file_tools import Era, FileTools, file_tools, text_of

pytestmark = pytest.mark.anyio


async def found(files: FileTools, **query: object) -> list[str]:
    return [hit["path"] for hit in (await files.data("search_files", **query))["hits"]]


@pytest.fixture
def project(folder: Path) -> Path:
    """A small tree of files."""
    for path, text in {
        "README.md": "# Title\nhello world\n",
        "src/app.py": "import os\n\nprint('Hello')\n",
        "src/deep/er/mod.py": "HELLO = 1\n",
        "src/page.tsx": "hello()\r\nbye()\r\n",
        ".git/config": "hello\n",
        "data.bin": "hello\0",
    }.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(text.encode())
    return folder


async def test_a_directory_is_listed_with_types_sizes_and_times(folder: Path, era: Era) -> None:
    (folder / "d").mkdir()
    (folder / "a").write_text("12345")
    (folder / "l").symlink_to("a")
    os.utime(folder / "a", (0, 0))
    async with file_tools(folder, era=era) as files:
        result = await files.result("list_directory")
    assert result.structured_content is not None
    listed = result.structured_content["entries"]
    assert [(entry["name"], entry["type"], entry["size"]) for entry in listed] == [
        ("a", "file", 5),
        ("d", "directory", None),
        ("l", "symlink", None),
    ]
    assert listed[0]["modified"] == "1970-01-01T00:00:00Z"
    assert text_of(result).splitlines()[0] == "a  file  5 bytes  1970-01-01T00:00:00Z"


async def test_a_long_directory_comes_in_pages(files: FileTools, folder: Path) -> None:
    for number in range(25):
        (folder / f"{number:02}").touch()
    names: list[str] = []
    offset: int | None = 0
    while offset is not None:
        page = await files.data("list_directory", offset=offset, limit=10)
        assert page["total"] == 25 and len(page["entries"]) <= 10
        names += [entry["name"] for entry in page["entries"]]
        offset = page["next_offset"]
    assert names == [f"{number:02}" for number in range(25)]
    assert (await files.data("list_directory", offset=99))["entries"] == []


async def test_a_directory_can_be_listed_by_size_and_time(files: FileTools, folder: Path) -> None:
    for name, size, time in (("a", 1, 30), ("b", 3, 10), ("c", 2, 20)):
        (folder / name).write_text("x" * size)
        os.utime(folder / name, (time, time))
    for order, names in (("size", "bca"), ("modified", "acb"), ("name", "abc")):
        page = await files.data("list_directory", sort_by=order)
        assert [entry["name"] for entry in page["entries"]] == list(names)


async def test_a_tree_shows_its_levels_and_leaves_out_what_is_excluded(files: FileTools, project: Path) -> None:
    result = await files.result("directory_tree")
    assert text_of(result) == ("README.md\ndata.bin\nsrc/\n  app.py\n  deep/\n    er/\n  page.tsx")
    assert len((await files.data("directory_tree", depth=4))["entries"]) == 8
    assert [entry["path"] for entry in (await files.data("directory_tree", path="src", depth=1))["entries"]] == [
        "app.py",
        "deep",
        "page.tsx",
    ]
    kept = await files.data("directory_tree", exclude=["src/deep", "*.md", ".git"])
    assert [entry["path"] for entry in kept["entries"]] == ["data.bin", "src", "src/app.py", "src/page.tsx"]
    cut = await files.data("directory_tree", max_entries=2)
    assert (len(cut["entries"]), cut["truncated"]) == (2, True)


async def test_a_tree_deeper_than_a_path_may_be_long_is_walked(files: FileTools, folder: Path) -> None:
    name, depth = "d" * 200, 40  # 8000 characters; a path may have 4096
    here = os.open(folder, os.O_RDONLY)
    for level in range(depth):
        os.mkdir(name, dir_fd=here)
        file = os.open(f"f{level}", os.O_CREAT | os.O_WRONLY, dir_fd=here)
        os.write(file, b"needle")
        os.close(file)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    outcome = await files.data("search_files", contains="needle", max_results=1_000)
    assert len(outcome["hits"]) == depth or (len(outcome["hits"]) >= 18 and outcome["skipped"] >= 1)
    shallow = await files.data("directory_tree", depth=2)
    assert len(shallow["entries"]) == 4


@pytest.mark.parametrize(
    ("pattern", "paths"),
    [
        ("*.py", ["src/app.py", "src/deep/er/mod.py"]),
        ("src/*.py", ["src/app.py"]),
        ("**/*.py", ["src/app.py", "src/deep/er/mod.py"]),
        ("src/**", ["src", "src/app.py", "src/deep", "src/deep/er", "src/deep/er/mod.py", "src/page.tsx"]),
        ("src/**/mod.py", ["src/deep/er/mod.py"]),
        ("*.{md,ts{,x}}", ["README.md", "src/page.tsx"]),
        ("[Rr]eadme*", []),
        ("[Rr]EADME*", ["README.md"]),
        ("d?ta.*", ["data.bin"]),
        ("er", ["src/deep/er"]),
        ("./src/app.py", ["src/app.py"]),
    ],
)
async def test_files_are_found_by_name(files: FileTools, project: Path, pattern: str, paths: list[str]) -> None:
    assert await found(files, pattern=pattern) == paths


async def test_paths_that_are_found_can_be_read(files: FileTools, project: Path) -> None:
    for path in await found(files, path="src", contains="hello", ignore_case=True):
        assert "hello" in (await files.data("read_text_file", path=path))["content"].lower()


async def test_lines_are_found_by_text(files: FileTools, project: Path) -> None:
    outcome = await files.data("search_files", contains="hello")
    assert outcome["hits"] == [
        {"path": "README.md", "type": "file", "line": 2, "text": "hello world"},
        {"path": "src/page.tsx", "type": "file", "line": 1, "text": "hello()"},
    ]
    assert outcome["skipped"] == 1  # data.bin
    assert outcome["stopped"] is None
    everywhere = await found(files, contains="hello", ignore_case=True, exclude=[])
    assert everywhere == [".git/config", "README.md", "src/app.py", "src/deep/er/mod.py", "src/page.tsx"]
    assert await found(files, contains="h.llo") == []
    assert await found(files, contains="hello", pattern="*.md") == ["README.md"]
    assert await found(files, path="src/page.tsx", contains="bye") == ["src/page.tsx"]
    assert "not both" in await files.refusal("search_files", contains="a", regex="b")
    assert "does not exist" in await files.refusal("search_files", path="nope", contains="a")


async def test_lines_are_found_by_regular_expression(files: FileTools, project: Path) -> None:
    outcome = await files.data("search_files", regex=r"^h\w+\(\)$")
    assert [(hit["path"], hit["line"]) for hit in outcome["hits"]] == [("src/page.tsx", 1)]
    assert await found(files, regex="^hello = [0-9]$", ignore_case=True) == ["src/deep/er/mod.py"]
    empty = await files.data("search_files", regex="^$")
    assert [(hit["path"], hit["line"]) for hit in empty["hits"]] == [("src/app.py", 2)]
    assert "not valid" in await files.refusal("search_files", regex="(")


async def test_a_regular_expression_that_would_never_end_is_stopped(folder: Path) -> None:
    (folder / "a").write_text("found aaab\n")
    (folder / "b").write_text("a" * 5_000 + "!\n")
    async with file_tools(folder, search_seconds=1.5) as files:
        with anyio.fail_after(60):
            result = await files.result("search_files", regex=r"(a+)+b")
        assert result.structured_content is not None
        assert result.structured_content["stopped"] == "time"
        assert [hit["path"] for hit in result.structured_content["hits"]] == ["a"]
        assert "stopped after 1.5 s" in text_of(result)
        assert await found(files, contains="found") == ["a"]


def test_a_regular_expression_whose_server_was_killed_ends_by_itself() -> None:
    command = [sys.executable, "-I", regex_worker.__file__]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as worker:
        assert worker.stdin is not None
        order = {"pattern": "(a+)+b", "ignore_case": False, "memory": 2**30, "seconds": 1}
        regex_worker.send(worker.stdin, order)
        regex_worker.send(worker.stdin, ["a" * 5_000])
        assert worker.wait(timeout=60) in (-signal.SIGKILL, -signal.SIGXCPU)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="macOS has no limit of address space")
async def test_a_regular_expression_that_takes_all_memory_is_stopped(folder: Path) -> None:
    (folder / "a").write_text("x" * 1_000_000 + "\n")
    async with file_tools(folder) as files:
        with anyio.fail_after(60):
            assert "too much memory" in await files.refusal("search_files", regex="(" * 60 + "x" + ")" * 60 + "*y")


async def test_a_search_stops_at_the_number_asked_for(files: FileTools, folder: Path) -> None:
    (folder / "a").write_text("x\n" * 50)
    outcome = await files.data("search_files", contains="x", max_results=10)
    assert (len(outcome["hits"]), outcome["stopped"]) == (10, "limit")
    assert (await files.data("search_files", contains="x", max_results=50))["stopped"] is None
    for number in range(5):
        (folder / f"n{number}").touch()
    assert (await files.data("search_files", pattern="n*", max_results=4))["stopped"] == "limit"


async def test_lines_in_a_large_file_keep_their_numbers(files: FileTools, folder: Path) -> None:
    with (folder / "big").open("w", encoding="utf-16") as file:
        for number in range(1, 300_001):
            file.write(f"line {number}\n")
        file.write("a very long one " + "x" * 3_000_000 + " needle in it\n")
        file.write("needle at the end")
    outcome = await files.data("search_files", contains="needle")
    assert [hit["line"] for hit in outcome["hits"]] == [300_001, 300_002]
    assert len(outcome["hits"][0]["text"]) <= 302 and "needle" in outcome["hits"][0]["text"]
    outcome = await files.data("search_files", regex="^line 299999$")
    assert [hit["line"] for hit in outcome["hits"]] == [299_999]


async def test_patterns_with_too_many_alternatives_are_refused(files: FileTools) -> None:
    assert "too many alternatives" in await files.refusal("search_files", pattern="{a,b}" * 10)
    assert "too long" in await files.refusal("search_files", pattern="a" * 1_001)
    with anyio.fail_after(60):
        await files.data("write_file", path="a" * 200, content="")
        assert await found(files, pattern="*a" * 100 + "b") == []
        assert await found(files, pattern="**/" * 200 + "b") == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="macOS keeps names in Unicode")
async def test_names_that_are_no_unicode_are_shown_and_do_not_break_a_listing(files: FileTools, folder: Path) -> None:
    (folder / os.fsdecode(b"caf\xe9")).write_text("needle")
    assert [entry["name"] for entry in (await files.data("list_directory"))["entries"]] == ["caf\\xe9"]
    assert [entry["path"] for entry in (await files.data("directory_tree"))["entries"]] == ["caf\\xe9"]
    assert await found(files, contains="needle") == ["caf\\xe9"]
