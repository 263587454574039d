"""A store in a fresh folder, for each entry of STORES."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import anyio
import pytest

from gateway.storage import Store
from gateway.stores import STORES


@pytest.fixture(params=list(STORES))
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Store]:
    """Opens the same database each time: once more is what a restart does."""
    return lambda: STORES[request.param](f"{request.param}:///{tmp_path}/data/store.db")


@pytest.fixture
async def store(open_store: Callable[[], Store]) -> AsyncIterator[Store]:
    with anyio.fail_after(30):
        async with open_store() as store:
            yield store
