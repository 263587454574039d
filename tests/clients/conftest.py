"""The official clients of both major versions, each in an environment of its own."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
NEWER = ROOT / ".venv-openai3" / "bin" / "python"


@pytest.fixture
def newer() -> str:
    if NEWER.exists():
        return str(NEWER)
    if os.environ.get("CI") == "true":
        pytest.fail("openai 3.x is not installed: scripts/environment.sh openai3")
    pytest.skip("openai 3.x is not installed: scripts/environment.sh openai3")


@pytest.fixture
def drive(home, request):
    """`await drive(script, major, gateway)`: what the script saw with the client of this major version."""

    async def driving(script, major, gateway):
        python = sys.executable if major == "2" else request.getfixturevalue("newer")
        process = await asyncio.create_subprocess_exec(
            python,
            *(str(ROOT / "tests" / "clients" / script), gateway.url, gateway.key),
            stdout=asyncio.subprocess.PIPE,
            cwd=home,
        )
        output, _ = await process.communicate()
        assert process.returncode == 0
        seen = json.loads(output)
        assert seen.pop("version").startswith(f"{major}.")
        return seen

    return driving
