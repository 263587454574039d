"""The relay: a chat completion handed on between client and vendor, who speak the same wire.

On the way there only what must have another name gets it. On the way back nothing is changed and no token is read. The
first event has to be JSON, because it decides the status; each later one has to look like it, which is all that costs
no more than a pass-through. What is looked for is how the answer ends, because an end without a finish reason must not
look like one: errors and finish reasons are found as bytes, which cannot stand inside a JSON string (their quotes would
be escaped there).
"""

import re
from collections.abc import Mapping
from typing import Any, cast

import orjson

from gateway.errors import ProviderError, ProviderRefused
from gateway.providers.answers import LARGEST_BODY, HttpReader, whole
from gateway.providers.chat_ending import FINISHES, broken_off, is_error, truncated
from gateway.providers.sse import EventBlocks, SseParser
from gateway.providers.targets import Target
from gateway.providers.transport import Endpoint, Reply
from gateway.providers.vendor_errors import from_body, parsed, without_secrets

Json = dict[str, Any]

DONE = b"data: [DONE]\n\n"
DONE_LINE = re.compile(rb"(?<![^\r\n])data: ?\[DONE\]")
FINISH = re.compile(rb'"finish_reason"\s*:\s*"([^"]+)"')
BLANK_LINE = re.compile(rb"(?<=\n\n)|(?<=\n\r\n)")
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
    try:
        return orjson.dumps(body | dict(target.provider.extra))
    except TypeError as error:
        # What was read can be written, unless it is nested deeper than the writer goes.
        raise ProviderRefused(f"The request cannot be passed on: {error}.", code="invalid_value") from error


def as_system(message: object) -> object:
    if isinstance(message, dict):
        known = cast(Json, message)
        return {**known, "role": "system"} if known.get("role") == "developer" else known
    return message


def needs_openai(given: Mapping[str, Any]) -> bool:
    """Whether the request asks for what many servers of this wire do not do, and some of them do not say so."""
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


class RelayAnswer(HttpReader[bytes]):
    """One answer. What a stream says before its first data, comments, is dropped: it is nobody's first token."""

    def __init__(self, endpoint: Endpoint, body: bytes, given: Mapping[str, Any], target: Target) -> None:
        super().__init__(target)
        self._endpoint = endpoint
        self._body = body
        self._streamed = given.get("stream") is True
        choices = given.get("n")
        self._choices = choices if isinstance(choices, int) else 1
        self._blocks = EventBlocks()
        self._sniffed = self._begun = False
        self._finished = 0
        self._broken: str | None = None

    async def _post(self) -> Reply:
        body, self._body = self._body, b""
        return await self._endpoint.post(body)

    async def _advance(self, out: list[bytes]) -> bool:
        reply = self._reply or await self._open()
        if not self._streamed:
            body = await whole(reply, LARGEST_BODY)
            self._checked(body)
            out.append(body)
            return True
        piece = await reply.piece()
        if not self._sniffed and (start := piece.lstrip()):
            self._sniffed = True
            if start.startswith(b"{"):
                # A server that does not stream. Its answer is a stream of one chunk.
                body = self._checked(piece + await whole(reply, LARGEST_BODY))
                try:
                    out.append(one_chunk(body))
                except TypeError as error:
                    raise self._garbled() from error
                return True
        return self._pass(piece, out) if piece else self._close(out)

    # A stream

    def _pass(self, piece: bytes, out: list[bytes]) -> bool:
        try:
            block = self._blocks.feed(piece)
        except ValueError as error:
            raise self._garbled() from error
        return self._block(block, out) if block else False

    def _block(self, block: bytes, out: list[bytes]) -> bool:
        """Hand on some whole events. True when [DONE] is among them."""
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
            self._end(1)
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

    def _close(self, out: list[bytes]) -> bool:
        """The vendor ended its body. Some do not say [DONE], some leave out the last blank line."""
        rest = self._blocks.close()
        if datas(rest) and self._block(rest.rstrip() + b"\n\n", out):
            return True
        self._end(self._choices)
        out.append(DONE)
        return True

    def _end(self, choices: int) -> None:
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

    def _checked(self, body: bytes) -> Json:
        """The completion, if it is a whole one."""
        name = self._target.provider.name
        answer: Any = parsed(body)
        if not isinstance(answer, dict):
            raise self._unasked() if body.lstrip().startswith((b"data:", b":", b"event:")) else self._garbled()
        answer = cast(Json, answer)
        if is_error(answer):
            raise from_body(name, answer, secrets=self._target.secrets)
        choices: Any = answer.get("choices") or []
        if choices.__class__ is not list or any(choice.__class__ is not dict for choice in choices):
            raise self._garbled()
        for choice in cast(list[Json], choices):
            if reason := choice.get("finish_reason"):
                self._finished += 1
                self._note(str(reason))
        self._end(max(1, len(choices)))
        return answer

    def _unasked(self) -> ProviderError:
        name = self._target.provider.name
        error = ProviderError(f"{name} sent a stream although none was asked for.", code="stream_not_asked_for")
        error.retryable = False
        return error


def datas(events: bytes) -> list[bytes]:
    """The data of some events, the last of which may want its blank line."""
    sse = SseParser()
    return [*sse.feed(events), *sse.close()]


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
