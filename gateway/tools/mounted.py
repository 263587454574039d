"""The in-process tool servers over streamable HTTP, at /mcp/<name>: the door for IDEs and other hosts.

They are the same server objects that the gateway's own agents use.
"""

from collections.abc import MutableMapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, Protocol, Self

from mcp.server.transport_security import TransportSecuritySettings

from gateway.tools.sessions import IDLE_SECONDS, OwnedSessions, SessionManager


class HttpServable(Protocol):
    """What both kinds of mcp server objects can do."""

    @property
    def session_manager(self) -> Any: ...
    def streamable_http_app(
        self, *, transport_security: TransportSecuritySettings | None, session_idle_timeout: float | None
    ) -> Any: ...


class MountedServers:
    """Enter and leave it in one task: the session managers hold a task group each. `hosts` as in the settings."""

    def __init__(self, servers: MutableMapping[str, HttpServable] | dict[str, Any], hosts: Sequence[str]) -> None:
        anyone = "*" in hosts
        self._security = TransportSecuritySettings(
            enable_dns_rebinding_protection=not anyone,
            allowed_hosts=[name for host in hosts for name in (host, f"{host}:*")],
            allowed_origins=[
                f"{scheme}://{host}{port}" for scheme in ("http", "https") for host in hosts for port in ("", ":*")
            ],
        )
        self._servers = servers
        self._managers: dict[str, OwnedSessions] = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        for name, server in self._servers.items():
            server.streamable_http_app(transport_security=self._security, session_idle_timeout=IDLE_SECONDS)
            manager: SessionManager = server.session_manager
            await self._stack.enter_async_context(manager.run())
            self._managers[name] = OwnedSessions(manager)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    def find(self, name: str) -> OwnedSessions | None:
        return self._managers.get(name)

    def names(self) -> list[str]:
        return sorted(self._managers)
