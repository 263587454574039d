"""The relay: a request handed on between client and vendor, who speak the same wire.

On the way there only what must have another name gets it. On the way back no token is read, and nothing is changed but
what is said of a failure and, of a response, how its stream begins and ends. The first event has to be JSON, because it
decides the status; each later one has to look like it, which is all that costs no more than a pass-through. What is
looked for is how the answer ends, because a broken one must not look whole: errors and endings are found as bytes, and
these cannot stand inside a JSON string (their quotes would be escaped there).

Here is what every wire has in common; `relayed_chat` and `relayed_response` know what an answer of theirs looks like.
"""

import re
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Protocol, cast

import orjson

from gateway.errors import ProviderError, ProviderRefused
from gateway.providers.answers import LARGEST_BODY, HttpReader, whole
from gateway.providers.chat_ending import is_error
from gateway.providers.sse import EventBlocks, SseParser
from gateway.providers.targets import Answer, Target
from gateway.providers.transport import Endpoint, Reply
from gateway.providers.vendor_errors import from_body, parsed

Json = dict[str, Any]

DONE = b"data: [DONE]\n\n"
BLANK_LINE = re.compile(rb"(?<=\n\n)|(?<=\n\r\n)")


class RelayLane(Protocol):
    """A lane whose wire clients speak too."""

    def relay(self, given: Mapping[str, Any], target: Target) -> Answer[bytes]:
        """Hand the client's own request on. Raises ProviderRefused."""
        ...

    def is_private(self, target: Target) -> bool:
        """Whether the answers of this target tell what the host adds to its requests."""
        ...

    def needs_openai(self, given: Mapping[str, Any]) -> bool:
        """Whether the request asks for what many servers of this wire do not do, and some of them do not say so."""
        ...


def written(body: Json, target: Target) -> bytes:
    """The body with what the host adds to every one. Raises ProviderRefused."""
    extra = target.provider.extra
    # Some servers know a name in other letters, too, and take what comes last.
    said = {name: value for name, value in body.items() if name.casefold() not in extra}
    try:
        return orjson.dumps(said | dict(extra))
    except TypeError as error:
        # What was read can be written, unless it is nested deeper than the writer goes.
        raise ProviderRefused(f"The request cannot be passed on: {error}.", code="invalid_value") from error


class RelayAnswer(HttpReader[bytes]):
    """One answer. What a stream says before its first data, comments, is dropped: it is nobody's first token."""

    def __init__(self, endpoint: Endpoint, body: bytes, target: Target, *, streamed: bool) -> None:
        super().__init__(target)
        self._endpoint = endpoint
        self._body = body
        self._streamed = streamed
        self._blocks = EventBlocks()
        self._sniffed = False

    @abstractmethod
    def _block(self, block: bytes, out: list[bytes]) -> bool:
        """Hand on some whole events. True when the last of the answer is among them. Raises ProviderError."""

    @abstractmethod
    def _end(self) -> None:
        """The stream has ended. Raises ProviderError unless the answer is whole."""

    @abstractmethod
    def _check(self, answer: Json) -> None:
        """Raises ProviderError for a JSON answer that is not a whole one."""

    @abstractmethod
    def _as_stream(self, answer: Json) -> bytes:
        """A whole answer as a stream. Raises TypeError for one that is nested deeper than the writer goes."""

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
                # A server that does not stream.
                answer = self._checked(piece + await whole(reply, LARGEST_BODY))
                try:
                    out.append(self._as_stream(answer))
                except TypeError as error:
                    raise self._garbled() from error
                return True
        return self._pass(piece, out) if piece else self._close(out)

    def _pass(self, piece: bytes, out: list[bytes]) -> bool:
        try:
            block = self._blocks.feed(piece)
        except ValueError as error:
            raise self._garbled() from error
        return self._block(block, out) if block else False

    def _close(self, out: list[bytes]) -> bool:
        """The vendor ended its body. Some do not say [DONE], some leave out the last blank line."""
        rest = self._blocks.close()
        if datas(rest) and self._block(rest.rstrip() + b"\n\n", out):
            return True
        self._end()
        out.append(DONE)
        return True

    def _checked(self, body: bytes) -> Json:
        """The JSON answer, if it is a whole one."""
        answer: Any = parsed(body)
        if not isinstance(answer, dict):
            raise self._unasked() if body.lstrip().startswith((b"data:", b":", b"event:")) else self._garbled()
        answer = cast(Json, answer)
        if is_error(answer):
            raise from_body(self._target.provider.name, answer, secrets=self._target.secrets)
        self._check(answer)
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
