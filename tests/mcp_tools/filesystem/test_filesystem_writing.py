"""Writing, moving and deleting: whole or not at all, nothing lost, nothing replaced unasked."""

import base64
import fcntl
import hashlib
import os
import stat
from pathlib import Path

import anyio
import pytest

from mcp_tools.filesystem.beneath import PortableBeneath
from tests.mcp_tools.filesystem.file_tools import Era, FileTools, content, file_tools, names_in

pytestmark = pytest.mark.anyio


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


async def test_a_file_is_written_and_replaced(folder: Path, era: Era) -> None:
    async with file_tools(folder, era=era) as files:
        first = await files.data("write_file", path="a.txt", content="one\r\n")
        assert first == {"path": "a.txt", "created": True, "size": 5, "sha256": sha256("one\r\n")}
        assert (await files.data("write_file", path="a.txt", content=""))["created"] is False
    assert (folder / "a.txt").read_bytes() == b""
    assert names_in(folder) == ["a.txt"]


async def test_a_replaced_file_keeps_its_permissions_and_a_new_one_gets_the_umask(
    files: FileTools, folder: Path
) -> None:
    (folder / "old.sh").write_text("x")
    os.chmod(folder / "old.sh", 0o4751)
    umask = os.umask(0o027)
    try:
        await files.data("write_file", path="old.sh", content="y")
        await files.data("edit_file", path="old.sh", edits=[{"old_text": "y", "new_text": "z"}])
        await files.data("write_file", path="new", content="y")
    finally:
        os.umask(umask)
    assert stat.S_IMODE((folder / "old.sh").stat().st_mode) == 0o751
    assert stat.S_IMODE((folder / "new").stat().st_mode) == 0o640


async def test_missing_directories_are_made_only_when_asked(files: FileTools, folder: Path) -> None:
    assert "does not exist" in await files.refusal("write_file", path="a/b/c", content="x")
    assert names_in(folder) == []
    await files.data("write_file", path="a/b/c", content="x", create_directories=True)
    assert content(folder / "a" / "b" / "c") == "x"


async def test_a_taken_name_is_kept_without_overwrite(files: FileTools, folder: Path) -> None:
    (folder / "a").write_text("old")
    assert "exists already" in await files.refusal("write_file", path="a", content="new", overwrite=False)
    assert content(folder / "a") == "old"
    assert (await files.data("write_file", path="b", content="new", overwrite=False))["created"] is True


async def test_of_many_who_create_the_same_file_one_does(files: FileTools, folder: Path) -> None:
    won: list[str] = []

    async def create(text: str) -> None:
        arguments = {"path": "a", "content": text, "overwrite": False}
        if not (await files.client.call_tool("write_file", arguments)).is_error:
            won.append(text)

    async with anyio.create_task_group() as group:
        for number in range(12):
            group.start_soon(create, str(number))
    assert [content(folder / "a")] == won
    assert names_in(folder) == ["a"]


class BusyFolder(PortableBeneath):
    """A folder in which another program takes every name at the last moment."""

    def rename_new(self, source_directory: int, source: str, target_directory: int, target: str) -> None:
        os.close(os.open(target, os.O_CREAT | os.O_EXCL, dir_fd=target_directory))
        super().rename_new(source_directory, source, target_directory, target)


async def test_a_name_that_is_taken_at_the_last_moment_is_kept(folder: Path) -> None:
    async with file_tools(folder, beneath=BusyFolder()) as files:
        assert "exists already" in await files.refusal("write_file", path="a", content="x", overwrite=False)
        await files.data("write_file", path="b", content="x")
        assert "exists already" in await files.refusal("move_file", source="b", destination="c")
    assert [content(folder / name) for name in names_in(folder)] == ["", "x", ""]


async def test_bytes_can_be_written_as_base64(files: FileTools, folder: Path) -> None:
    data = bytes(range(256))
    await files.data("write_file", path="a", content=base64.b64encode(data).decode(), encoding="base64")
    assert (folder / "a").read_bytes() == data
    assert "not valid base64" in await files.refusal("write_file", path="a", content="ü", encoding="base64")
    assert "not valid base64" in await files.refusal("write_file", path="a", content="abc", encoding="base64")


async def test_what_is_too_large_is_not_written(folder: Path) -> None:
    async with file_tools(folder, max_write_bytes=1_024) as files:
        assert "more than the 1024" in await files.refusal("write_file", path="a", content="x" * 1_025)
        await files.data("write_file", path="a", content="x" * 1_024)
        edits = [{"old_text": "x", "new_text": "xx", "replace_all": True}]
        assert "larger than the 1024" in await files.refusal("edit_file", path="a", edits=edits)
        (folder / "b").write_text("x" * 1_025)
        assert "more than the 1024" in await files.refusal("edit_file", path="b", edits=edits)


async def test_a_change_that_somebody_else_made_meanwhile_is_not_overwritten(files: FileTools, folder: Path) -> None:
    (folder / "a").write_text("mine")
    seen = (await files.data("read_text_file", path="a"))["sha256"]
    (folder / "a").write_text("theirs")
    refusal = await files.refusal("write_file", path="a", content="new", expected_sha256=seen)
    assert "has changed since it was read" in refusal and sha256("theirs") in refusal
    edits = [{"old_text": "theirs", "new_text": "new"}]
    await files.refusal("edit_file", path="a", edits=edits, expected_sha256=seen)
    assert content(folder / "a") == "theirs"
    await files.data("edit_file", path="a", edits=edits, expected_sha256=sha256("theirs").upper())
    assert content(folder / "a") == "new"
    (folder / "a").unlink()
    assert "does not exist any more" in await files.refusal(
        "write_file", path="a", content="x", expected_sha256=sha256("new")
    )
    assert "String should match" in await files.refusal("write_file", path="a", content="x", expected_sha256="abc")


async def test_of_many_who_expect_the_same_content_one_writes(files: FileTools, folder: Path) -> None:
    (folder / "a").write_text("start")
    won: list[str] = []

    async def write(text: str) -> None:
        arguments = {"path": "a", "content": text, "expected_sha256": sha256("start")}
        if not (await files.client.call_tool("write_file", arguments)).is_error:
            won.append(text)

    async with anyio.create_task_group() as group:
        for number in range(12):
            group.start_soon(write, str(number))
    assert [content(folder / "a")] == won


async def test_a_lock_that_another_program_holds_for_long_ends_in_an_error_not_in_waiting(
    files: FileTools, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    held = os.open(folder, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    try:
        assert "holds the lock" in await files.refusal("write_file", path="a", content="x")
    finally:
        os.close(held)
    assert names_in(folder) == []
    await files.data("write_file", path="a", content="x")


async def test_a_directory_is_neither_written_nor_replaced_by_a_file(files: FileTools, folder: Path) -> None:
    (folder / "d").mkdir()
    (folder / "f").touch()
    assert "d is a directory" in await files.refusal("write_file", path="d", content="x")
    assert "d is a directory" in await files.refusal("write_file", path="d/", content="x")
    assert "d is a directory" in await files.refusal("move_file", source="f", destination="d", overwrite=True)
    assert names_in(folder) == ["d", "f"]


async def test_directories_are_made_with_all_above_them(files: FileTools, folder: Path) -> None:
    assert (await files.data("create_directory", path="a/b/c"))["created"] is True
    assert (await files.data("create_directory", path="a/b/c"))["created"] is False
    (folder / "f").touch()
    assert "a part of this path is a file" in await files.refusal("create_directory", path="f/x")
    assert "not a directory" in await files.refusal("create_directory", path="f")


@pytest.mark.parametrize("kind", ["file", "directory", "link"])
async def test_a_move_never_overwrites_unless_asked(files: FileTools, folder: Path, kind: str) -> None:
    (folder / "there").write_text("old")
    if kind == "file":
        (folder / "here").write_text("new")
    elif kind == "link":
        (folder / "here").symlink_to("there")
    else:
        (folder / "here").mkdir()
        (folder / "here" / "inside").touch()
    assert "there exists already" in await files.refusal("move_file", source="here", destination="there")
    assert content(folder / "there") == "old"
    await files.data("move_file", source="here", destination="free")
    assert names_in(folder) == ["free", "there"]
    assert (folder / "free").is_symlink() is (kind == "link") and (folder / "free").is_dir() is (kind == "directory")
    if kind == "file":
        await files.data("move_file", source="free", destination="there", overwrite=True)
        assert (names_in(folder), content(folder / "there")) == (["there"], "new")


async def test_a_move_between_directories_and_roots_works(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    (tmp_path / "one" / "d").mkdir()
    (tmp_path / "one" / "d" / "a").write_text("x")
    async with file_tools(tmp_path / "one", tmp_path / "two") as files:
        await files.data("move_file", source="d/a", destination="a")
        await files.data("move_file", source="a", destination=f"{tmp_path}/two/a")
        assert content(tmp_path / "two" / "a") == "x"
        assert "does not exist" in await files.refusal("move_file", source="a", destination="b")
        assert "missing/b does not exist" in await files.refusal("move_file", source="d", destination="missing/b")
        assert "into itself" in await files.refusal("move_file", source="d", destination="d/e")
        assert names_in(tmp_path / "one" / "d") == []


async def test_only_files_links_and_empty_directories_are_deleted(files: FileTools, folder: Path) -> None:
    (folder / "d").mkdir()
    (folder / "d" / "a").touch()
    assert "directory with content" in await files.refusal("delete_file", path="d")
    assert (await files.data("delete_file", path="d/a"))["type"] == "file"
    assert (await files.data("delete_file", path="d"))["type"] == "directory"
    assert "does not exist" in await files.refusal("delete_file", path="d")
    assert names_in(folder) == []
