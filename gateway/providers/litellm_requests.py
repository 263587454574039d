"""What LiteLLM sends, byte for byte, and no more of an answer than an answer may have.

Its own hooks tell what it was given, its transport what becomes of that. Most vendors are asked through one class of
its HTTP transport. That class is made to tell each request to whoever waits for it in its context, and to hold the
answer to the limits of the other lanes; it leaves the calls of others alone. A vendor that is asked by another way is
not heard.

`litellm_import` imports this when LiteLLM is there: httpx, whose classes these are, has then been paid for.
"""

from collections.abc import AsyncIterator
from contextvars import ContextVar
from typing import Any

import httpx

from gateway.providers.answers import LARGEST_ERROR
from gateway.providers.litellm_callers import Caller, Listener
from gateway.providers.sse import EventBlocks
from gateway.providers.transport import broken
from gateway.providers.vendor_errors import too_large

NAME = "homeport_listener"


def listened(transport: Any) -> Listener:
    """Where to say who asks through `transport`, LiteLLM's class. It is changed once, however often this is called."""
    known: Listener | None = getattr(transport, NAME, None)
    if known is not None:
        return known
    listener: Listener = ContextVar(NAME, default=None)
    send = transport.handle_async_request

    async def handle_async_request(self: Any, request: httpx.Request) -> httpx.Response:
        caller = listener.get()
        if caller is None or not is_question(request):
            return await send(self, request)
        if caller.told is not None:
            caller.told(str(request.url), request.content)
        # A few bytes can be the compressed form of any number.
        request.headers["accept-encoding"] = "identity"
        response: httpx.Response = await send(self, request)
        caller.answered = response.status_code < 300
        response.stream = Bounded(response, caller)
        return response

    transport.handle_async_request = handle_async_request
    setattr(transport, NAME, listener)
    return listener


class Bounded(httpx.AsyncByteStream):
    """The body of an answer. That of an error is cut off where it is too long; of any other, that is an error."""

    def __init__(self, response: httpx.Response, caller: Caller) -> None:
        self._stream: Any = response.stream
        self._caller = caller
        self._failed = response.status_code >= 300
        self._compressed = response.headers.get("content-encoding", "identity") != "identity"
        events = caller.live and not self._failed and "text/event-stream" in response.headers.get("content-type", "")
        self._events = EventBlocks() if events else None
        self._left = LARGEST_ERROR if self._failed else caller.most

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._compressed:
            raise broken(ValueError("the answer is compressed although that was not asked for"))
        async for piece in self._stream:
            if not self._fits(piece):
                await self.aclose()
                if self._failed:
                    return
                raise too_large(self._caller.provider)
            yield piece

    def _fits(self, piece: bytes) -> bool:
        if self._events is None:
            self._left -= len(piece)
            return self._left >= 0
        try:
            self._events.feed(piece)
        except ValueError:
            return False
        return True

    async def aclose(self) -> None:
        await self._stream.aclose()


def received(status: int, body: bytes) -> httpx.Response:
    """A whole answer as LiteLLM's transformations are given one."""
    return httpx.Response(status, content=body)


def is_question(request: Any) -> bool:
    """Not for the vendor's log-in, which is a form, nor for a picture."""
    return request.method == "POST" and "json" in request.headers.get("content-type", "")
