"""The in-process tool servers over streamable HTTP, at /mcp/<name>: the door for IDEs and other hosts.

They are the same server objects that the gateway's own agents use.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, Self

import anyio
from mcp.server.transport_security import TransportSecuritySettings

from gateway.tools.sessions import IDLE_SECONDS, OwnedSessions, SessionManager

logger = logging.getLogger(__name__)


class HttpServable(Protocol):
    """What both kinds of mcp server objects can do."""

    @property
    def session_manager(self) -> Any: ...
    def streamable_http_app(
        self, *, transport_security: TransportSecuritySettings | None, session_idle_timeout: float | None
    ) -> Any: ...


class Loading(Protocol):
    """A server whose object, an `HttpServable`, is `server` once it is made."""

    server: Any

    async def tried(self) -> None:
        """Wait for the end of the first attempt to make it."""
        ...

    async def made(self) -> Any:
        """The object, however many attempts it takes."""
        ...


class MountedServers:
    """Mounts each server when it is made, without waiting for the others. `hosts` as in the settings."""

    def __init__(self, servers: Mapping[str, Loading], hosts: Sequence[str]) -> None:
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
        self._decided = {name: asyncio.Event() for name in servers}
        self._mounts: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._mounts = [
            asyncio.create_task(self._mount(name, server), name=f"/mcp/{name}")
            for name, server in self._servers.items()
        ]
        return self

    async def __aexit__(self, *exc: object) -> None:
        for mount in self._mounts:
            mount.cancel()
        if self._mounts:
            await asyncio.wait(self._mounts)

    async def find(self, name: str) -> OwnedSessions | None:
        """What answers for a server, once the first attempt to make it is over; None when there is none."""
        if server := self._servers.get(name):
            await server.tried()
            if server.server is not None:
                await self._decided[name].wait()
        return self._managers.get(name)

    def names(self) -> list[str]:
        """The servers that are mounted."""
        return sorted(self._managers)

    async def _mount(self, name: str, loading: Loading) -> None:
        """One task from the beginning to the end: a session manager holds a task group."""
        try:
            server: HttpServable = await loading.made()
            server.streamable_http_app(transport_security=self._security, session_idle_timeout=IDLE_SECONDS)
            manager: SessionManager = server.session_manager
            async with manager.run():
                self._managers[name] = OwnedSessions(manager)
                self._decided[name].set()
                await anyio.sleep_forever()
        except Exception:
            logger.exception("tool server %s cannot be served at /mcp/%s", name, name)
        finally:
            self._managers.pop(name, None)
            self._decided[name].set()
