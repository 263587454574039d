"""The steps of an operation, one after the other, as a preset lists them. What a step changes is not its business."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from mcp_tools.ticketing.errors import OutcomeUnknown, Refused, TicketingError
from mcp_tools.ticketing.preset import Step, Taken
from mcp_tools.ticketing.template import find, render
from mcp_tools.ticketing.tracker import Tracker

RESTARTS = 8

Names = dict[str, Any]


async def nothing(step: Step, taken: Mapping[str, Any]) -> None:
    """Steps that leave no trace in the ledger."""


async def run_steps(
    tracker: Tracker,
    steps: Sequence[Step],
    names: Names,
    *,
    before: Callable[[Step], Awaitable[None]] | None = None,
    after: Callable[[Step, Mapping[str, Any]], Awaitable[None]] = nothing,
) -> Names:
    """What the templates can name after the last step.

    A step that `names` already has (remembered from an earlier try) is not done again. `before` and `after` are
    awaited around each step that is done; `after` gets what it took. Raises what `Tracker.send` raises.
    """
    names = dict(names)
    at, restarts = 0, 0
    while at < len(steps):
        step = steps[at]
        at += 1
        if step.id in names or (step.when is not None and render(step.when, names) is None):
            continue
        if before is not None:
            await before(step)
        try:
            answer = await tracker.send(step, names)
        except Refused as error:
            if step.restart is None or error.status not in step.restart.status or restarts == RESTARTS:
                raise
            restarts += 1
            at = next(number for number, earlier in enumerate(steps) if earlier.id == step.restart.from_)
            for again in steps[at:]:
                if not again.remember:
                    names.pop(again.id, None)
            continue
        taken = _take(tracker, step, answer["body"])
        await after(step, taken)
        names[step.id] = {**answer, **taken}
    return names


def _take(tracker: Tracker, step: Step, body: Any) -> dict[str, Any]:
    taken: dict[str, Any] = {}
    for name, source in step.take.items():
        place = source if isinstance(source, Taken) else Taken(path=source)
        value = find(body, place.path)
        if value is not None and place.pattern is not None:
            value = place.search(str(value))
        if value is None:
            trouble = f"Preset {tracker.preset.name}, step {step.id}: nothing to take at {place.path!r} of the answer."
            raise OutcomeUnknown(trouble) if step.effect else TicketingError(trouble)
        taken[name] = value
    return taken
