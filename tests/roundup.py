"""A real Roundup tracker for tests: `running_tracker(home)` starts it, `roundup_tracker` is one for the session.

Nothing of the tracker is faked. The fixture is everybody's: tests/conftest.py names this file as a plugin.
A test starts one of its own where it stops it or limits its requests.
"""

import base64
import contextlib
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

SCRIPT = Path(__file__).parent.parent / "scripts" / "roundup_server.py"


@dataclass
class Roundup:
    """A running tracker, its address and an account. `stop` and `start` keep data, address and account."""

    home: Path
    url: str = ""
    user: str = ""
    password: str = ""
    process: subprocess.Popen[str] | None = None

    def start(self, *, rate_limit: int = 0) -> None:
        """Returns when it can be used. `rate_limit` is in requests an hour, 0 for any number."""
        port = urlsplit(self.url).port or 0
        command = [sys.executable, str(SCRIPT), "start", str(self.home), "--port", str(port)]
        command += ["--rate-limit", str(rate_limit)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.stop()
        assert line, "the tracker did not start; its standard error says why"
        ready = json.loads(line)
        self.url, self.user, self.password = ready["url"], ready["user"], ready["password"]

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None

    def get(self, path: str) -> Any:
        """`data` of the tracker's own answer, asked without any code of ours: `get("issue/1")`."""
        pair = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        request = urllib.request.Request(f"{self.url}rest/data/{path}", headers={"Authorization": f"Basic {pair}"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)["data"]

    def titled(self, title: str) -> list[str]:
        """Ids of the tickets with exactly this title."""
        found = self.get("issue?@fields=title")["collection"]
        return [item["id"] for item in found if item["title"] == title]


@contextlib.contextmanager
def running_tracker(home: Path, *, rate_limit: int = 0) -> Iterator[Roundup]:
    tracker = Roundup(home)
    try:
        tracker.start(rate_limit=rate_limit)
        yield tracker
    finally:
        tracker.stop()


@pytest.fixture(scope="session")
def roundup_tracker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Roundup]:
    """One tracker for all tests of a session: each test makes tickets of its own."""
    with running_tracker(tmp_path_factory.mktemp("roundup") / "tracker") as tracker:
        yield tracker
