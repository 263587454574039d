"""What every store promises of idempotency keys: written with what they made, kept for a day."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from gateway.items import IdempotencyKey
from gateway.ports import Turn
from gateway.storage import Conversation, Store
from tests.stores.turns import DONE, asked, said

pytestmark = pytest.mark.anyio

KEY = IdempotencyKey(value="k", operation="/v1/responses", digest="d1")
DAY = 86400.0


def turn(key: IdempotencyKey, *, owner: str = "ada", at: float = 10.0) -> Turn:
    return replace(asked(said("go")), owner=owner, created_at=at, key=key)


async def test_a_key_leads_to_what_was_made_with_it_after_a_restart_too(open_store: Callable[[], Store]) -> None:
    first = turn(KEY)
    async with open_store() as store:
        await store.begin(first)
    async with open_store() as store:
        assert await store.made_with(KEY, "ada", 10.0) == ("d1", first.id)
        assert await store.made_with(KEY, "eve", 10.0) is None
        assert await store.made_with(replace(KEY, operation="/v1/conversations"), "ada", 10.0) is None


async def test_a_key_is_forgotten_after_a_day(store: Store) -> None:
    first, later = turn(KEY), turn(replace(KEY, value="other"), at=10.0 + DAY + 1)
    await store.begin(first)
    assert await store.made_with(KEY, "ada", 10.0 + DAY) == ("d1", first.id)
    assert await store.made_with(KEY, "ada", 10.0 + DAY + 1) is None
    await store.begin(later)
    assert await store.made_with(KEY, "ada", 10.0) is None


async def test_a_key_that_is_used_anew_leads_to_the_new(store: Store) -> None:
    first, second = turn(KEY), turn(replace(KEY, digest="d2"), at=11.0)
    await store.begin(first, DONE)
    await store.begin(second, DONE)
    assert await store.made_with(KEY, "ada", 11.0) == ("d2", second.id)


async def test_a_conversation_is_made_with_a_key(store: Store) -> None:
    made = Conversation(id="conv_1", created_at=10.0, metadata={}, owner="ada")
    await store.create_conversation(made, KEY)
    assert await store.made_with(KEY, "ada", 10.0) == ("d1", "conv_1")
