"""A response that is relayed: see `relay`.

A stream is handed on from its first word on. The events before that say only that the vendor has begun, and what fails
after them may be tried again. It ends with one of `ENDINGS`, and for the client with `[DONE]`, as the gateway's own do.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from gateway.errors import ProviderError
from gateway.providers.chat_ending import broken_off, is_error, truncated
from gateway.providers.relay import BLANK_LINE, DONE, Json, RelayAnswer, datas, written
from gateway.providers.targets import Target
from gateway.providers.transport import Endpoint
from gateway.providers.unstreamed import as_events, event_frame
from gateway.providers.vendor_errors import from_body, parsed, without_secrets

BEGINNINGS = frozenset({"response.created", "response.queued", "response.in_progress"})
ENDINGS = frozenset({"response.completed", "response.incomplete", "response.failed", "response.cancelled"})
MOST_BEGINNINGS = 16
"""Events that are held until something is said. A response has three at most."""
FAILURES = frozenset({"error", "response.failed"})
WHOLE = frozenset({"completed", "incomplete"})
UNDER_WAY = frozenset({"None", "queued", "in_progress"})
ERROR = re.compile(rb'"error"(?!\s*:\s*null)')
ECHOED = frozenset({"instructions", "metadata", "prompt", "prompt_cache_key", "safety_identifier", "tools", "user"})
"""Fields of a request that a response repeats, and that may be meant for the vendor alone."""
OPENAIS = frozenset({"custom", "custom_tool_call", "custom_tool_call_output"})
"""Kinds of tools and items that servers of this wire seldom know."""
DEEPEST = 8
"""Levels of an error that are handed on, where it has to be written anew."""


def relayed_body(given: Mapping[str, Any], target: Target) -> bytes:
    """The client's body with the vendor's name for the model, and with what the host adds. Raises ProviderRefused."""
    return written({**given, "model": target.model}, target)


def is_private(target: Target) -> bool:
    """See `relay.RelayLane`."""
    return not ECHOED.isdisjoint(target.provider.extra)


def needs_openai(given: Mapping[str, Any]) -> bool:
    """See `relay.RelayLane`."""
    match given:
        case {"text": {"format": {"type": "json_schema", "strict": True}}} | {"truncation": "auto"}:
            return True
        case _:
            return any(has_openais(given.get(name)) for name in ("tools", "input"))


def has_openais(listed: object) -> bool:
    return isinstance(listed, list) and any(
        isinstance(one, dict) and cast(Json, one).get("type") in OPENAIS for one in cast(list[object], listed)
    )


class RelayedResponse(RelayAnswer):
    """One response."""

    def __init__(self, endpoint: Endpoint, body: bytes, given: Mapping[str, Any], target: Target) -> None:
        super().__init__(endpoint, body, target, streamed=given.get("stream") is True)
        self._held: list[bytes] = []
        self._begun = self._failed = False

    # A stream

    async def _advance(self, out: list[bytes]) -> bool:
        try:
            return await super()._advance(out)
        except ProviderError:
            if not self._failed:
                raise
            # The vendor has said what went wrong; that its connection breaks afterwards is not worth another error.
            out.append(DONE)
            return True

    def _block(self, block: bytes, out: list[bytes]) -> bool:
        if self._begun and look_like_events(block) and not may_end(block):
            out.append(block)
            return False
        ended = False
        try:
            for event in BLANK_LINE.split(block):
                if ended := self._event(event):
                    break
        finally:
            if self._begun:
                out += self._held
                self._held.clear()
        if ended:
            out.append(DONE)
        return ended

    def _event(self, event: bytes) -> bool:
        """Read one event and hold it to be handed on. True for the last of the answer. Raises ProviderError."""
        found = datas(event)
        if not found:
            if self._begun and event:
                self._held.append(event)
            return False
        # More than one, where lines end with carriage returns alone.
        return any(self._data(data, event if len(found) == 1 else b"data: %b\n\n" % data) for data in found)

    def _data(self, data: bytes, event: bytes) -> bool:
        """As `_event`, of an event with these data."""
        if data == b"[DONE]":
            self._end()
            return True
        read = parsed(data)
        kind = self._kind(read)
        if kind in FAILURES or is_error(read) or has_failed(read):
            if not self._begun:
                raise self._failure(read)
            self._failed = True
            event = self._without_secrets(event, kind, read)
        elif (kind.startswith("response.") and kind not in BEGINNINGS) or len(self._held) >= MOST_BEGINNINGS:
            self._begun = True
        self._held.append(event)
        return kind in ENDINGS

    def _kind(self, read: Any) -> str:
        """Raises ProviderError for what is no event of a response."""
        if not isinstance(read, dict):
            raise self._garbled()
        kind = cast(Json, read).get("type")
        if isinstance(kind, str):
            return kind
        # An error in the form of chat completions is none that clients of this wire know.
        raise self._failure(cast(Json, read)) if is_error(cast(Json, read)) else self._garbled()

    def _failure(self, event: Json) -> ProviderError:
        response = event.get("response")
        told: Json = {"error": cast(Json, response).get("error") or {}} if isinstance(response, dict) else event
        return from_body(self._target.provider.name, told, secrets=self._target.secrets)

    def _without_secrets(self, event: bytes, kind: str, read: Json) -> bytes:
        """An event that tells a failure, without secrets of the gateway's in what it tells."""
        secrets, response = self._target.secrets, read.get("response")
        # Of the response itself only the error is the vendor's to say; the rest is the client's own.
        clean = {name: one if name == "response" else scrubbed(one, secrets) for name, one in read.items()}
        if isinstance(response, dict) and (error := cast(Json, response).get("error")):
            clean["response"] = {**response, "error": scrubbed(error, secrets)}
        if kind in ENDINGS and kind not in FAILURES and has_failed(read):
            # The event says that all is well, and the response in it that it is not.
            kind = clean["type"] = "response.failed"
        if clean == read:
            return event
        try:
            return event_frame(kind, clean)
        except TypeError as error:
            raise self._garbled() from error

    def _end(self) -> None:
        if not self._failed:
            raise truncated(self._target.provider.name)

    # One JSON

    def _check(self, answer: Json) -> None:
        if answer.get("object", "response") != "response" or not isinstance(answer.get("output"), list):
            raise self._garbled()
        name, status = self._target.provider.name, str(answer.get("status"))
        if status in UNDER_WAY:
            raise truncated(name)
        if status not in WHOLE:
            raise broken_off(name, without_secrets(status, self._target.secrets))

    def _as_stream(self, answer: Json) -> bytes:
        return as_events(answer) + DONE


def has_failed(event: Json) -> bool:
    """Whether the response in an event is one that failed, whatever the event is called."""
    match event:
        case {"response": {"status": "failed"}}:
            return True
        case {"response": {"error": told}}:
            return bool(cast(object, told))
        case _:
            return False


def look_like_events(events: bytes) -> bool:
    """Whether each of some whole events has one line of data in braces. Anything else may be an event too."""
    number = events.count(b"\n\n")
    begun = events.count(b"\ndata: {") + events.startswith(b"data: {")
    return events.endswith(b"}\n\n") and events.count(b"}\n\n") == number == begun


def may_end(events: bytes) -> bool:
    """Whether one of some events may be the last, or tell a failure. Inside a string the quotes would be escaped."""
    return (
        b'"response.completed"' in events
        or b'"response.incomplete"' in events
        or b'"response.failed"' in events
        or b'"response.cancelled"' in events
        or b"event: error" in events
        or b"event:error" in events
        or (b'"error"' in events and ERROR.search(events) is not None)
    )


def scrubbed(value: Any, secrets: Sequence[str], deep: int = 0) -> Any:
    """What a vendor says of a failure, without these secrets."""
    if isinstance(value, str):
        return without_secrets(value, secrets)
    if deep >= DEEPEST:
        return None if isinstance(value, dict | list) else value
    if isinstance(value, dict):
        return {name: scrubbed(one, secrets, deep + 1) for name, one in cast(Json, value).items()}
    if isinstance(value, list):
        return [scrubbed(one, secrets, deep + 1) for one in cast(list[Any], value)]
    return value
