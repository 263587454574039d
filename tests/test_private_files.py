"""What a gateway keeps is for its user only, from the first start on."""

from typing import Any

import pytest

pytestmark = pytest.mark.anyio


async def test_the_data_folder_is_for_its_user_only(start_gateway: Any) -> None:
    async with start_gateway() as gateway:
        assert gateway.settings.data.stat().st_mode & 0o777 == 0o700
