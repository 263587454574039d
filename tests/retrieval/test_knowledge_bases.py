"""Knowledge bases over real folders with the real embedder: what is found, and what an ingest reads again."""

import os
import sqlite3
import subprocess
import sys

import pytest

from gateway.retrieval.errors import (
    IndexUnavailable,
    InvalidFolder,
    InvalidName,
    ModelMissing,
    UnknownFile,
    UnknownKnowledgeBase,
)
from gateway.retrieval.knowledge_bases import KnowledgeBases
from gateway.retrieval.weights import Weights

pytestmark = pytest.mark.anyio

REFUNDS = "# Refunds\n\nYou get your money back within 14 days.\n"
PASSWORDS = "# Accounts\n\n## Password reset\n\nOpen the sign-in page and choose *Forgot password*.\n"


def age(path):
    """As if written an hour ago, so that size and time alone identify it."""
    then = path.stat().st_mtime - 3600
    os.utime(path, (then, then))
    return path


def write(folder, **files):
    for name, text in files.items():
        age_path = folder / f"{name}.md"
        age_path.write_text(text, encoding="utf-8")
        age(age_path)


async def test_question_in_other_words_finds_the_right_heading(bases, docs):
    write(docs, refunds=REFUNDS, accounts=PASSWORDS)
    await bases.ingest("help", docs)
    best, other = await bases.search("help", "I cannot log in any more")
    assert (best.file, best.heading, best.page) == ("accounts.md", ("Accounts", "Password reset"), None)
    assert 0 <= other.score < best.score <= 1


async def test_rare_word_is_found_by_spelling_alone(bases, docs):
    write(docs, a="# Errors\n\nCode XQ-4711 means the fuse is blown.\n", b="# Errors\n\nThe device does not start.\n")
    await bases.ingest("help", docs)
    best = (await bases.search("help", "XQ-4711", weights=Weights(dense=0, lexical=1)))[0]
    assert best.file == "a.md"


async def test_camel_case_name_is_found_by_its_parts(bases, docs):
    write(docs, a="# API\n\nCall getUserProfile first.\n", b="# API\n\nCall the bank first.\n")
    await bases.ingest("help", docs)
    found = await bases.search("help", "profile", weights=Weights(dense=0, lexical=1))
    assert [passage.file for passage in found] == ["a.md"]


async def test_german_text_is_found_with_and_without_umlauts(bases, docs):
    write(docs, r="# Rückgabe\n\nDie Rückerstattung dauert fünf Tage.\n", v="# Versand\n\nPakete kommen per Post.\n")
    await bases.ingest("hilfe", docs)
    for query in ("Wie lange dauert die Rückerstattung?", "ruckerstattung"):
        assert (await bases.search("hilfe", query))[0].file == "r.md"


async def test_passage_positions_count_in_the_text_that_read_returns(bases, docs):
    body = "\n\n".join(f"## Part {n}\n\n" + f"Sentence about topic number {n}. " * 60 for n in range(12))
    write(docs, long=f"# Handbook\n\n{body}\n")
    await bases.ingest("help", docs)
    text = (await bases.read("help", "long.md")).text
    assert text == (docs / "long.md").read_text()
    found = await bases.search("help", "topic number 7", 5)
    assert len(found) == 5
    for passage in found:
        assert text[passage.start : passage.end] == passage.text
        assert passage.start <= passage.match_start < passage.match_end <= passage.end
    assert found[0].heading == ("Handbook", "Part 7")


async def test_limit_bounds_the_passages(bases, docs):
    write(docs, **{f"f{n}": f"# Note {n}\n\nThe same words.\n" for n in range(7)})
    await bases.ingest("help", docs)
    assert len(await bases.search("help", "words", 3)) == 3
    assert len(await bases.search("help", "words", 50)) == 7


async def test_only_changed_files_are_read_again(bases, docs):
    write(docs, a=REFUNDS, b=PASSWORDS)
    first = await bases.ingest("help", docs)
    again = await bases.ingest("help", docs)
    before = {p.file: p.chunk for p in await bases.search("help", "money or password")}
    write(docs, a=REFUNDS + "\nNow within 30 days.\n", c="# New\n\nSomething.\n")
    (docs / "d.md").write_text("# Gone soon\n\nYes.\n")
    third = await bases.ingest("help", docs)
    (docs / "d.md").unlink()
    fourth = await bases.ingest("help", docs)
    after = {p.file: p.chunk for p in await bases.search("help", "money or password")}
    assert (first.added, first.chunks) == (2, 2)
    assert (again.added, again.changed, again.unchanged, again.chunks) == (0, 0, 2, 0)
    assert (third.added, third.changed, third.unchanged, third.chunks) == (2, 1, 1, 3)
    assert (fourth.removed, fourth.unchanged, fourth.chunks) == (1, 3, 0)
    assert after["b.md"] == before["b.md"] and after["a.md"] != before["a.md"]
    assert set(after) == {"a.md", "b.md", "c.md"}


async def test_touched_file_with_the_same_bytes_is_not_embedded_again(bases, docs):
    write(docs, a=REFUNDS)
    await bases.ingest("help", docs)
    (docs / "a.md").touch()
    report = await bases.ingest("help", docs)
    assert (report.changed, report.unchanged, report.chunks) == (0, 1, 0)


async def test_change_within_the_clock_of_the_file_system_is_seen(bases, docs):
    path = docs / "a.md"
    path.write_text("# A\n\nred\n")
    written = path.stat()
    await bases.ingest("help", docs)
    path.write_text("# A\n\ntea\n")
    os.utime(path, ns=(written.st_atime_ns, written.st_mtime_ns))
    assert (await bases.ingest("help", docs)).changed == 1
    assert (await bases.read("help", "a.md")).text == "# A\n\ntea\n"


async def test_knowledge_base_survives_a_restart(tmp_path, docs):
    write(docs, a=REFUNDS)
    async with KnowledgeBases(tmp_path / "data") as bases:
        await bases.ingest("help", docs)
        before = await bases.search("help", "money back")
    async with KnowledgeBases(tmp_path / "data") as bases:
        assert await bases.search("help", "money back") == before
        (described,) = await bases.list()
    assert (described.id, described.files, described.chunks, described.skipped) == ("help", 1, 1, ())
    assert described.folder == str(docs) and described.synced_at is not None


async def test_knowledge_bases_do_not_see_each_other(bases, docs, tmp_path):
    write(docs, a=REFUNDS)
    other = tmp_path / "other"
    other.mkdir()
    write(other, z="# Zebras\n\nThey live in Africa.\n")
    await bases.ingest("help", docs)
    await bases.ingest("zoo", other)
    assert {p.file for p in await bases.search("zoo", "money back within 14 days")} == {"z.md"}
    await bases.delete("zoo")
    assert [base.id for base in await bases.list()] == ["help"]
    assert {p.file for p in await bases.search("help", "zebras")} == {"a.md"}
    with pytest.raises(UnknownKnowledgeBase, match="zoo"):
        await bases.search("zoo", "anything")


async def test_deleted_knowledge_base_can_be_made_again_from_another_folder(bases, docs, tmp_path):
    write(docs, a=REFUNDS)
    await bases.ingest("help", docs)
    await bases.search("help", "money")
    await bases.delete("help")
    other = tmp_path / "other"
    other.mkdir()
    write(other, z="# Zebras\n\nThey live in Africa.\n")
    await bases.ingest("help", other)
    assert {p.file for p in await bases.search("help", "money")} == {"z.md"}


async def test_progress_goes_from_nothing_to_everything(bases, docs):
    write(docs, a=REFUNDS, b=PASSWORDS)
    steps = []
    await bases.ingest("help", docs, steps.append)
    assert [(step.files_done, step.files_total, step.chunks) for step in steps] == [(0, 2, 0), (1, 2, 1), (2, 2, 2)]
    assert [step.file for step in steps] == ["", "a.md", "b.md"]


async def test_folder_that_is_not_there_is_an_error_and_changes_nothing(bases, docs):
    write(docs, a=REFUNDS)
    await bases.ingest("help", docs)
    with pytest.raises(InvalidFolder, match="missing"):
        await bases.ingest("help", docs / "missing")
    with pytest.raises(InvalidFolder, match="not a folder"):
        await bases.ingest("help", docs / "a.md")
    assert (await bases.search("help", "money"))[0].file == "a.md"


@pytest.mark.parametrize("name", ["", "a/b", "../x", "-a", "a" * 65])
async def test_id_that_could_be_anything_is_refused(bases, docs, name):
    with pytest.raises(InvalidName):
        await bases.ingest(name, docs)


async def test_unknown_knowledge_base_and_file_are_said_so(bases, docs):
    with pytest.raises(UnknownKnowledgeBase):
        await bases.search("help", "x")
    assert await bases.list() == ()
    write(docs, a=REFUNDS)
    await bases.ingest("help", docs)
    with pytest.raises(UnknownFile, match="no file"):
        await bases.read("help", "b.md")
    with pytest.raises(UnknownFile):
        await bases.read("help", "../data/knowledge.sqlite3")


async def test_empty_folder_makes_an_empty_knowledge_base(bases, docs):
    await bases.ingest("help", docs)
    assert await bases.search("help", "anything") == ()


@pytest.mark.parametrize("query", ['"', "AND OR NOT", "col:umn*", "(", "the of and", "😀", "x" * 20_000, "a_b__c"])
async def test_query_of_signs_and_operators_is_only_text(bases, docs, query):
    write(docs, a=REFUNDS)
    await bases.ingest("help", docs)
    assert [p.file for p in await bases.search("help", query)] == ["a.md"]


async def test_missing_model_says_how_to_build_it(tmp_path, docs):
    write(docs, a=REFUNDS)
    async with KnowledgeBases(tmp_path / "data", model=tmp_path / "nowhere") as bases:
        with pytest.raises(ModelMissing, match=r"build_embedder\.py"):
            await bases.ingest("help", docs)


async def test_damaged_index_is_reported_as_such(tmp_path, docs):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "knowledge.sqlite3").write_bytes(b"not a database, but long enough to be taken for one" * 40)
    write(docs, a=REFUNDS)
    async with KnowledgeBases(tmp_path / "data") as bases:
        with pytest.raises(IndexUnavailable, match="damaged"):
            await bases.search("help", "x")
        with pytest.raises(IndexUnavailable, match="damaged"):
            await bases.ingest("help", docs)


async def test_index_of_a_newer_version_is_left_alone(tmp_path, docs):
    (tmp_path / "data").mkdir()
    path = tmp_path / "data" / "knowledge.sqlite3"
    newer = sqlite3.connect(path)
    newer.execute("PRAGMA user_version = 99")
    newer.close()
    before = path.read_bytes()
    async with KnowledgeBases(tmp_path / "data") as bases:
        with pytest.raises(IndexUnavailable, match="newer version"):
            await bases.ingest("help", docs)
    assert path.read_bytes() == before


def test_importing_the_way_in_loads_nothing_heavy():
    code = (
        "import sys, gateway.retrieval.knowledge_bases, mcp_tools.rag\n"
        "print([m for m in ('numpy', 'onnxruntime', 'selectolax', 'pypdfium2') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"
