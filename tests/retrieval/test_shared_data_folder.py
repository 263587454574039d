"""Several processes on one data folder, and processes that are killed: nothing is torn, nothing is lost."""

import asyncio
import os
import signal
import sqlite3
import sys
from contextlib import asynccontextmanager, closing
from pathlib import Path

import anyio
import pytest

from gateway.retrieval.knowledge_bases import KnowledgeBases

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
# Ingests and prints a line for each finished file, as another program on the same folder would.
INGEST = """
import asyncio, resource, sys
from pathlib import Path
from gateway.retrieval.errors import IndexUnavailable
from gateway.retrieval.knowledge_bases import KnowledgeBases

if len(sys.argv) > 4:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[4]), int(sys.argv[4])))

async def main():
    async with KnowledgeBases(Path(sys.argv[1])) as bases:
        await bases.ingest(sys.argv[2], Path(sys.argv[3]), lambda step: print(step.phase, step.files_done, flush=True))

try:
    asyncio.run(main())
except IndexUnavailable as error:
    print("refused", error)
"""
FILES = 40


@pytest.fixture
def many(docs):
    for n in range(FILES):
        (docs / f"{n:02}.md").write_text(f"# Note {n}\n\n" + f"This is about subject number {n}. " * 120)
    return docs


@asynccontextmanager
async def other_program(*arguments):
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        INGEST,
        *map(str, arguments),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
        await process.communicate()


async def line_of(process, wanted):
    with anyio.fail_after(60):
        while (line := (await process.stdout.readline()).decode().strip()) != wanted:
            assert line, f"the program ended before it said {wanted!r}"


def assert_whole(data):
    """No torn file: the database is sound, every chunk has its vectors and is in the full-text index, once."""
    with closing(sqlite3.connect(data / "knowledge.sqlite3")) as sql:
        assert sql.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert sql.execute("PRAGMA foreign_key_check").fetchall() == []
        chunks = sql.execute("SELECT id FROM chunk ORDER BY id").fetchall()
        assert sql.execute("SELECT chunk FROM vector ORDER BY chunk").fetchall() == chunks
        indexed = sql.execute("SELECT rowid FROM lexical_1 WHERE lexical_1 MATCH 'note' ORDER BY rowid").fetchall()
        assert indexed == chunks
        return sql.execute("SELECT count(*) FROM file").fetchone()[0]


async def test_kill_during_an_ingest_loses_nothing_that_was_finished(tmp_path, many):
    data = tmp_path / "data"
    async with other_program(data, "kb", many) as process:
        await line_of(process, "reading 5")
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    async with KnowledgeBases(data) as bases:
        (interrupted,) = await bases.list()
        assert 5 <= interrupted.files < FILES and interrupted.synced_at is None
        assert (await bases.search("kb", "subject number 3"))[0].text
        kept = assert_whole(data)
        report = await bases.ingest("kb", many)
        assert (report.unchanged, report.added) == (kept, FILES - kept)
        assert len({p.file for p in await bases.search("kb", "subject number", 50)}) == FILES
    assert assert_whole(data) == FILES


async def test_worker_ends_when_the_program_that_started_it_is_killed(tmp_path, many):
    data = tmp_path / "data"
    async with other_program(data, "kb", many) as process:
        await line_of(process, "reading 3")
        os.kill(process.pid, signal.SIGKILL)
        await process.wait()
    # It would hold the writer lock for as long as it lived.
    async with KnowledgeBases(data) as bases:
        with anyio.fail_after(60):
            report = await bases.ingest("kb", many)
    assert report.added >= 1 and report.added + report.unchanged == FILES
    assert assert_whole(data) == FILES


async def test_disk_that_takes_no_more_ends_the_ingest_between_two_files(tmp_path, many):
    data = tmp_path / "data"
    # The limit on file size is inherited by the worker; the index outgrows it after a few files.
    async with other_program(data, "kb", many, 200_000) as process:
        lines = (await process.communicate())[0].decode().splitlines()
    assert lines[-1].startswith("refused The ")
    async with KnowledgeBases(data) as bases:
        kept = assert_whole(data)
        assert 0 < kept < FILES
        assert (await bases.ingest("kb", many)).unchanged == kept
    assert assert_whole(data) == FILES


async def test_cancelled_ingest_keeps_what_was_finished_and_stops(bases, many):
    with anyio.CancelScope() as scope:

        def stop(step):
            if step.files_done == 3:
                scope.cancel()

        await bases.ingest("kb", many, stop)
    assert scope.cancelled_caught
    kept = (await bases.list())[0].files
    assert 3 <= kept < FILES
    assert (await bases.ingest("kb", many)).unchanged == kept


async def test_search_sees_what_another_process_writes(bases, docs, tmp_path):
    (docs / "a.md").write_text("# Cats\n\nThey purr.\n")
    await bases.ingest("kb", docs)
    assert [p.file for p in await bases.search("kb", "dogs that bark")] == ["a.md"]
    (docs / "b.md").write_text("# Dogs\n\nThey bark.\n")
    (docs / "a.md").unlink()
    async with other_program(tmp_path / "data", "kb", docs) as process:
        assert await process.wait() == 0
    assert [p.file for p in await bases.search("kb", "dogs that bark")] == ["b.md"]


async def test_search_goes_on_while_another_process_writes(bases, many, docs, tmp_path):
    first = tmp_path / "first"
    first.mkdir()
    (first / "a.md").write_text("# Note on cats\n\nThey purr.\n")
    await bases.ingest("cats", first)
    async with other_program(tmp_path / "data", "kb", many) as process:
        await line_of(process, "reading 2")
        seen = []
        while process.returncode is None:
            assert (await bases.search("cats", "purring"))[0].file == "a.md"
            seen.append(len({p.file for p in await bases.search("kb", "subject number", 100)}))
            if seen[-1] == FILES:
                break
    assert seen == sorted(seen) and seen[0] < FILES


async def test_second_writer_waits_for_the_first(bases, many, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.md").write_text("# Note on cats\n\nThey purr.\n")
    async with other_program(tmp_path / "data", "kb", many) as process:
        await line_of(process, "reading 1")
        steps = []
        await bases.ingest("cats", other, steps.append)
        with anyio.fail_after(60):
            assert await process.wait() == 0
    assert steps[0].phase == "waiting" and steps[-1].files_done == 1
    assert {base.id: base.files for base in await bases.list()} == {"cats": 1, "kb": FILES}


async def test_index_deleted_and_made_again_while_open_is_noticed(bases, docs, tmp_path):
    (docs / "a.md").write_text("# Cats\n\nThey purr.\n")
    await bases.ingest("kb", docs)
    await bases.search("kb", "cats")
    (tmp_path / "data" / "knowledge.sqlite3").unlink()
    (docs / "a.md").write_text("# Dogs\n\nThey bark.\n")
    await bases.ingest("kb", docs)
    assert (await bases.search("kb", "cats"))[0].heading == ("Dogs",)


async def test_many_searches_at_once_each_get_their_own_answer(bases, many):
    await bases.ingest("kb", many)
    found = await asyncio.gather(*(bases.search("kb", f"subject number {n}", 1) for n in range(FILES)))
    assert [hits[0].file for hits in found] == [f"{n:02}.md" for n in range(FILES)]


async def test_what_is_kept_of_the_documents_is_for_its_user_only(tmp_path, docs):
    (docs / "a.md").write_text("# A\n\nSecret.\n")
    data = tmp_path / "parent" / "data"
    async with KnowledgeBases(data) as bases:
        await bases.ingest("kb", docs)
        assert {path.name: oct(path.stat().st_mode & 0o777) for path in (data, *data.iterdir())} == {
            "data": "0o700",
            "knowledge.sqlite3": "0o600",
            "knowledge.sqlite3-journal": "0o600",
            "knowledge.lock": "0o600",
        }
        (data / "knowledge.sqlite3").chmod(0o644)
        await bases.list()
        assert (data / "knowledge.sqlite3").stat().st_mode & 0o777 == 0o600
