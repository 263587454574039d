"""How an answer is read, whichever lane it comes by. A lane adds how it asks and what the bytes mean.

What came before a failure is told first, and the failure with the `next` after it.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, Generic, TypeVar, cast

from gateway.errors import ProviderError
from gateway.events import ModelEvent
from gateway.ports import ModelCall
from gateway.providers.chat_chunks import ChunkDecoder
from gateway.providers.logprobs import ScoredDecoder
from gateway.providers.sent import as_sent
from gateway.providers.sse import SseParser
from gateway.providers.targets import Target
from gateway.providers.transport import Reply
from gateway.providers.vendor_errors import from_response, garbled, parsed, too_large

LARGEST_BODY = 64 * 1024 * 1024
"""Bytes of an answer that is not a stream."""
LARGEST_ERROR = 256 * 1024

Said = TypeVar("Said")


class Reader(ABC, Generic[Said]):
    """A `targets.Answer` in all but `close`."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._error: ProviderError | None = None
        self._ended = False

    async def next(self) -> list[Said] | None:
        if self._error is not None:
            raise self._error
        if self._ended:
            return None
        out: list[Said] = []
        try:
            self._ended = await self._advance(out)
        except ProviderError as error:
            if not out:
                raise
            self._error = error
        return out

    @abstractmethod
    async def _advance(self, out: list[Said]) -> bool:
        """Wait for what arrives and append what it says. True after the last of it. Raises ProviderError."""

    def _garbled(self) -> ProviderError:
        return garbled(self._target.provider.name)


class HttpReader(Reader[Said]):
    """An answer over our own transport."""

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._reply: Reply | None = None

    @abstractmethod
    async def _post(self) -> Reply:
        """Send the request."""

    async def _open(self) -> Reply:
        self._reply = reply = await self._post()
        if reply.status >= 300:
            body = await whole(reply, LARGEST_ERROR)
            target = self._target
            raise from_response(target.provider.name, reply.status, reply.headers, body, target.secrets)
        return reply

    async def close(self) -> None:
        reply, self._reply = self._reply, None
        if reply is None:
            return
        if self._ended:
            reply.release()
        else:
            self._ended = True
            reply.close()


class EventReader(HttpReader[ModelEvent]):
    """An answer as events: server-sent ones that a decoder is fed with, or one JSON body."""

    def __init__(self, call: ModelCall, target: Target) -> None:
        super().__init__(target)
        self._log = call.log
        self._sse: SseParser | None = None

    def _note(self, url: str, body: bytes) -> None:
        """This is about to be sent."""
        if self._log is not None:
            self._log.sent(as_sent(self._target, url, body))

    @abstractmethod
    def _end(self, out: list[ModelEvent]) -> None:
        """The body has ended. Raises ProviderError unless the answer has."""

    @abstractmethod
    def _event(self, data: bytes, out: list[ModelEvent]) -> bool:
        """What one event of the stream says. True for the last one, after which nothing is read."""

    @abstractmethod
    def _whole(self, status: int, body: bytes, out: list[ModelEvent]) -> None:
        """What an answer says that did not come as a stream."""

    async def _advance(self, out: list[ModelEvent]) -> bool:
        reply = self._reply
        if reply is None:
            reply = await self._open()
            if "json" in reply.headers.get("content-type", ""):
                body = await whole(reply, LARGEST_BODY)
                if len(body) >= LARGEST_BODY:
                    raise too_large(self._target.provider.name)
                self._whole(reply.status, body, out)
                return True
            self._sse = SseParser()
        piece = await reply.piece()
        return self._events(self._datas(piece), out, last=not piece)

    def _object(self, data: bytes) -> dict[str, Any]:
        """Raises ProviderError for what is no JSON object."""
        value: Any = parsed(data)
        if not isinstance(value, dict):
            raise self._garbled()
        return cast(dict[str, Any], value)

    def _datas(self, piece: bytes) -> list[bytes]:
        """The data of the events that are whole with this piece; an empty one is the end."""
        assert self._sse is not None
        try:
            return self._sse.feed(piece) if piece else self._sse.close()
        except ValueError as error:
            raise too_large(self._target.provider.name) from error

    def _events(self, datas: Iterable[bytes], out: list[ModelEvent], *, last: bool) -> bool:
        for data in datas:
            if self._event(data, out):
                return True
        if last:
            self._end(out)
        return last


def decoder(call: ModelCall, target: Target, *, trusted: bool = True) -> ChunkDecoder:
    """The decoder of one answer; `trusted` as it has it."""
    stops = bool(call.options.get("stop"))
    name = target.provider.name
    kind = ScoredDecoder if call.options.get("logprobs") else ChunkDecoder
    return kind(name, target.id, call.items, stops=stops, trusted=trusted, secrets=target.secrets, tools=call.tools)


async def whole(reply: Reply, most: int) -> bytes:
    """The body up to its end, or as much of it as is wanted."""
    pieces: list[bytes] = []
    size = 0
    while size < most and (piece := await reply.piece()):
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)
