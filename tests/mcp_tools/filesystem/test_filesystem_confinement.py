"""No path, link, race or error message of the filesystem server leads out of its roots."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mcp_tools.filesystem.beneath import Beneath
from tests.mcp_tools.filesystem.file_tools import FileTools, content, file_tools, names_in, text_of

pytestmark = pytest.mark.anyio

ROUNDS = 300


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file outside the root."""
    (tmp_path / "outside").mkdir()
    path = tmp_path / "outside" / "s"
    path.write_text("SECRET")
    return path


SWAP = """
import os, shutil, sys
directory, target = sys.argv[1:]
aside = directory + ".aside"
print("ready", flush=True)
while os.getppid() != 1:
    os.rename(directory, aside)
    try:
        os.symlink(target, directory)
        os.unlink(directory)
    except OSError:
        pass
    while os.path.exists(aside):
        try:
            os.rename(aside, directory)
        except OSError:  # something was made in its place
            shutil.rmtree(directory, ignore_errors=True)
"""


@contextmanager
def swapping(directory: Path, target: str) -> Iterator[None]:
    """While it lasts, `directory` is now itself, now a link to `target` and now missing, as fast as can be.

    Done by a process of its own, which no lock of this one's interpreter keeps out of any moment.
    """
    command = [sys.executable, "-c", SWAP, str(directory), target]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield
        finally:
            process.kill()


@pytest.mark.parametrize(
    "path", ["../outside/s", "sub/../../outside/s", "{outside}/s", "{root}/../outside/s", "//etc/passwd", "{root}x/s"]
)
async def test_a_path_that_climbs_out_is_refused(files: FileTools, folder: Path, secret: Path, path: str) -> None:
    path = path.format(root=folder, outside=secret.parent)
    for tool, arguments in (
        ("read_text_file", {}),
        ("read_media_file", {}),
        ("get_file_info", {}),
        ("list_directory", {}),
        ("search_files", {}),
        ("write_file", {"content": "x"}),
        ("create_directory", {}),
        ("delete_file", {}),
    ):
        refusal = await files.refusal(tool, path=path, **arguments)
        assert "is outside the allowed roots" in refusal
        assert "SECRET" not in refusal
    assert "outside the allowed roots" in await files.refusal("move_file", source=path, destination="here")
    (folder / "mine").write_text("mine")
    assert "outside the allowed roots" in await files.refusal("move_file", source="mine", destination=path)
    assert content(secret) == "SECRET"


@pytest.mark.parametrize("path", ["", "a\0b", "x" * 5_000])
async def test_a_path_that_is_none_is_refused_in_words(files: FileTools, path: str) -> None:
    assert "path" in await files.refusal("read_text_file", path=path)


@pytest.mark.parametrize("target", ["../outside/s", "{outside}/s", "sub/../../outside/s", "chain"])
async def test_a_link_that_leads_out_is_not_followed(files: FileTools, folder: Path, secret: Path, target: str) -> None:
    (folder / "sub").mkdir()
    (folder / "chain").symlink_to("../outside/s")
    (folder / "link").symlink_to(target.format(outside=secret.parent))
    refusal = await files.refusal("read_text_file", path="link")
    assert "outside the allowed roots" in refusal and str(secret.parent) not in refusal
    assert "outside the allowed roots" in await files.refusal("write_file", path="link", content="x")
    edits = [{"old_text": "SECRET", "new_text": "x"}]
    assert "outside the allowed roots" in await files.refusal("edit_file", path="link", edits=edits)
    info = await files.data("get_file_info", path="link")
    assert (info["type"], info["links_to"]) == ("symlink", "outside")
    assert content(secret) == "SECRET"


async def test_a_directory_behind_a_link_that_leads_out_is_not_entered(
    files: FileTools, folder: Path, secret: Path
) -> None:
    (folder / "out").symlink_to("../outside")
    for tool, arguments in (
        ("list_directory", {"path": "out"}),
        ("directory_tree", {"path": "out"}),
        ("search_files", {"path": "out", "contains": "SECRET"}),
        ("read_text_file", {"path": "out/s"}),
        ("write_file", {"path": "out/new", "content": "x"}),
        ("write_file", {"path": "out/deep/new", "content": "x", "create_directories": True}),
        ("create_directory", {"path": "out/new"}),
        ("move_file", {"source": "out/s", "destination": "s"}),
        ("delete_file", {"path": "out/s"}),
    ):
        assert "outside the allowed roots" in await files.refusal(tool, **arguments)
    assert [entry["path"] for entry in (await files.data("directory_tree"))["entries"]] == ["out"]
    assert (await files.data("search_files", contains="SECRET"))["hits"] == []
    assert names_in(secret.parent) == ["s"]


async def test_an_error_does_not_tell_whether_something_outside_exists(
    files: FileTools, folder: Path, secret: Path
) -> None:
    (folder / "there").symlink_to("../outside/s")
    (folder / "gone_").symlink_to("../outside/no")
    there = await files.refusal("read_text_file", path="there")
    assert there == (await files.refusal("read_text_file", path="gone_")).replace("gone_", "there")


async def test_links_that_stay_inside_are_followed(files: FileTools, folder: Path) -> None:
    (folder / "sub" / "deep").mkdir(parents=True)
    (folder / "sub" / "a.txt").write_text("inside")
    (folder / "link").symlink_to("sub/a.txt")
    (folder / "sub" / "deep" / "up").symlink_to("../../link")
    (folder / "dir").symlink_to("sub")
    for path in ("link", "dir/a.txt", "sub/deep/up", "dir/deep/up"):
        assert (await files.data("read_text_file", path=path))["content"] == "inside"
    await files.data("edit_file", path="sub/deep/up", edits=[{"old_text": "inside", "new_text": "changed"}])
    assert (folder / "sub" / "a.txt").read_text() == "changed"
    assert (folder / "sub" / "deep" / "up").is_symlink() and (folder / "link").is_symlink()
    (folder / "dangling").symlink_to("sub/new.txt")
    assert (await files.data("get_file_info", path="dangling"))["links_to"] == "missing"
    await files.data("write_file", path="dangling", content="new")
    assert (folder / "sub" / "new.txt").read_text() == "new"


async def test_links_in_a_circle_end_in_an_error(files: FileTools, folder: Path) -> None:
    (folder / "a").symlink_to("b")
    (folder / "b").symlink_to("a")
    (folder / "self").symlink_to(".")
    assert "too many symbolic links" in await files.refusal("read_text_file", path="a")
    assert "too many symbolic links" in await files.refusal("write_file", path="a", content="x")
    assert (await files.data("get_file_info", path="a"))["links_to"] == "circular"
    assert len((await files.data("directory_tree", depth=50))["entries"]) == 3


async def test_moving_or_deleting_a_link_leaves_what_it_leads_to(files: FileTools, folder: Path, secret: Path) -> None:
    (folder / "link").symlink_to("../outside/s")
    await files.data("move_file", source="link", destination="moved")
    assert (folder / "moved").is_symlink() and not (folder / "link").is_symlink()
    assert (await files.data("delete_file", path="moved"))["type"] == "symlink"
    assert content(secret) == "SECRET"


async def test_pipes_and_sockets_are_never_opened(files: FileTools, folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    (folder / "link").symlink_to("pipe")
    for path in ("pipe", "link"):
        for tool in ("read_text_file", "read_media_file"):
            assert "not a regular file" in await files.refusal(tool, path=path)
        assert "not a regular file" in await files.refusal("write_file", path=path, content="x")
    assert (await files.data("get_file_info", path="pipe"))["type"] == "special"
    assert (await files.data("search_files", contains="x"))["hits"] == []


async def test_the_root_itself_cannot_be_moved_deleted_or_written(files: FileTools, folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "up").symlink_to("..")
    for path in (".", str(folder), "sub/.."):
        assert "root" in await files.refusal("delete_file", path=path)
        assert "root" in await files.refusal("move_file", source=path, destination="sub/x")
        assert "root" in await files.refusal("write_file", path=path, content="x")
    assert "root" in await files.refusal("write_file", path="sub/up", content="x")


async def test_a_root_that_became_a_link_is_not_entered(tmp_path: Path, beneath: Beneath, secret: Path) -> None:
    (tmp_path / "above" / "root").mkdir(parents=True)
    async with file_tools(tmp_path / "above" / "root", beneath=beneath) as files:
        (tmp_path / "above" / "root").rmdir()
        (tmp_path / "above" / "root").symlink_to("../outside")
        assert "missing" in await files.refusal("read_text_file", path="s")
        (tmp_path / "above" / "root").unlink()
        (tmp_path / "above" / "root").mkdir()
        assert (await files.data("list_directory"))["entries"] == []
        os.rename(tmp_path / "above", tmp_path / "elsewhere")
        secret.parent.joinpath("root").mkdir()
        (tmp_path / "above").symlink_to("outside")
        assert "missing" in await files.refusal("list_directory")


async def test_a_file_with_two_names_can_be_read_and_a_write_parts_them(files: FileTools, folder: Path) -> None:
    (folder / "a").write_text("one")
    os.link(folder / "a", folder / "b")
    assert (await files.data("read_text_file", path="b"))["content"] == "one"
    await files.data("write_file", path="b", content="two")
    assert (folder / "a").read_text() == "one"


async def test_a_directory_that_is_swapped_for_a_link_never_leads_a_read_out(
    files: FileTools, folder: Path, secret: Path
) -> None:
    (folder / "d").mkdir()
    (folder / "d" / "s").write_text("inside")
    with swapping(folder / "d", "../outside"):
        for _ in range(ROUNDS):
            read = await files.client.call_tool("read_text_file", {"path": "d/s"})
            assert "SECRET" not in text_of(read)
            found = await files.data("search_files", contains="SECRET")
            assert found["hits"] == []


async def test_a_directory_that_is_swapped_for_a_link_never_leads_a_write_out(
    files: FileTools, folder: Path, secret: Path
) -> None:
    (folder / "d").mkdir()
    with swapping(folder / "d", "../outside"):
        for number in range(ROUNDS // 3):
            await files.client.call_tool("write_file", {"path": "d/s", "content": "mine"})
            await files.client.call_tool("create_directory", {"path": f"d/sub{number}/deep"})
            await files.client.call_tool("move_file", {"source": "d/s", "destination": "d/t", "overwrite": True})
            await files.client.call_tool("delete_file", {"path": "d/s"})
    assert names_in(secret.parent) == ["s"]
    assert content(secret) == "SECRET"
