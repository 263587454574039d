"""What a client says to a response that is under way, from when that was accepted until a request has used it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Steer:
    """One submission. `input` is as the client sent it."""

    id: str
    previous_response_id: str
    input: Any


class Steers(Protocol):
    """Keeps submissions to stored turns; a part of the store, and as durable."""

    async def keep_steer(self, steer: Steer) -> None: ...

    async def steers(self, turn_id: str) -> Sequence[Steer]:
        """What was kept for this turn, in its order. Costs nothing for a turn that has none."""
        ...

    async def drop_steers(self, ids: Collection[str]) -> None: ...
