"""Fixtures every test may use. Only the model is ever scripted."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
