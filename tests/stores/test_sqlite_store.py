"""What only the SQLite store promises: one process, one writer, and what a crash or a full disk leaves behind."""

import asyncio
import hashlib
import json
import os
import re
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from sqlite_utils import Database

from gateway.errors import GatewayError, StorageFull
from gateway.stores._schema import MIGRATIONS
from gateway.stores.sqlite import SQLiteStore
from tests.stores.turns import AGENT, DONE, asked, exchange, said, sent

pytestmark = pytest.mark.anyio

WRITING = """
import asyncio, sys
from gateway.items import new_id
from gateway.steers import Steer
from gateway.storage import Conversation
from gateway.stores.sqlite import SQLiteStore
from tests.stores.turns import DONE, asked, said

def acknowledged(word, id):
    sys.stdout.write(f"{word} {id}\\n")
    sys.stdout.flush()

async def converse(store):
    parent, told = None, []
    while True:
        turn = asked(said("a" * 3000), said("b"), said("c"), parent=parent)
        await store.begin(turn, told=told)
        acknowledged("begun", turn.id)
        told = [new_id("steer")]
        await store.keep_steer(Steer(id=told[0], turn=turn.id, items=[said("d")]))
        acknowledged("steered", turn.id)
        await store.end(turn.id, DONE, said("d" * 3000), said("e"))
        acknowledged("ended", turn.id)
        parent = turn.id

async def main():
    async with SQLiteStore(sys.argv[1]) as store:
        await asyncio.gather(*(converse(store) for _ in range(8)))

asyncio.run(main())
"""
OPENING = """
import asyncio, sys
from gateway.stores.sqlite import SQLiteStore

async def main():
    async with SQLiteStore(sys.argv[1]):
        sys.stdout.write("open")

try:
    asyncio.run(main())
except ValueError as error:
    sys.stdout.write(f"refused: {error}")
"""
ROOT = Path(__file__).parents[2]


def start(code: str, url: str) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, "-c", code, url], stdout=subprocess.PIPE, text=True, cwd=ROOT)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def no_database(path: Path) -> Path:
    path.write_text("not a database " * 100)
    return path


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 1 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        if os.environ.get("CI") == "true":
            pytest.fail("a file system cannot be mounted here, so a full disk is not tested")
        pytest.skip("only root can mount a small file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


async def test_kill_9_loses_nothing_acknowledged_and_leaves_no_half(path: Path) -> None:
    url = f"sqlite:///{path}"
    begun: set[str] = set()
    ended: set[str] = set()
    steered: set[str] = set()
    for count in (40, 117, 301):
        with start(WRITING, url) as process:
            assert process.stdout
            lines = [process.stdout.readline() for _ in range(count)]
            process.send_signal(signal.SIGKILL)
            lines += process.stdout.readlines()
        for line in lines:
            if line.endswith("\n"):
                word, id = line.split()
                {"begun": begun, "steered": steered, "ended": ended}[word].add(id)
        with anyio.fail_after(60):
            async with SQLiteStore(url) as store:
                stored = {turn.turn.id: turn for turn in await store.unfinished()}
                stored |= {id: await store.get(id) for id in begun - set(stored)}
                assert all(stored[id].end == DONE for id in ended)
                for turn in stored.values():
                    assert len(turn.turn.input) == 3
                    assert len(turn.output) == (2 if turn.end else 0)
    with sqlite3.connect(path) as database:
        assert database.execute("pragma integrity_check").fetchall() == [("ok",)]
        counts = "select (select count(*) from items where turn = turns.n), ending is not null from turns"
        assert set(database.execute(counts).fetchall()) == {(3, 0), (5, 1)}
        waits = "(select count(*) from steers where turn = turns.n and told_in is null)"
        told = "(select count(*) from turns as later where later.parent = turns.n)"
        states = dict(
            database.execute(f"select id, ({waits}, {told}) = (1, 0) or ({waits}, {told}) = (0, 1) from turns")
        )
        assert all(states[id] for id in steered)
        telling = "select count(*) from steers join turns on turns.id = told_in where status <> 'in_progress'"
        assert database.execute(telling).fetchone() == (0,)
    database.close()
    assert len(ended) > 100


async def test_a_second_process_is_refused_by_name_until_the_first_is_gone(path: Path) -> None:
    url = f"sqlite:///{path}"
    async with SQLiteStore(url):
        out = start(OPENING, url).communicate(timeout=30)[0]
        assert re.search(rf"refused: .*process {os.getpid()}\b", out)
        with pytest.raises(ValueError, match="Another gateway"):
            async with SQLiteStore(url):
                pass
    assert start(OPENING, url).communicate(timeout=30)[0] == "open"
    async with SQLiteStore(url):
        pass


async def test_a_full_disk_is_said_and_passes(full_disk: Path) -> None:
    with anyio.fail_after(60):
        async with SQLiteStore(f"sqlite:///{full_disk}/store.db") as store:
            first = await exchange(store, said("small"), said("fits"))
            ballast = full_disk / "ballast"
            ballast.write_bytes(b"x" * 400_000)
            large = [asked(said("x" * 200_000), parent=first) for _ in range(8)]
            results = await asyncio.gather(*(store.begin(turn) for turn in large), return_exceptions=True)
            refused = [turn for turn, result in zip(large, results, strict=True) if result is not None]
            assert refused and all(isinstance(result, StorageFull) for result in results if result is not None)
            accepted = {turn.id for turn in large} - {turn.id for turn in refused}
            assert {stored.turn.id for stored in await store.unfinished()} == accepted
            assert len(await store.history(first)) == 2
            ballast.unlink()
            second = await exchange(store, said("again"), said("fits"), first)
            assert len(await store.history(second)) == 4
        async with SQLiteStore(f"sqlite:///{full_disk}/store.db") as store:
            assert len(await store.history(second)) == 4
            assert {stored.turn.id for stored in await store.unfinished()} == accepted


async def test_a_write_that_the_kernel_refuses_is_said_and_passes(path: Path) -> None:
    # A file size limit makes write() itself fail (EFBIG): SQLite reports an I/O error. Needs no rights.
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with SQLiteStore(f"sqlite:///{path}") as store:
        first = await exchange(store, said("small"), said("fits"))
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.with_name("store.db-wal").stat().st_size + 8192, hard))
        try:
            turn = asked(said("x" * 200_000), parent=first)
            with pytest.raises(StorageFull):
                await store.begin(turn)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert await store.unfinished() == []
        await store.begin(turn)
        assert len(await store.history(turn.id)) == 3


async def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in ("file/store.db", "file/deeper/store.db"):
        with pytest.raises(StorageFull, match=r"store\.db"):
            async with SQLiteStore(f"sqlite:///{tmp_path}/{name}"):
                pass


async def test_a_file_that_is_no_database_is_a_clear_error_and_is_let_go(no_database: Path) -> None:
    for _ in range(2):
        with pytest.raises(StorageFull, match="not a database"):
            async with SQLiteStore(f"sqlite:///{no_database}"):
                pass


@pytest.mark.parametrize("url", ["store.db", "sqlite://store.db", "sqlite:///", "sqlite:///:memory:", "postgres:///x"])
def test_a_url_that_names_no_file_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="SQLite URL"):
        SQLiteStore(url)


async def test_writes_of_one_moment_share_their_commits(path: Path) -> None:
    async with SQLiteStore(f"sqlite:///{path}") as store:
        log = path.with_name("store.db-wal")
        await store.begin(asked(said("warm")))
        before = log.stat().st_size
        await store.begin(asked(said("one")))
        alone = log.stat().st_size - before
        before = log.stat().st_size
        turns = [asked(said(str(n))) for n in range(200)]
        await asyncio.gather(*(store.begin(turn) for turn in turns))
        # A commit writes each page it touched once; 200 commits would write what one writes 200 times.
        assert log.stat().st_size - before < 200 * alone / 3
        assert len(await store.unfinished()) == 202


async def test_the_log_is_emptied_when_nothing_is_written(path: Path) -> None:
    log = path.with_name("store.db-wal")
    async with SQLiteStore(f"sqlite:///{path}") as store:
        await exchange(store, said("a"), said("b"))
        assert log.stat().st_size > 0
        with anyio.fail_after(30):
            while log.stat().st_size:
                await anyio.lowlevel.checkpoint()
        await exchange(store, said("a"), said("b"))


async def test_an_external_reader_does_not_stop_the_writer(path: Path) -> None:
    async with SQLiteStore(f"sqlite:///{path}") as store:
        first = await exchange(store, said("a"), said("b"))
        reader = sqlite3.connect(path, isolation_level=None)
        reader.execute("begin")
        reader.execute("select * from turns").fetchall()
        with anyio.fail_after(30):
            second = await exchange(store, said("c"), said("d"), first)
        assert len(await store.history(second)) == 4
        reader.close()


async def test_a_database_of_the_first_schema_is_brought_up_to_date(path: Path) -> None:
    old = Database(sqlite3.connect(path, isolation_level=None))
    MIGRATIONS.apply(old, stop_before="m002_conversations")
    assert "conversations" not in old.table_names()
    old.close()
    async with SQLiteStore(f"sqlite:///{path}") as store:
        first = await exchange(store, said("a"), said("b"))
        turn = asked(said("c"), parent=first)
        await store.begin(turn)
        await store.append(turn.id, begun=["1"])
    new = Database(sqlite3.connect(path))
    applied = [step.name for step in MIGRATIONS.applied(new)]
    new.close()
    assert applied == sorted(applied) and len(applied) >= 3
    async with SQLiteStore(f"sqlite:///{path}") as store:
        assert (await store.unfinished())[0].intents == {"1"}


async def test_a_database_of_a_newer_homeport_is_left_alone(path: Path) -> None:
    async with SQLiteStore(f"sqlite:///{path}"):
        pass
    with sqlite3.connect(path) as database:
        database.execute(
            "insert into _sqlite_migrations (migration_set, name, applied_at) values (?, 'm999_future', '')",
            (MIGRATIONS.name,),
        )
    database.close()
    with pytest.raises(ValueError, match=r"newer Homeport.*m999_future"):
        async with SQLiteStore(f"sqlite:///{path}"):
            pass


async def test_the_files_are_private(path: Path) -> None:
    async with SQLiteStore(f"sqlite:///{path}") as store:
        await store.begin(asked(said("secret")))
        files = [file for file in path.parent.iterdir() if file.name.startswith("store.db")]
        assert len(files) == 4
        assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


async def test_what_nothing_continues_is_really_removed_when_deleted(path: Path) -> None:
    async with SQLiteStore(f"sqlite:///{path}") as store:
        first = await exchange(store, said("a"), said("b"))
        second = asked(said("c"), parent=first)
        await store.begin(second)
        await store.end(second.id, DONE, said("d"), requests=[sent("c")])
        await store.delete(first)
        await store.delete(second.id)
        running = asked(said("e"))
        await store.begin(running)
        await store.append(running.id, begun=["1"])
        await store.delete(running.id)
        await store.end(running.id, DONE)
    with sqlite3.connect(path) as database:
        for table in ("turns", "items", "intents", "requests", "agents"):
            assert database.execute(f"select count(*) from {table}").fetchall() == [(0,)]
    database.close()


async def test_a_conversation_is_not_stored_again_with_each_request(path: Path) -> None:
    messages = [f'"{hashlib.sha256(bytes([n])).hexdigest()}"' for n in range(64)]
    async with SQLiteStore(f"sqlite:///{path}") as store:
        parent = None
        for n in range(len(messages)):
            turn = asked(said("hi"), parent=parent)
            await store.begin(turn)
            await store.end(turn.id, DONE, requests=[sent(*messages[: n + 1])])
            parent = turn.id
    with sqlite3.connect(path) as database:
        ((size,),) = database.execute("select sum(length(rest)) from requests").fetchall()
    database.close()
    assert size < 2 * len(sent(*messages).body)


async def test_a_store_that_cannot_be_read_lets_go_of_everything(path: Path) -> None:
    async with SQLiteStore(f"sqlite:///{path}"):
        pass
    with sqlite3.connect(path) as database:
        database.execute("alter table steers rename column turn to mislaid")
    database.close()
    with pytest.raises(GatewayError, match="cannot read"):
        async with SQLiteStore(f"sqlite:///{path}"):
            pass
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("store-")]


async def test_a_closed_store_refuses_at_once(path: Path) -> None:
    async with SQLiteStore(f"sqlite:///{path}") as store:
        late = [asyncio.ensure_future(store.begin(asked(said(str(n))))) for n in range(5)]
        await asyncio.sleep(0)
    assert await asyncio.gather(*late) == [None] * 5
    with pytest.raises(StorageFull, match="closed"):
        await store.begin(asked(said("x")))


async def test_what_a_request_put_into_its_prompt_goes_with_its_turn(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    filled = replace(AGENT, instructions="The customer's number is 4711.")
    async with SQLiteStore(f"sqlite:///{path}") as store:
        first, second = (replace(asked(said("hi")), agent=filled) for _ in range(2))
        for turn in (first, second, asked(said("hi"))):
            await store.begin(turn)
            await store.end(turn.id, DONE)
        await store.delete(first.id)
        assert (await store.get(second.id)).turn.agent == filled
        await store.delete(second.id)
        assert [json.loads(body)["instructions"] for (body,) in Database(path).execute("select body from agents")] == [
            AGENT.instructions
        ]
        third = replace(asked(said("again")), agent=filled)
        await store.begin(third)
        assert [stored.turn for stored in await store.unfinished()] == [third]
