"""Sessions of the tool servers over HTTP: each belongs to the owner of the key that opened it.

To others it does not exist, and one owner's sessions cannot crowd out another's.
"""

import time
from collections.abc import Callable, Generator, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken

MAX_SESSIONS = 64
"""Of one owner with one server: more than any person's hosts have open. One more, and the oldest idle one is closed."""
IDLE_SECONDS = 600.0
"""A session without a request or an open stream for this long is closed; its host opens another."""
SESSION = b"mcp-session-id"

Scope = MutableMapping[str, Any]
Channel = Callable[..., Any]
Headers = Sequence[tuple[bytes, bytes]]


class SessionManager(Protocol):
    """What serves a tool server over HTTP: mcp's, which compares users to tell whose session it is."""

    def run(self) -> Any: ...
    async def handle_request(self, scope: Scope, receive: Channel, send: Channel) -> None: ...


@dataclass(slots=True)
class _Session:
    """`busy` is how many of its requests and streams are open, `used` when the last one ended."""

    busy: int = 0
    used: float = field(default_factory=time.monotonic)


class OwnedSessions:
    """One server's sessions, each for its owner alone. An ASGI app behind the check of keys, which names the owner."""

    def __init__(self, manager: SessionManager) -> None:
        self._manager = manager
        self._owners: dict[str, dict[str, _Session]] = {}

    async def handle_request(self, scope: Scope, receive: Channel, send: Channel) -> None:
        owner: str = scope["state"]["owner"]
        scope["user"] = AuthenticatedUser(AccessToken(token="", client_id=owner, scopes=[]))
        name = _header(scope["headers"], SESSION)

        async def noting(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                self._note(owner, name, scope["method"], message)
            await send(message)

        # Before as well: the request that opened one too many may have been broken off.
        await self._make_room(owner, scope)
        with self._in_use(owner, name):
            await self._manager.handle_request(scope, receive, noting)
        await self._make_room(owner, scope)

    @contextmanager
    def _in_use(self, owner: str, name: str) -> Generator[None]:
        session = self._owners.get(owner, {}).get(name)
        if session is None:
            yield
            return
        session.busy += 1
        try:
            yield
        finally:
            session.busy -= 1
            session.used = time.monotonic()

    def _note(self, owner: str, name: str, method: str, start: MutableMapping[str, Any]) -> None:
        """What an answer says of a session: that it was opened, or is no more."""
        status: int = start["status"]
        if not name and status < 400 and (opened := _header(start.get("headers", ()), SESSION)):
            self._owners.setdefault(owner, {})[opened] = _Session()
        elif name and (status == 404 or (method == "DELETE" and status < 300)):
            self._forget(owner, name)

    def _forget(self, owner: str, name: str) -> None:
        sessions = self._owners.get(owner, {})
        sessions.pop(name, None)
        if not sessions:
            self._owners.pop(owner, None)

    async def _make_room(self, owner: str, scope: Scope) -> None:
        while len(sessions := self._owners.get(owner, {})) > MAX_SESSIONS:
            oldest = min(sessions, key=lambda name: (sessions[name].busy > 0, sessions[name].used))
            self._forget(owner, oldest)
            await self._close(oldest, scope)

    async def _close(self, name: str, scope: Scope) -> None:
        """As its host would close it: the manager has no other way that is meant for use."""
        host = [(key, value) for key, value in cast("Headers", scope["headers"]) if key == b"host"]

        async def nothing() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def unheard(message: MutableMapping[str, Any]) -> None:
            pass

        closing: Scope = {**scope, "method": "DELETE", "headers": [*host, (SESSION, name.encode("latin-1"))]}
        await self._manager.handle_request(closing, nothing, unheard)


def _header(headers: Headers, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in headers if key.lower() == name), "")
