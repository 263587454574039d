"""A run or a stored turn as one response object: what the stream of the same events would add up to."""

from collections.abc import Iterable
from typing import get_args

from gateway.apis._items import Wire
from gateway.apis.responses.stream import ResponseStream
from gateway.events import Delta, Event, ItemDone, RunFailed, RunStarted, ScoredDelta, StepDone
from gateway.history import pending_calls
from gateway.items import Item, Summary, ToolCall, ToolList, ToolResult
from gateway.ports import Turn
from gateway.storage import Store, StoredTurn
from gateway.verdicts import CUT_OFF

DELTAS = frozenset({*get_args(Delta), ScoredDelta})
BESIDE = frozenset({ToolList, Summary})
"""A list of tools and a summary of what was said before: neither is part of an answer."""


def fold(turn: Turn, events: Iterable[Event]) -> Wire:
    """A finished run. Raises the error of one that failed before it produced anything."""
    stream = ResponseStream(turn, watched=False)
    produced = False
    for event in events:
        if type(event) in DELTAS:
            continue
        if type(event) is RunFailed and not produced:
            raise event.error
        if type(event) is ItemDone and type(event.item) not in BESIDE:
            produced = True
        stream.render(event)
    return stream.response()


async def read_back(stored: StoredTurn, store: Store) -> Wire:
    """A stored turn, as far as it has got."""
    earlier = await left_open(stored, store)
    stream = ResponseStream(stored.turn, earlier=earlier, begun=stored.intents, watched=False)
    stream.render(RunStarted(stored.turn.id))
    cut_off = last_said(stored)
    for item in stored.output:
        stream.render(ItemDone(item))
        if item is cut_off:
            stream.render(StepDone(model="", finish="length"))
    if stored.end is not None:
        stream.end(stored.end)
    return stream.response()


def last_said(stored: StoredTurn) -> Item | None:
    """What the model said last, if that was cut off. It may have said nothing at all in the step that was."""
    if stored.end is None or stored.end.reason not in ("length", "content_filter"):
        return None
    for item in reversed(stored.output):
        if not isinstance(item, ToolResult):
            return item
        if item.text != CUT_OFF:
            return None
    return None


async def left_open(stored: StoredTurn, store: Store) -> list[ToolCall]:
    """The gateway's calls that this turn went on with. Only then is its history read."""
    own = {item.call_id for item in stored.output if isinstance(item, ToolCall)}
    answered = {item.call_id for item in stored.output if isinstance(item, ToolResult)}
    if answered | stored.intents <= own:
        return []
    items = {item.id for item in stored.output}
    before = [item for item in await store.history(stored.turn.id) if item.id not in items]
    return [call for call in pending_calls(before) if call.server]
