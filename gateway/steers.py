"""What a client says to a turn that is under way, from when that was accepted until another turn has heard it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.items import Item


@dataclass(frozen=True, slots=True, kw_only=True)
class Steer:
    """One submission to the turn with the id `turn`: at least one item."""

    id: str
    turn: str
    items: Sequence[Item]


class SteersTaken(ValueError):
    """It does not wait any more: another turn is told it, or its client has it back."""


class Steers(Protocol):
    """Keeps submissions to stored turns; a part of the store, and as durable.

    What a turn is told does not wait while that turn runs. When that ends it has gone, or waits again if the turn
    failed. `Store.begin` and `Store.end` see to that for stored turns. Of others a restart leaves nothing: what they
    were told waits again.
    """

    async def keep_steer(self, steer: Steer) -> None:
        """It waits from now on. Raises `NotFound` for a turn that is unknown or deleted."""
        ...

    async def steers(self, turn_id: str) -> Sequence[Steer]:
        """What waits for a turn that continues this one, in its order. Costs nothing where nothing waits."""
        ...

    async def tell_steers(self, turn_id: str, ids: Collection[str], teller: str) -> Collection[str]:
        """Those of them that waited until now: the turn with the id `teller`, which is not stored, is told them. Raises
        `NotFound` as `keep_steer` does."""
        ...

    async def end_telling(self, teller: str, *, failed: bool) -> None:
        """A turn that is not stored has ended. Costs nothing where it was told nothing, and may be called twice."""
        ...

    async def drop_steers(self, turn_id: str, ids: Collection[str]) -> Collection[str]:
        """Those of them that waited until now. Raises `NotFound` as `keep_steer` does."""
        ...
