"""A folder and the filesystem server over it, in both eras of the protocol and with both ways of staying below."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mcp_tools.filesystem.beneath import Beneath, KernelBeneath, PortableBeneath
from tests.mcp_tools.filesystem.file_tools import Era, FileTools, file_tools


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The allowed root; its parent is outside."""
    root = tmp_path / "root"
    root.mkdir()
    return root


@pytest.fixture(params=["kernel", "portable"])
def beneath(request: pytest.FixtureRequest) -> Beneath:
    """Each way of staying below a root."""
    if request.param == "portable":
        return PortableBeneath()
    if not sys.platform.startswith("linux"):
        pytest.skip("openat2 is Linux's")
    return KernelBeneath()


@pytest.fixture(params=["auto", "legacy"])
def era(request: pytest.FixtureRequest) -> Era:
    """Each era of the protocol."""
    return request.param


@pytest.fixture
async def files(folder: Path, beneath: Beneath) -> AsyncIterator[FileTools]:
    """All tools over `folder`."""
    async with file_tools(folder, beneath=beneath, allow_delete=True) as tools:
        yield tools
