"""Reading: parts of files of any size and encoding, media by content, and several files at once."""

import base64
import hashlib
import os
from pathlib import Path

import pytest
from mcp.types import AudioContent, BlobResourceContents, EmbeddedResource, ImageContent

from tests.mcp_tools.filesystem.file_tools import Era, FileTools, file_tools, text_of

pytestmark = pytest.mark.anyio

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(64))
WAV = b"RIFF\x24\0\0\0WAVEfmt " + bytes(24)


async def test_a_small_file_comes_whole_with_its_facts(folder: Path, era: Era) -> None:
    data = b"one\ntwo\nthree"
    (folder / "a.txt").write_bytes(data)
    async with file_tools(folder, era=era) as files:
        result = await files.result("read_text_file", path="a.txt")
    digest = hashlib.sha256(data).hexdigest()
    assert result.structured_content == {
        "path": "a.txt",
        "content": "one\ntwo\nthree",
        "encoding": "utf-8",
        "line_ends": "lf",
        "size": 13,
        "total_lines": 3,
        "first_line": 1,
        "byte_start": 0,
        "byte_end": 13,
        "truncated": False,
        "next_first_line": None,
        "sha256": digest,
    }
    notice = f"[a.txt: lines 1-3 of 3; bytes 0-13 of 13; utf-8; sha256 {digest}]"
    assert text_of(result) == f"one\ntwo\nthree\n{notice}"


@pytest.mark.parametrize(
    ("part", "content", "first_line"),
    [
        ({"head": 2}, "1\n2\n", 1),
        ({"head": 99}, "1\n2\n3\n4\n5", 1),
        ({"tail": 1}, "5", 5),
        ({"tail": 2}, "4\n5", 4),
        ({"tail": 99}, "1\n2\n3\n4\n5", 1),
        ({"first_line": 2, "last_line": 3}, "2\n3\n", 2),
        ({"first_line": 4}, "4\n5", 4),
        ({"last_line": 1}, "1\n", 1),
        ({"byte_offset": 2, "byte_length": 3}, "2\n3", 2),
        ({"byte_offset": 8}, "5", 5),
        ({"byte_offset": 9}, "", 5),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
async def test_a_part_of_a_file_is_what_was_asked_for(
    files: FileTools, folder: Path, part: dict[str, int], content: str, first_line: int, encoding: str
) -> None:
    (folder / "a").write_bytes("1\n2\n3\n4\n5".encode(encoding))
    if encoding == "utf-16":  # two bytes a character, after a mark of two
        part = {key: value * 2 + (2 if key == "byte_offset" else 0) if "byte" in key else value
                for key, value in part.items()}  # fmt: skip
    read = await files.data("read_text_file", path="a", **part)
    assert (read["content"], read["first_line"], read["total_lines"]) == (content, first_line, 5)
    assert read["truncated"] is False


async def test_bytes_of_two_characters_are_not_taken_for_a_line_end(files: FileTools, folder: Path) -> None:
    line = "ਕĀਕ\n"  # 15 0a 00 01 15 0a 0a 00: the bytes of a line feed also lie across the first two characters
    (folder / "a").write_bytes(b"\xff\xfe" + (line * 3).encode("utf-16-le"))
    for part in ({"tail": 1}, {"head": 1}, {"first_line": 2, "last_line": 2}):
        assert (await files.data("read_text_file", path="a", **part))["content"] == line
    hits = (await files.data("search_files", contains="ਕ"))["hits"]
    assert [(hit["line"], hit["text"]) for hit in hits] == [(number, line.rstrip()) for number in (1, 2, 3)]


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        ({"head": 1, "tail": 1}, "one of"),
        ({"head": 1, "first_line": 1}, "one of"),
        ({"first_line": 3, "last_line": 2}, "before first_line"),
        ({"first_line": 4}, "past the end"),
        ({"byte_offset": 7}, "past the end"),
    ],
)
async def test_a_part_that_makes_no_sense_is_refused(
    files: FileTools, folder: Path, part: dict[str, int], reason: str
) -> None:
    (folder / "a").write_text("1\n2\n3\n")
    assert reason in await files.refusal("read_text_file", path="a", **part)


async def test_an_empty_file_is_read_as_such(files: FileTools, folder: Path) -> None:
    (folder / "a").touch()
    result = await files.result("read_text_file", path="a")
    assert result.structured_content is not None
    assert (result.structured_content["content"], result.structured_content["total_lines"]) == ("", 0)
    assert text_of(result) == "[a: empty file]"
    for part in ({"tail": 3}, {"head": 3}, {"first_line": 1}, {"byte_offset": 0}):
        assert (await files.data("read_text_file", path="a", **part))["content"] == ""


@pytest.mark.parametrize(
    ("data", "text", "encoding", "line_ends"),
    [
        ("Zürich\n".encode(), "Zürich\n", "utf-8", "lf"),
        (b"\xef\xbb\xbf" + "Zürich\r\n".encode(), "Zürich\r\n", "utf-8 with BOM", "crlf"),
        ("Zürich\n".encode("latin-1"), "Zürich\n", "iso-8859-1", "lf"),
        ("„Zürich“".encode("cp1252"), "„Zürich“", "windows-1252", "none"),
        (b"\xff\xfe" + "Zürich\r\nx\n".encode("utf-16-le"), "Zürich\r\nx\n", "utf-16-le with BOM", "mixed"),
        (b"\xfe\xff" + "漢字\n".encode("utf-16-be"), "漢字\n", "utf-16-be with BOM", "lf"),
        (b"\xff\xfe\0\0" + "🏠\n".encode("utf-32-le"), "🏠\n", "utf-32-le with BOM", "lf"),
        (b"\x1b[1mbold\x1b[0m\rold", "\x1b[1mbold\x1b[0m\rold", "utf-8", "cr"),
    ],
)
async def test_encodings_and_line_ends_are_recognised(
    files: FileTools, folder: Path, data: bytes, text: str, encoding: str, line_ends: str
) -> None:
    (folder / "a").write_bytes(data)
    read = await files.data("read_text_file", path="a")
    assert (read["content"], read["encoding"], read["line_ends"]) == (text, encoding, line_ends)


async def test_binary_files_are_not_read_as_text(files: FileTools, folder: Path) -> None:
    (folder / "a").write_bytes(b"\x7fELF\x02\x01\x01\0\0")
    (folder / "b").write_bytes(bytes(range(1, 32)) * 4)
    for path in ("a", "b"):
        assert "binary, not text. read_media_file" in await files.refusal("read_text_file", path=path)


async def test_a_long_file_is_cut_at_a_line_and_can_be_read_on_to_its_end(folder: Path) -> None:
    whole = "".join(f"line {number}: ü\n" for number in range(1, 2_001))
    (folder / "a").write_text(whole, encoding="utf-8")
    async with file_tools(folder, max_read_bytes=4_096) as files:
        parts, line = [], 1
        while line is not None:
            read = await files.data("read_text_file", path="a", first_line=line)
            assert read["first_line"] == line and read["byte_end"] - read["byte_start"] <= 4_096
            parts.append(read["content"])
            assert read["truncated"] is (read["next_first_line"] is not None)
            line = read["next_first_line"]
        assert "".join(parts) == whole
        tail = await files.data("read_text_file", path="a", tail=1_999)
        assert tail["truncated"] and whole.endswith(tail["content"]) and tail["content"].startswith("line ")
        assert tail["first_line"] == 2_001 - tail["content"].count("\n")


async def test_a_line_longer_than_an_answer_can_be_read_on_by_bytes(folder: Path) -> None:
    whole = "€" * 5_000
    (folder / "a").write_text(whole, encoding="utf-8")
    async with file_tools(folder, max_read_bytes=1_024) as files:
        parts, offset, truncated = [], 0, True
        while truncated:
            read = await files.data("read_text_file", path="a", byte_offset=offset)
            parts.append(read["content"])
            offset, truncated = read["byte_end"], read["truncated"]
        assert "".join(parts) == whole
        first = await files.result("read_text_file", path="a")
        assert "TRUNCATED, go on with byte_offset=1023" in text_of(first)


async def test_a_huge_file_is_read_in_parts_without_being_read_through(files: FileTools, folder: Path) -> None:
    size = 50 * 2**30
    with (folder / "log").open("wb") as file:  # sparse: 50 GiB of which a few bytes are on disk
        file.write(b"first\n" + b"text " * 20_000 + b"\n")
        file.seek(size - 14)
        file.write(b"\nsecond\nlast!\n")
    assert (await files.data("read_text_file", path="log", head=1))["content"] == "first\n"
    tail = await files.data("read_text_file", path="log", tail=2)
    assert (tail["content"], tail["total_lines"], tail["first_line"]) == ("second\nlast!\n", None, None)
    middle = await files.data("read_text_file", path="log", byte_offset=size - 5, byte_length=3)
    assert (middle["content"], middle["size"]) == ("ast", size)
    info = await files.data("get_file_info", path="log")
    assert (info["size"], info["sha256"]) == (size, None)


async def test_bytes_that_break_the_encoding_are_marked(files: FileTools, folder: Path) -> None:
    (folder / "a").write_bytes(b"fine\n" * 20_000 + b"\xff\xfe broken\n")
    result = await files.result("read_text_file", path="a", tail=1)
    assert text_of(result).startswith("\ufffd\ufffd broken\n\n[a: ")
    assert "shown as U+FFFD" in text_of(result)


async def test_one_file_that_fails_does_not_fail_the_others(files: FileTools, folder: Path) -> None:
    (folder / "a").write_text("A")
    (folder / "b").write_bytes(b"\0")
    answer = await files.data("read_multiple_files", paths=["a", "nope", "b", "/etc/passwd", "a"])
    assert answer["failed"] == 3
    outcomes = [(each["path"], each["file"] and each["file"]["content"]) for each in answer["files"]]
    assert outcomes == [("a", "A"), ("nope", None), ("b", None), ("/etc/passwd", None), ("a", "A")]
    assert "does not exist" in answer["files"][1]["error"]
    assert "outside the allowed roots" in answer["files"][3]["error"]


async def test_several_files_share_the_limit_of_one_answer(folder: Path) -> None:
    (folder / "long").write_text("x" * 9_000)
    (folder / "short").write_text("short")
    async with file_tools(folder, max_read_bytes=4_096) as files:
        answer = await files.data("read_multiple_files", paths=["long", "long", "short"])
        read = [each["file"] for each in answer["files"]]
        assert sum(file["byte_end"] for file in read) <= 4_096
        assert [file["truncated"] for file in read] == [True, True, False]


async def test_media_comes_as_what_its_bytes_are(files: FileTools, folder: Path) -> None:
    (folder / "misnamed.txt").write_bytes(PNG)
    (folder / "sound").write_bytes(WAV)
    (folder / "paper.pdf").write_bytes(b"%PDF-1.7\n")
    (folder / "fake.png").write_bytes(b"hello")
    [image] = (await files.result("read_media_file", path="misnamed.txt")).content
    assert isinstance(image, ImageContent) and image.mime_type == "image/png"
    assert base64.b64decode(image.data) == PNG
    [sound] = (await files.result("read_media_file", path="sound")).content
    assert isinstance(sound, AudioContent) and sound.mime_type == "audio/wav"
    [paper] = (await files.result("read_media_file", path="paper.pdf")).content
    assert isinstance(paper, EmbeddedResource) and isinstance(paper.resource, BlobResourceContents)
    assert (paper.resource.mime_type, str(paper.resource.uri)) == ("application/pdf", (folder / "paper.pdf").as_uri())
    [fake] = (await files.result("read_media_file", path="fake.png")).content
    assert isinstance(fake, EmbeddedResource) and fake.resource.mime_type == "application/octet-stream"


async def test_media_over_the_limit_is_refused(folder: Path) -> None:
    (folder / "a.png").write_bytes(PNG * 100)
    async with file_tools(folder, max_media_bytes=1_024) as files:
        assert "more than the 1024" in await files.refusal("read_media_file", path="a.png")


async def test_a_file_is_described_without_being_read_out(files: FileTools, folder: Path) -> None:
    data = "a\nü\n".encode("latin-1")
    (folder / "a.md").write_bytes(data)
    os.chmod(folder / "a.md", 0o640)
    os.utime(folder / "a.md", (0, 86_400))
    assert await files.data("get_file_info", path="a.md") == {
        "path": "a.md",
        "type": "file",
        "size": 4,
        "modified": "1970-01-02T00:00:00Z",
        "permissions": "-rw-r-----",
        "links_to": None,
        "media_type": "text/markdown",
        "encoding": "iso-8859-1",
        "total_lines": 2,
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    assert (await files.data("get_file_info", path="."))["type"] == "directory"


@pytest.mark.parametrize("name", ["new\nline", "ta\tb", "漢字 🏠", "-rf", " ", "a" * 250, "'\"$(x)`"])
async def test_any_name_can_be_written_listed_and_read(files: FileTools, name: str) -> None:
    await files.data("write_file", path=name, content="x")
    listing = await files.result("list_directory")
    assert listing.structured_content is not None
    assert [entry["name"] for entry in listing.structured_content["entries"]] == [name]
    assert len(text_of(listing).splitlines()) == 1
    assert (await files.data("read_text_file", path=name))["content"] == "x"
    await files.data("delete_file", path=name)


async def test_a_directory_is_not_read_as_a_file(files: FileTools, folder: Path) -> None:
    (folder / "d").mkdir()
    (folder / "f").touch()
    assert "d is a directory" in await files.refusal("read_text_file", path="d")
    assert "a part of this path is a file" in await files.refusal("read_text_file", path="f/x")
    assert "does not exist" in await files.refusal("read_text_file", path="g")
    assert "not a directory" in await files.refusal("list_directory", path="f")
