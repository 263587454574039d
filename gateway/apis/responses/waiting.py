"""What was said to a response that is stored, and waits for a request to use it.

Where its connection makes no successor, because it has closed or the client has to act first, what was submitted stands
before the input of the next request that continues the response, however and whenever that comes.
"""

from collections.abc import Sequence
from typing import Any, cast

from gateway.steers import Steer, Steers


class Waiting:
    """Of all connections. Whoever takes something first uses it, and either drops it or gives it back."""

    def __init__(self, store: Steers) -> None:
        self._store = store
        self._taken: set[str] = set()

    async def keep(self, steer: Steer) -> None:
        await self._store.keep_steer(steer)

    async def take(self, id: str) -> Sequence[Steer]:
        """What was said to this response and nobody has taken."""
        steers = [steer for steer in await self._store.steers(id) if steer.id not in self._taken]
        self._taken.update(steer.id for steer in steers)
        return steers

    def give_back(self, steers: Sequence[Steer]) -> None:
        self._taken.difference_update(steer.id for steer in steers)

    async def drop(self, steers: Sequence[Steer]) -> None:
        """It stands in a request, or the client has it back."""
        if steers:
            await self._store.drop_steers([steer.id for steer in steers])
            self.give_back(steers)


def inputs(queued: Sequence[Steer]) -> list[Any]:
    return [item for steer in queued for item in listed(steer.input)]


def listed(given: Any) -> list[Any]:
    """The input as items."""
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    return cast("list[Any]", given) if isinstance(given, list) else []
