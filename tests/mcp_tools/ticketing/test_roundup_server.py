"""The runner of the real tracker: `scripts/roundup_server.py`."""

import json
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.roundup import SCRIPT, Roundup, running_tracker


def test_the_tracker_ends_with_its_parent(tmp_path: Path) -> None:
    # The middle process writes what the tracker writes, and waits for it until it is killed.
    middle = "import subprocess, sys; subprocess.run(sys.argv[1:])"
    command = [sys.executable, "-c", middle, sys.executable, str(SCRIPT), "start", str(tmp_path / "tracker")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        url = json.loads(parent.stdout.readline())["url"]
        parent.kill()
        parent.stdout.read()  # ends when the last process that could write there is gone
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(url, timeout=10)


def test_a_restart_keeps_tickets_account_and_address(tmp_path: Path) -> None:
    with running_tracker(tmp_path / "tracker") as tracker:
        before = (tracker.url, tracker.user, tracker.password)
        tracker.stop()
        tracker.start()
        assert (tracker.url, tracker.user, tracker.password) == before
        assert tracker.get("user/agent")["attributes"]["username"] == "agent"


def test_somebody_elses_directory_is_left_alone(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "precious").write_text("mine")
    with pytest.raises(AssertionError, match="did not start"):
        Roundup(tmp_path).start()
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]
    assert "not empty" in capfd.readouterr().err
