"""A chat completion that is relayed: see `relay`."""

import re
from collections.abc import Mapping
from typing import Any, cast

import orjson

from gateway.providers.chat_ending import FINISHES, broken_off, is_error, truncated
from gateway.providers.relay import BLANK_LINE, DONE, Json, RelayAnswer, datas, written
from gateway.providers.targets import Target
from gateway.providers.transport import Endpoint
from gateway.providers.vendor_errors import from_body, parsed, without_secrets

DONE_LINE = re.compile(rb"(?<![^\r\n])data: ?\[DONE\]")
FINISH = re.compile(rb'"finish_reason"\s*:\s*"([^"]+)"')
OUTPUT_LIMITS = ("max_tokens", "max_completion_tokens")


def relayed_body(given: Mapping[str, Any], target: Target) -> bytes:
    """The client's body with the names that this vendor has for things, and with what the host adds to every body.

    Raises ProviderRefused.
    """
    vendor = target.vendor
    body: Json = {**given, "model": target.model}
    for name in OUTPUT_LIMITS:
        if name != vendor.max_tokens and (limit := body.pop(name, None)) is not None:
            body.setdefault(vendor.max_tokens, limit)
    if vendor.seed != "seed" and "seed" in body:
        body.setdefault(vendor.seed, body.pop("seed"))
    if not vendor.developer:
        body["messages"] = [as_system(message) for message in body["messages"]]
    if not vendor.usage_option:
        body.pop("stream_options", None)
    return written(body, target)


def as_system(message: object) -> object:
    if isinstance(message, dict):
        known = cast(Json, message)
        return {**known, "role": "system"} if known.get("role") == "developer" else known
    return message


def needs_openai(given: Mapping[str, Any]) -> bool:
    """See `relay.RelayLane`."""
    match given:
        case {"n": int(choices)} if choices > 1:
            return True
        case {"response_format": {"type": "json_schema", "json_schema": {"strict": True}}}:
            return True
        case _:
            tools: object = given.get("tools")
            return isinstance(tools, list) and any(map(is_custom, cast(list[object], tools)))


def is_custom(tool: object) -> bool:
    return isinstance(tool, dict) and cast(Json, tool).get("type") == "custom"


class RelayedCompletion(RelayAnswer):
    """One chat completion."""

    def __init__(self, endpoint: Endpoint, body: bytes, given: Mapping[str, Any], target: Target) -> None:
        super().__init__(endpoint, body, target, streamed=given.get("stream") is True)
        choices = given.get("n")
        self._choices = choices if isinstance(choices, int) else 1
        self._begun = False
        self._finished = 0
        self._broken: str | None = None

    # A stream

    def _block(self, block: bytes, out: list[bytes]) -> bool:
        begun = self._begun
        if not begun:
            if b"data:" not in block:
                return False
            self._begun = True
        if not begun or b'"error"' in block or not look_like_chunks(block):
            self._look(block, out, begun=begun)
        for reason in FINISH.findall(block):
            self._finished += 1
            self._note(reason.decode("utf-8", "replace"))
        if b"[DONE]" in block and (done := DONE_LINE.search(block)):
            if before := block[: done.start()]:
                out.append(before)
            # A vendor may not make as many choices as it was asked for.
            self._finish(1)
            out.append(block[done.start() :])
            return True
        out.append(block)
        return False

    def _look(self, block: bytes, out: list[bytes], *, begun: bool) -> None:
        """Raise the error that one of these events may be, or that it is no chunk. Those before it are handed on, if
        something was said there or before."""
        before: list[bytes] = []
        for event in BLANK_LINE.split(block):
            for data in datas(event):
                if data == b"[DONE]":
                    return
                chunk = parsed(data)
                if chunk.__class__ is dict and not is_error(chunk):
                    begun = True
                    continue
                if begun:
                    out += before
                if chunk.__class__ is dict:
                    raise from_body(self._target.provider.name, chunk, secrets=self._target.secrets)
                raise self._garbled()
            before.append(event)

    def _end(self) -> None:
        self._finish(self._choices)

    def _finish(self, choices: int) -> None:
        """Raises ProviderError unless this many choices have come to a proper end."""
        name = self._target.provider.name
        if self._finished < choices:
            raise truncated(name)
        if self._broken is not None:
            raise broken_off(name, without_secrets(self._broken, self._target.secrets))

    def _note(self, reason: str) -> None:
        if reason.lower() not in FINISHES:
            self._broken = reason

    # One JSON

    def _check(self, answer: Json) -> None:
        choices: Any = answer.get("choices") or []
        if choices.__class__ is not list or any(choice.__class__ is not dict for choice in choices):
            raise self._garbled()
        for choice in cast(list[Json], choices):
            if reason := choice.get("finish_reason"):
                self._finished += 1
                self._note(str(reason))
        self._finish(max(1, len(choices)))

    def _as_stream(self, answer: Json) -> bytes:
        return one_chunk(answer)


def look_like_chunks(events: bytes) -> bool:
    """Whether each of some whole events is one line of data in braces. Anything else may be a chunk too."""
    return (
        events.startswith(b"data: {")
        and events.endswith(b"}\n\n")
        and events.count(b"\n\n") == events.count(b"}\n\ndata: {") + 1
    )


def one_chunk(completion: Json) -> bytes:
    """A whole completion as a stream: one chunk with all there is to say, and the end.

    Raises TypeError for one that is nested deeper than the writer goes.
    """
    choices: list[Json] = []
    for choice in completion["choices"]:
        delta: Json = choice.get("message") or {}
        calls: Any = delta.get("tool_calls") if delta.__class__ is dict else None
        if calls.__class__ is list:
            delta = {**delta, "tool_calls": [numbered(call, number) for number, call in enumerate(calls)]}
        choices.append({**{name: choice[name] for name in choice if name != "message"}, "delta": delta})
    chunk = {**completion, "object": "chat.completion.chunk", "choices": choices}
    return b"data: %b\n\n%b" % (orjson.dumps(chunk), DONE)


def numbered(call: Any, number: int) -> Any:
    return {"index": number, **cast(Json, call)} if isinstance(call, dict) else call
