"""The events of a run that is over: kept as bytes for who may come back to its stream, or told anew from its items.

A log does not hold what the store holds anyway: items that are finished are named by their ids, and the ending is the
turn's. Deltas are kept as they were, because a reader counts the frames that it has seen.
"""

import zlib
from collections.abc import Iterable, Sequence
from typing import Any, cast

import orjson

from gateway.errors import GatewayError
from gateway.events import (
    ArgumentsDelta,
    CallsStarted,
    Delta,
    Ending,
    Event,
    ItemDone,
    ItemStarted,
    ReasoningDelta,
    RefusalDelta,
    RunCancelled,
    RunCompleted,
    RunFailed,
    RunPaused,
    RunStarted,
    ScoredDelta,
    StepDone,
    SummaryDelta,
    TextDelta,
    Usage,
)
from gateway.items import Item, Message, Reasoning, Refusal, Text, ToolCall, dump, load
from gateway.storage import StoredTurn, TurnEnd

DELTAS: dict[str, type[Delta]] = {
    "text": TextDelta,
    "refusal": RefusalDelta,
    "reasoning": ReasoningDelta,
    "summary": SummaryDelta,
    "arguments": ArgumentsDelta,
}
NAMES = {delta: name for name, delta in DELTAS.items()}


def pack(events: Iterable[Event]) -> bytes:
    """The events up to the ending as bytes. For a thread: a long answer takes milliseconds."""
    rows: list[Any] = []
    for event in events:
        match event:
            case ScoredDelta(item_id=item_id, text=text, logprobs=logprobs):
                rows.append(["scored", item_id, text, logprobs])
            case TextDelta() | RefusalDelta() | ReasoningDelta() | SummaryDelta() | ArgumentsDelta():
                rows.append([NAMES[type(event)], event.item_id, event.text])
            case RunStarted(turn_id=turn_id):
                rows.append(["run", turn_id])
            case ItemStarted(item=item):
                rows.append(["started", dump(item).decode()])
            case ItemDone(item=item):
                rows.append(["done", item.id])
            case CallsStarted(calls=calls):
                rows.append(["calls", [call.call_id for call in calls]])
            case StepDone(model=model, finish=finish, usage=usage):
                rows.append(["step", model, finish, usage])
            case RunPaused() | RunCompleted() | RunFailed() | RunCancelled():
                pass
    return zlib.compress(orjson.dumps(rows), 1)


def unpack(log: bytes, stored: StoredTurn) -> list[Event]:
    """The events of `pack`, and the ending. Items that are no longer stored are left out."""
    items = {item.id: item for item in stored.output}
    calls = {item.call_id: item for item in stored.output if isinstance(item, ToolCall)}
    events: list[Event] = []
    for kind, *fields in cast("list[list[Any]]", orjson.loads(zlib.decompress(log))):
        match kind:
            case "run":
                events.append(RunStarted(fields[0]))
            case "started":
                events.append(ItemStarted(load(fields[0])))
            case "done":
                events += [ItemDone(items[fields[0]])] if fields[0] in items else []
            case "scored":
                item_id, text, logprobs = fields
                events.append(ScoredDelta(item_id, text, tuple(logprobs)))
            case "calls":
                events.append(CallsStarted(tuple(calls[id] for id in fields[0] if id in calls)))
            case "step":
                model, finish, usage = fields
                events.append(StepDone(model=model, finish=finish, usage=Usage(**usage) if usage else None))
            case _:
                events.append(DELTAS[kind](*fields))
    return [*events, *ending_of(stored.end)]


def retold(stored: StoredTurn) -> list[Event]:
    """The events of a turn whose log was not kept: each item in one piece."""
    return [RunStarted(stored.turn.id), *pieces(stored.output), *ending_of(stored.end)]


def pieces(items: Sequence[Item]) -> list[Event]:
    """Each item from its beginning to its end."""
    events: list[Event] = []
    for item in items:
        match item:
            case Message():
                events.append(ItemStarted(Message(id=item.id, role=item.role, content=())))
                for part in item.content:
                    if isinstance(part, Text):
                        said = ScoredDelta(item.id, part.text, part.logprobs) if part.logprobs else None
                        events.append(said or TextDelta(item.id, part.text))
                    elif isinstance(part, Refusal):
                        events.append(RefusalDelta(item.id, part.text))
            case Reasoning(id=id, text=text, summary=summary) if text or summary:
                events.append(ItemStarted(Reasoning(id=id)))
                events += [SummaryDelta(id, summary)] if summary else []
                events += [ReasoningDelta(id, text)] if text else []
            case _:
                pass
        events.append(ItemDone(item))
    return events


def ending_of(end: TurnEnd | None) -> list[Ending]:
    """How a stored turn ended, as the event it was; nothing for one that has not."""
    if end is None:
        return []
    match end.status:
        case "paused":
            return [RunPaused(usage=end.usage, model=end.model, ended_at=end.ended_at)]
        case "failed":
            return [RunFailed(error=end.error or GatewayError(), usage=end.usage, ended_at=end.ended_at)]
        case "cancelled":
            return [RunCancelled(usage=end.usage, ended_at=end.ended_at)]
        case _:
            reason = "stop" if end.status == "completed" else end.reason
            return [RunCompleted(reason=cast("Any", reason), usage=end.usage, model=end.model, ended_at=end.ended_at)]
