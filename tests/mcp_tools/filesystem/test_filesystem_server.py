"""What the filesystem server offers, to whom, and how it is started."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters

from mcp_tools.filesystem import create_server
from mcp_tools.filesystem.settings import SettingsError
from tests.mcp_tools.filesystem.file_tools import Era, FileTools, file_tools, names_in, text_of

pytestmark = pytest.mark.anyio

READ_ONLY = {
    "read_text_file",
    "read_multiple_files",
    "read_media_file",
    "get_file_info",
    "list_directory",
    "directory_tree",
    "search_files",
    "list_allowed_roots",
}
WRITING = {"write_file", "edit_file", "create_directory", "move_file"}


async def names(tools: FileTools) -> set[str]:
    return {tool.name for tool in (await tools.client.list_tools()).tools}


async def test_only_the_tools_that_the_settings_allow_are_offered(folder: Path, era: Era) -> None:
    async with file_tools(folder, era=era) as tools:
        assert await names(tools) == READ_ONLY | WRITING
    async with file_tools(folder, era=era, allow_delete=True) as tools:
        assert await names(tools) == READ_ONLY | WRITING | {"delete_file"}
    async with file_tools(folder, era=era, read_only=True, allow_delete=True) as tools:
        assert await names(tools) == READ_ONLY
        assert "Unknown tool" in await tools.refusal("write_file", path="a", content="b")
    assert names_in(folder) == []


async def test_every_tool_says_what_it_may_do(folder: Path) -> None:
    async with file_tools(folder, allow_delete=True) as tools:
        for tool in (await tools.client.list_tools()).tools:
            hints = tool.annotations
            assert hints is not None and tool.title and tool.description
            assert hints.open_world_hint is False
            assert hints.read_only_hint is (tool.name in READ_ONLY)
            assert hints.destructive_hint is (tool.name in {"write_file", "edit_file", "move_file", "delete_file"})
            assert hints.idempotent_hint is (tool.name not in {"edit_file", "move_file"})


async def test_an_argument_that_no_tool_knows_is_refused(folder: Path, era: Era) -> None:
    (folder / "a.txt").write_text("old")
    async with file_tools(folder, era=era) as tools:
        listed = {tool.name: tool for tool in (await tools.client.list_tools()).tools}
        assert listed["write_file"].input_schema["additionalProperties"] is False
        wrong = {"path": "a.txt", "content": "new", "expected_sha": "0" * 64}
        assert "expected_sha" in await tools.refusal("write_file", **wrong)
    assert (folder / "a.txt").read_text() == "old"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"roots": ["{root}"], "rootz": 1}, "unknown key 'rootz'; known keys: roots, read_only"),
        ({}, "'roots' is missing"),
        ({"roots": []}, "roots: Tuple should have at least 1 item"),
        ({"roots": ["{root}/nowhere"]}, "nowhere' is not an existing folder"),
        ({"roots": ["{root}", "{root}/inner"]}, "inner' overlaps another root"),
        ({"roots": ["{root}"], "max_read_bytes": 1}, "max_read_bytes: Input should be greater than or equal to 1024"),
    ],
)
async def test_settings_that_are_not_usable_are_named(folder: Path, settings: dict[str, Any], message: str) -> None:
    (folder / "inner").mkdir()
    if "roots" in settings:
        settings = {**settings, "roots": [root.format(root=folder) for root in settings["roots"]]}
    with pytest.raises(SettingsError) as raised:
        create_server(settings)
    assert message in str(raised.value)


async def test_the_roots_are_named_and_take_absolute_paths(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for root in (first, second):
        root.mkdir()
        (root / "who.txt").write_text(root.name)
    async with file_tools(first, second, read_only=True) as tools:
        assert (await tools.data("list_allowed_roots"))["roots"] == [
            {"path": str(first), "relative_paths_start_here": True, "writable": False},
            {"path": str(second), "relative_paths_start_here": False, "writable": False},
        ]
        assert (await tools.data("read_text_file", path="who.txt"))["content"] == "first"
        assert (await tools.data("read_text_file", path=f"{first}/who.txt"))["path"] == "who.txt"
        found = (await tools.data("search_files", path=str(second), contains="second"))["hits"]
        assert [hit["path"] for hit in found] == [f"{second}/who.txt"]
        assert (await tools.data("read_text_file", path=found[0]["path"]))["content"] == "second"


async def test_a_root_that_was_given_through_a_link_takes_both_of_its_names(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    (real / "a.txt").write_text("here")
    (tmp_path / "alias").symlink_to(real)
    async with file_tools(tmp_path / "alias") as tools:
        for name in ("a.txt", f"{real}/a.txt", f"{tmp_path}/alias/a.txt"):
            assert (await tools.data("read_text_file", path=name))["content"] == "here"


async def test_it_serves_over_standard_input_and_output(folder: Path, era: Era) -> None:
    (folder / "a.txt").write_text("line one\nline two\n")
    command = StdioServerParameters(
        command=sys.executable,
        args=["-m", "mcp_tools.filesystem", "--root", str(folder), "--allow-delete"],
        cwd=Path(__file__).parents[3],
    )
    async with Client(command, mode=era) as client:
        tools = FileTools(client=client)
        assert (await tools.data("read_text_file", path="a.txt", tail=1))["content"] == "line two\n"
        assert (await tools.data("search_files", regex=r"line t\w+"))["hits"][0]["line"] == 2
        await tools.data("delete_file", path="a.txt")
    assert not (folder / "a.txt").exists()


async def test_the_command_line_refuses_what_it_cannot_serve(folder: Path) -> None:
    command = [sys.executable, "-m", "mcp_tools.filesystem", "--root", str(folder / "nowhere")]
    ended = subprocess.run(  # noqa: ASYNC221
        command, cwd=Path(__file__).parents[3], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 2
    assert "is not an existing folder" in ended.stderr and "Traceback" not in ended.stderr


async def test_a_write_that_the_system_refuses_leaves_the_old_file_and_nothing_else(folder: Path) -> None:
    (folder / "a.txt").write_text("old")
    serve = f'ulimit -f 64; exec "{sys.executable}" -B -m mcp_tools.filesystem --root "{folder}"'
    command = StdioServerParameters(command="sh", args=["-c", serve], cwd=Path(__file__).parents[3])
    async with Client(command) as client:
        result = await client.call_tool("write_file", {"path": "a.txt", "content": "x" * 300_000})
        assert result.is_error and "larger than the system allows" in text_of(result)
    assert (folder / "a.txt").read_text() == "old"
    assert names_in(folder) == ["a.txt"]
