"""The `homeport` command as a process, the way a person runs it."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx

ROOT = Path(__file__).parent.parent


def environment(home, **more):
    return {"PATH": os.environ["PATH"], "HOME": str(home), "COLUMNS": "200", "PYTHONPATH": str(ROOT), **more}


def homeport(home, *arguments, typed="", **more):
    """Run the command in an empty home, and type into it; its exit status and what it printed."""
    command = [sys.executable, "-m", "gateway", *arguments]
    done = subprocess.run(
        command, cwd=home, env=environment(home, **more), input=typed, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


class Serving:
    """A gateway that `homeport serve` started in this home, and what it printed: `shown`, and `said` on stderr."""

    def __init__(self, home, *arguments, **more):
        command = [sys.executable, "-m", "gateway", "serve", "--port", "0", *arguments]
        self.process = subprocess.Popen(
            command, cwd=home, env=environment(home, **more), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.shown = self.said = ""
        while "Ctrl-C" not in self.shown:
            self.shown += (line := self.process.stdout.readline())
            assert line, self.process.stderr.read()
        self.url = re.search(r"http://127\.0\.0\.1:\d+", self.shown)[0]
        self.key = (home / ".data" / "local.key").read_text().strip()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.process.send_signal(signal.SIGINT)
        _, rest = self.process.communicate(timeout=60)
        self.said += rest

    def until(self, what):
        """Read its log until there is `what`."""
        while what not in self.said:
            self.said += (line := self.process.stderr.readline())
            assert line, self.said

    def post(self, path, body):
        headers = {"authorization": f"Bearer {self.key}"}
        return httpx.post(f"{self.url}{path}", json=body, headers=headers, timeout=30)
