"""The reference MCP Inspector as a host that tests put our servers into, and the Node it needs.

What is in tests/node/package-lock.json is installed once a session, with a Node that is new enough (22.19) and without
running any package's install scripts. The fixtures are everybody's: tests/conftest.py names this file as a plugin.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import anyio
import pytest

NODE = Path(__file__).parent / "node"
OLDEST_NODE = (22, 19)
PROGRAM = NODE / "node_modules" / "@modelcontextprotocol" / "inspector" / "clients" / "launcher" / "build" / "index.js"

# The Inspector's own exit codes.
DONE, UNAUTHORIZED, TOOL_ERROR = 0, 3, 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """How one run ended: its exit code, the `result` it printed (empty if none) and what it said besides."""

    code: int
    result: dict[str, Any]
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspector:
    """The Inspector's command line. `home` is an empty home directory of its own."""

    node: Path
    home: Path

    async def __call__(self, *arguments: str, expect: int = DONE) -> Inspection:
        """Run it once with `arguments` and check its exit code."""
        environment = {"HOME": str(self.home), "PATH": f"{self.node.parent}:{os.environ['PATH']}"}
        command = [str(self.node), str(PROGRAM), "--cli", *arguments, "--format", "json"]
        with anyio.fail_after(120):
            ended = await anyio.run_process(command, check=False, env=environment, cwd=NODE.parents[1])
        said = ended.stderr.decode()
        assert ended.returncode == expect, f"exit {ended.returncode} instead of {expect}: {said[-4000:]}"
        result = json.loads(ended.stdout)["result"] if ended.stdout.strip() else {}
        return Inspection(code=ended.returncode, result=result, said=said)


@pytest.fixture(scope="session")
def node() -> Path:
    """A Node with the packages of tests/node. Without npm or Node the tests are skipped, but never in CI."""
    if shutil.which("npm") is None:
        _give_up("npm is not installed, so the packages of tests/node cannot be")
    _install()
    return _node()


@pytest.fixture(scope="session")
def inspector(tmp_path_factory: pytest.TempPathFactory, node: Path) -> Inspector:
    return Inspector(node=node, home=tmp_path_factory.mktemp("inspector"))


def _install() -> None:
    """`npm ci` unless it was done for this very lock file. Several test processes at once do it once."""
    locked = hashlib.sha256((NODE / "package-lock.json").read_bytes()).hexdigest()
    stamp = NODE / "node_modules" / ".homeport-lock"
    with (NODE / "package.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if stamp.is_file() and stamp.read_text() == locked:
            return
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        ended = subprocess.run(command, cwd=NODE, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600)
        assert ended.returncode == 0, f"npm ci failed: {ended.stderr[-4000:]}"
        stamp.write_text(locked)


def _node() -> Path:
    """The Node of the lock file where it has one for this machine, else the machine's own if it is new enough."""
    for path in (NODE / "node_modules").glob("node-*/bin/node"):
        return path
    own = shutil.which("node")
    if own is not None:
        version = subprocess.run([own, "--version"], capture_output=True, text=True, check=True, timeout=60).stdout
        if tuple(int(part) for part in version.strip().lstrip("v").split(".")[:2]) >= OLDEST_NODE:
            return Path(own)
    _give_up("there is no Node 22.19 or newer for this machine")


def _give_up(reason: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
