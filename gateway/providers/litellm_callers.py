"""Who asks a vendor through LiteLLM, as its transport is told (`litellm_requests`). This needs neither it nor httpx."""

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass

from gateway.providers.answers import LARGEST_BODY

Told = Callable[[str, bytes], None]
"""Takes the URL and the body of a request that is about to be sent."""


@dataclass(slots=True)
class Caller:
    """Who asks a `provider` in a context. `told` is told of its requests; `live`: the answer may be a stream of events,
    and otherwise has at most so many bytes. `answered`: the last request was answered, and with no error."""

    provider: str
    told: Told | None = None
    live: bool = False
    most: int = LARGEST_BODY
    answered: bool = False


Listener = ContextVar[Caller | None]
