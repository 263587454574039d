"""The requests of a run as they went to the providers, for whoever wants to see what a model was really told.

Lanes note what they send, the router what failed, the recorder what was answered; a store keeps it with the turn.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from gateway.errors import GatewayError
from gateway.events import Usage

Outcome = Literal["in_progress", "completed", "failed", "cancelled"]


@dataclass(slots=True, kw_only=True)
class ModelRequest:
    """One request to a provider, and what became of it. Only the log changes it, until its outcome is known.

    `model` is the id under which the settings know the model. `body` is what was sent, byte for byte; where a key of
    the host's stood in it stands `[key]`, and it is `redacted`. Unless `exact`, somebody else wrote the bytes, and this
    is what they were written from. `url` holds no credentials. `created_at` is Unix seconds. `error` is set where the
    status is failed; `usage` is None where the provider reported none.
    """

    model: str
    url: str
    body: bytes
    created_at: float
    exact: bool = True
    redacted: bool = False
    status: Outcome = "in_progress"
    error: tuple[str, str] | None = None
    usage: Usage | None = None


Requests = Sequence[ModelRequest]


class RequestLog:
    """The requests of one run that no store has yet, oldest first. Only the last can be under way."""

    def __init__(self) -> None:
        self._requests: list[ModelRequest] = []

    def sent(self, request: ModelRequest) -> None:
        self._requests.append(request)

    def failed(self, error: GatewayError) -> None:
        """What is under way came to nothing. `ModelRequest.error` is the code and the message."""
        self._settle("failed", (error.code or error.type, str(error)))

    def answered(self, usage: Usage | None) -> None:
        self._settle("completed", usage=usage)

    def cancelled(self) -> None:
        self._settle("cancelled")

    def _settle(self, status: Outcome, error: tuple[str, str] | None = None, usage: Usage | None = None) -> None:
        if self._requests and (last := self._requests[-1]).status == "in_progress":
            last.status, last.error, last.usage = status, error, usage

    def over(self) -> Requests:
        """Those whose outcome is known."""
        under_way = bool(self._requests) and self._requests[-1].status == "in_progress"
        return tuple(self._requests[:-1] if under_way else self._requests)

    def drop(self, count: int) -> None:
        """A store has the first `count`."""
        del self._requests[:count]
