"""What LiteLLM sends, byte for byte: its own hooks tell what it was given, its transport what becomes of that.

Most vendors are asked through one class of its HTTP transport. That class is made to tell each request to whoever waits
for it in its context, which leaves the calls of others alone. A vendor that is asked by another way is not heard.
"""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

Told = Callable[[str, bytes], None]
"""Takes the URL and the body of a request that is about to be sent."""
Listener = ContextVar[Told | None]

NAME = "homeport_listener"


def listened(transport: Any) -> Listener:
    """Where to say who listens to `transport`, LiteLLM's class. It is changed once, however often this is called."""
    known: Listener | None = getattr(transport, NAME, None)
    if known is not None:
        return known
    listener: Listener = ContextVar(NAME, default=None)
    send = transport.handle_async_request

    async def handle_async_request(self: Any, request: Any) -> Any:
        told = listener.get()
        if told is not None and is_question(request):
            told(str(request.url), request.content)
        return await send(self, request)

    transport.handle_async_request = handle_async_request
    setattr(transport, NAME, listener)
    return listener


def is_question(request: Any) -> bool:
    """Not for the vendor's log-in, which is a form, nor for a picture."""
    return request.method == "POST" and "json" in request.headers.get("content-type", "")
