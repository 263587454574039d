"""`response.steer`: what a client says to a response that is still under way on its WebSocket.

The input is queued, and the run asked to end between two steps, `incomplete` with the reason `steered`. A successor
goes on from it: a response like the one before, with the queued input. Where the response waits for its client's tools
or for an approval, the input stands before that of the request that brings these. What was accepted of a
response that is stored is stored too (`gateway/steers.py`), and whatever turn continues it is told that first.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, cast

from gateway.apis._body import MOST_ITEMS
from gateway.apis._items import Wire, to_items
from gateway.apis.responses.prompts import without_media
from gateway.errors import GatewayError, InvalidRequest, NotFound
from gateway.events import Ending, RunCompleted, RunPaused
from gateway.items import Item, new_id
from gateway.ports import Turn
from gateway.recorder import to_end
from gateway.runs import Run, Runs
from gateway.steers import Steer, Steers

MOST_QUEUED = 64
"""Submissions of one connection that wait."""
MOST_ENDED = 1024
"""Responses of one connection that are known to be over."""
FIELDS = frozenset({"type", "previous_response_id", "input"})
MESSAGE_FIELDS = frozenset({"type", "role", "content"})
PARTS = frozenset({"input_text", "input_image", "input_file"})
NO_MATTER = frozenset({"type", "stream_id", "generate", "input", "previous_response_id"})
"""Fields of a request that are no settings of its successor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """`input` is as the client sent it, and `items` is what that says."""

    id: str
    previous_response_id: str
    input: Any
    items: Sequence[Item]


@dataclass(slots=True, kw_only=True)
class Target:
    """A response that may be steered, with what was submitted for it and the label of its stream."""

    run: Run
    label: Wire
    queued: list[Submission] = field(default_factory=list[Submission])
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Steering:
    """The submissions of one connection. Its events are numbered from 0, apart from those of the responses."""

    def __init__(self, runs: Runs, store: Steers) -> None:
        self._runs = runs
        self._store = store
        self._number = 0
        self._active: dict[str, Target] = {}
        self._waiting: dict[str, Sequence[Submission]] = {}
        self._ended: OrderedDict[str, tuple[str, Wire]] = OrderedDict()

    def begin(self, run: Run, label: Wire) -> None:
        """From now on this response can be steered."""
        self._active[run.turn.id] = Target(run=run, label=label)

    async def submit(self, frame: Wire) -> Wire:
        """Queue what the client says. Returns the event that answers it. Raises StorageFull."""
        given = frame.get("previous_response_id")
        id = given if isinstance(given, str) else ""
        target = self._active.get(id)
        try:
            items = self._check(frame, id, target)
            assert target
            submission = Submission(id=new_id("steer"), previous_response_id=id, input=frame["input"], items=items)
            async with target.lock:
                if id not in self._active:
                    raise ended(self._ended[id][0])
                await self._accept(submission, target)
        except InvalidRequest as error:
            label = target.label if target else self._ended.get(id, ("", Wire()))[1]
            return self._failed({"previous_response_id": id, "input": frame.get("input") or []}, error, label)
        target.run.halt()
        return self._event("accepted", target.label, steer=named(submission))

    async def _accept(self, submission: Submission, target: Target) -> None:
        """Raises InvalidRequest with a code of steering, and StorageFull."""
        turn, said = target.run.turn, said_in([*target.queued, submission])
        try:
            await self._runs.admit_steer(turn, said)
            if turn.stored:
                await self._store.keep_steer(Steer(id=submission.id, turn=turn.id, items=submission.items))
        except NotFound:
            raise ended("response_not_active") from None
        except InvalidRequest as error:
            raise InvalidRequest(str(error), code="invalid_input") from None
        target.queued.append(submission)

    async def end(self, run: Run) -> tuple[list[Wire], Sequence[Submission]]:
        """The response is over: events about what was submitted for it, and what a successor is to begin with."""
        id, stored = run.turn.id, run.turn.stored
        target = self._active[id]
        async with target.lock:
            del self._active[id]
        ending = run.events[-1]
        assert isinstance(ending, Ending)
        completed = to_end(ending).status in ("completed", "paused")
        code = "response_already_completed" if completed else "response_not_active"
        self._ended[id] = code, target.label
        while len(self._ended) > MOST_ENDED:
            self._ended.popitem(last=False)
        queued = target.queued
        match ending:
            case RunCompleted():
                return [], queued
            case RunPaused() if queued:
                if stored:
                    # A request that continues the response may have come first, and been told.
                    left = {steer.id for steer in await self._store.steers(id)}
                    queued = [submission for submission in queued if submission.id in left]
                else:
                    self._waiting[id] = queued
                more: Wire = {"reason": "waiting_for_required_input", "required_input": required(ending)}
                return [self._event("pending", target.label, **more, steer=named(each)) for each in queued], []
            case _:
                return await self.given_back(run.turn, queued, ended(code), target.label), []

    async def given_back(
        self, turn: Turn, queued: Sequence[Submission], error: GatewayError, label: Wire
    ) -> list[Wire]:
        """The client may send it in a request of its own: no turn is told it any more. Raises StorageFull."""
        if turn.stored and queued:
            # With a deleted response all of it is gone from the store.
            with suppress(NotFound):
                dropped = await self._store.drop_steers(turn.id, [each.id for each in queued])
                queued = [each for each in queued if each.id in dropped]
        return [self._failed({**named(each), "input": each.input}, error, label) for each in queued]

    def taken(self, id: str) -> Sequence[Item]:
        """What waits for the request that continues a response which is not stored. If that fails, none can."""
        return said_in(self._waiting.pop(id, ()))

    def _check(self, frame: Wire, id: str, target: Target | None) -> list[Item]:
        """What is said. Raises InvalidRequest with a code of steering."""
        try:
            items = to_said(frame)
        except InvalidRequest as error:
            raise InvalidRequest(str(error), code="invalid_input") from None
        if target is None:
            if id in self._ended:
                raise ended(self._ended[id][0])
            raise InvalidRequest(f"Response with id '{id}' not found on this connection.", code="response_not_found")
        turn = target.run.turn
        if turn.conversation or turn.options.get("compact_threshold"):
            raise InvalidRequest(
                "A response in a conversation, or with automatic compaction, cannot be steered.",
                code="steering_not_supported",
            )
        queues = [*self._waiting.values(), *(each.queued for each in self._active.values())]
        if sum(map(len, queues)) >= MOST_QUEUED:
            raise InvalidRequest(f"{MOST_QUEUED} submissions are waiting.", code="too_many_pending_steers")
        return items

    def _failed(self, steer: Wire, error: GatewayError, label: Wire) -> Wire:
        said = {"type": "invalid_request_error", "code": error.code, "message": str(error)}
        return self._event("failed", label, error=said, steer=steer)

    def _event(self, kind: str, label: Wire, **fields: Any) -> Wire:
        number, self._number = self._number, self._number + 1
        return {"type": f"response.steer.{kind}", **fields, "sequence_number": number, **label}


def successor(frame: Wire, previous: str) -> Wire:
    """The request that goes on from the response `previous`, which this frame asked for; it says nothing itself."""
    settings = {name: value for name, value in frame.items() if name not in NO_MATTER}
    if prompt := settings.get("prompt"):
        settings["prompt"] = without_media(prompt)
    return {**settings, "previous_response_id": previous, "input": []}


def said_in(queued: Sequence[Submission]) -> list[Item]:
    return [item for submission in queued for item in submission.items]


def to_said(frame: Wire) -> list[Item]:
    """What a submission says: only messages of the user's may be. Raises InvalidRequest for what is none."""
    for name in ("previous_response_id", "input"):
        if not frame.get(name):
            raise InvalidRequest(f"Missing required parameter: '{name}'.")
    if unknown := sorted(frame.keys() - FIELDS):
        raise InvalidRequest(f"Unknown parameter: '{unknown[0]}'.")
    if not isinstance(frame["previous_response_id"], str):
        raise InvalidRequest("Invalid type for 'previous_response_id': expected a string.")
    given = frame["input"]
    if not isinstance(given, str | list):
        raise InvalidRequest("Invalid type for 'input': expected a string or an array.")
    if isinstance(given, str):
        return to_items(given)
    messages = cast("list[object]", given)
    if len(messages) > MOST_ITEMS:
        raise InvalidRequest(f"Invalid 'input': at most {MOST_ITEMS} items.")
    return to_items([check_message(message, f"input[{number}]") for number, message in enumerate(messages)])


def check_message(item: object, where: str) -> Wire:
    message = cast("Wire", item) if isinstance(item, dict) else {}
    if message.get("type", "message") != "message" or message.get("role") != "user":
        raise InvalidRequest(f"Invalid value for '{where}': only messages of the user's steer a response.")
    if unknown := sorted(message.keys() - MESSAGE_FIELDS):
        raise InvalidRequest(f"Unknown parameter: '{where}.{unknown[0]}'.")
    content = message.get("content")
    for number, part in enumerate(cast("list[object]", content) if isinstance(content, list) else ()):
        kind = cast("Wire", part).get("type") if isinstance(part, dict) else None
        if kind not in PARTS:
            raise InvalidRequest(f"Invalid value for '{where}.content[{number}].type': {kind!r} does not steer.")
    return message


def named(submission: Submission) -> Wire:
    return {"id": submission.id, "previous_response_id": submission.previous_response_id}


def ended(code: str) -> InvalidRequest:
    what = "has completed" if code == "response_already_completed" else "has ended"
    return InvalidRequest(f"The response {what}, and takes no more input. Send a request that continues it.", code=code)


def required(pause: RunPaused) -> list[Wire]:
    """What the response waits for, as input items whose results are for the client to fill in."""
    calls: list[Wire] = [
        {"type": "custom_tool_call_output", "call_id": call.call_id}
        if call.type == "custom"
        else {"type": "function_call_output", "call_id": call.call_id, "name": call.name}
        for call in pause.client_calls
    ]
    return [*calls, *({"type": "mcp_approval_response", "approval_request_id": one.id} for one in pause.asked)]
