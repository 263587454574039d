"""API keys, also across processes."""

import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gateway.errors import InvalidRequest, NotFound, StorageFull
from gateway.stores.keys import KeyRing

ELSEWHERE = """
import pathlib, sys
from gateway.stores.keys import KeyRing
ring = KeyRing(pathlib.Path(sys.argv[1]))
sys.stdout.write(str(getattr(ring, sys.argv[2])(*sys.argv[3:])))
"""


def elsewhere(path: Path, *arguments: str) -> str:
    """Call a method of a KeyRing in another process."""
    command = [sys.executable, "-c", ELSEWHERE, str(path), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "keys.db"


def test_a_key_opens_and_others_do_not(path: Path) -> None:
    ring = KeyRing(path, clock=lambda: 12.5)
    assert ring.verify("hp_x") is None and ring.list() == []
    assert not path.exists()
    key = ring.create("laptop")
    assert key.startswith("hp_") and len(key) == 46
    (info,) = ring.list()
    assert (info.name, info.prefix, info.created_at) == ("laptop", key[:8], 12.5)
    assert ring.verify(key) == info.id
    for wrong in ("", "hp_", key[:-1], key + "x", key.upper(), "hp_\ud800", "hp_\x00é", info.prefix):
        assert ring.verify(wrong) is None


def test_the_file_is_private_and_holds_no_key(path: Path) -> None:
    key = KeyRing(path).create("laptop")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert key[9:].encode() not in path.read_bytes()


def test_a_name_is_taken_until_its_key_is_revoked(path: Path) -> None:
    ring = KeyRing(path)
    old = ring.create("laptop")
    with pytest.raises(InvalidRequest, match="laptop"):
        ring.create("laptop")
    for name in ("", " ", " a", "a\nb"):
        with pytest.raises(InvalidRequest):
            ring.create(name)
    assert ring.revoke("laptop").name == "laptop"
    new = ring.create("laptop")
    assert ring.verify(old) is None
    assert ring.verify(new) == ring.list()[0].id


def test_a_key_is_revoked_by_its_prefix_and_only_once(path: Path) -> None:
    ring = KeyRing(path)
    key, other = ring.create("laptop"), ring.create("phone")
    ring.revoke(key[:8])
    with pytest.raises(NotFound):
        ring.revoke(key[:8])
    assert ring.verify(key) is None and ring.verify(other)


def test_what_another_process_does_counts_from_the_next_call_on(path: Path) -> None:
    ring = KeyRing(path)
    mine = ring.create("mine")
    for n in range(3):
        theirs = elsewhere(path, "create", f"theirs{n}")
        assert ring.verify(theirs) and ring.verify(mine)
        assert elsewhere(path, "verify", mine) == ring.verify(mine)
        elsewhere(path, "revoke", f"theirs{n}")
        assert ring.verify(theirs) is None and ring.verify(mine)
    elsewhere(path, "revoke", "mine")
    assert ring.verify(mine) is None and ring.list() == []


def test_changes_in_quick_succession_are_all_seen(path: Path) -> None:
    serving, changing = KeyRing(path), KeyRing(path)
    for n in range(50):
        key = changing.create(f"k{n}")
        assert serving.verify(key)
        changing.revoke(f"k{n}")
        assert serving.verify(key) is None


def test_a_change_that_leaves_the_file_looking_the_same_is_seen_while_the_file_is_young(path: Path) -> None:
    # What a coarse clock does: two changes in one tick, so one modification time.
    serving, changing = KeyRing(path), KeyRing(path)
    tick = time.time_ns() + 60 * 10**9
    key = changing.create("laptop")
    os.utime(path, ns=(tick, tick))
    assert serving.verify(key)
    changing.revoke("laptop")
    os.utime(path, ns=(tick, tick))
    assert serving.verify(key) is None


def test_processes_that_make_keys_at_once_all_succeed(path: Path) -> None:
    commands = [[sys.executable, "-c", ELSEWHERE, str(path), "create", f"k{n}"] for n in range(4)]
    makers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for command in commands]
    keys = [maker.communicate(timeout=30)[0] for maker in makers]
    ring = KeyRing(path)
    assert len({ring.verify(key) for key in keys} - {None}) == 4


def test_a_file_that_is_no_key_file_is_a_clear_error(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("not a database " * 100)
    with pytest.raises(StorageFull, match=r"keys\.db"):
        KeyRing(path).verify("hp_x")


def test_a_key_that_was_good_is_good_no_longer_than_its_file(path: Path, tmp_path: Path) -> None:
    ring, other = KeyRing(path), KeyRing(tmp_path / "other.db")
    key, another = ring.create("laptop"), other.create("phone")
    os.utime(path, (1, 1))
    assert ring.verify(key) and ring.verify(key)
    os.replace(tmp_path / "other.db", path)
    assert ring.verify(key) is None and ring.verify(another)
    path.unlink()
    assert ring.verify(another) is None
