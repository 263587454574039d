"""One tool server under supervision: connected in the background, connected again when it fails, its faults kept here.

MCP's client is not trusted to fail politely. It is entered and left in one task of its own, calls run in tasks of
their own, and whatever those raise is looked at from outside: no error and no stray cancellation gets any further.
"""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Literal, TypeVar, cast

import anyio

from gateway.tools.connection import InProcessServer, connect, create_server
from gateway.tools.link import Answer, CallFailed, Link, ListedTool
from gateway.tools.settings import ServerSettings

logger = logging.getLogger(__name__)

State = Literal["connecting", "ready", "down"]
Made = TypeVar("Made")

FIRST_DELAY = 0.1
LONGEST_DELAY = 30.0
"""Seconds between attempts to connect; they double, and a random part keeps many gateways from striking at once."""
FAREWELL = 5.0
"""Seconds a connection may take to close by itself. A child that does not end is killed within that time."""


class Upstream:
    """`state` is "connecting" until the first attempt is over and right after a connection was lost; "down" when the
    last attempt failed. `tools` is what the server listed last, empty unless it is ready. `changed` is called after
    each change of these."""

    def __init__(self, name: str, settings: ServerSettings, changed: Callable[[], None]) -> None:
        self.name = name
        self.settings = settings
        self.state: State = "connecting"
        self.tools: tuple[ListedTool, ...] = ()
        self.error = ""
        self.server: InProcessServer | None = None
        self._changed = changed
        self._link: Link | None = None
        self._settled = asyncio.Event()
        self._loaded = asyncio.Event()
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._calls: set[asyncio.Task[Any]] = set()
        self._loading: asyncio.Task[InProcessServer] | None = None
        self._owner: asyncio.Task[None] | None = None
        self._scope = anyio.CancelScope()

    def start(self) -> None:
        """Begin to connect; returns at once."""
        self._owner = asyncio.create_task(self._own(), name=f"tool server {self.name}")

    async def stop(self) -> None:
        """Close the connection, end a child, and wait for both."""
        self._stopping.set()
        self._wake.set()
        for call in self._calls:
            call.cancel()
        if self._owner is None:
            return
        if self.state != "ready":
            self._scope.cancel()
        _, late = await asyncio.wait({self._owner}, timeout=FAREWELL)
        if late:
            self._scope.cancel()
            _, late = await asyncio.wait({self._owner}, timeout=2 * FAREWELL)
        if late:
            self._owner.cancel()

    async def settled(self) -> None:
        """Wait while it is connecting."""
        await self._settled.wait()

    async def loaded(self) -> None:
        """Wait until the module was imported, or could not be; at once for other kinds."""
        if self.settings.kind == "module":
            await self._loaded.wait()

    async def call(self, tool: str, arguments: Mapping[str, Any], patience: float) -> Answer:
        """Raises `CallFailed`. A call that certainly did not reach the server is made once more after reconnecting.

        `patience` is how many seconds to wait for a connection that is being made.
        """
        try:
            return await self._call(tool, arguments, patience)
        except CallFailed as failure:
            if failure.ran or not failure.lost:
                raise
        return await self._call(tool, arguments, patience)

    async def _call(self, tool: str, arguments: Mapping[str, Any], patience: float) -> Answer:
        if self.state == "connecting":
            await asyncio.wait({waiting := asyncio.ensure_future(self.settled())}, timeout=patience)
            waiting.cancel()
        link = self._link
        if link is None:
            raise CallFailed("it is not reachable" + (f" ({self.error})" if self.error else ""), ran=False)
        try:
            return await self._watched(link.call(tool, arguments), self.settings.timeout)
        except CallFailed as failure:
            if failure.lost:
                self._drop(link, str(failure))
            raise

    async def _watched(self, work: Coroutine[Any, Any, Made], timeout: float) -> Made:
        """Run MCP's code in a task of its own, so that its cancellations cannot become ours."""
        task = asyncio.create_task(work)
        self._calls.add(task)
        task.add_done_callback(self._forget)
        try:
            await asyncio.wait({task}, timeout=timeout)
        finally:
            late = not task.done()
            task.cancel()
        if late:
            self._wake.set()  # Listing the tools again shows whether it still lives.
            raise CallFailed(f"it did not answer within {timeout:g} seconds", ran=True)
        if task.cancelled():
            raise CallFailed("the connection was lost", ran=True, lost=True)
        if (error := task.exception()) and not isinstance(error, CallFailed):
            raise CallFailed(reason(error), ran=True)
        return task.result()

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._calls.discard(task)
        if not task.cancelled():
            task.exception()  # Seen: an abandoned call must not be reported as one that nobody looked at.

    async def _own(self) -> None:
        delay = FIRST_DELAY
        while not self._stopping.is_set():
            attempt = asyncio.create_task(self._attempt())
            try:
                await asyncio.wait({attempt})
            finally:
                attempt.cancel()
            connected = self._link is not None or self.state == "ready" or self._dropped
            self._after(attempt)
            if connected:
                delay = FIRST_DELAY
            waiting = asyncio.ensure_future(self._stopping.wait())
            await asyncio.wait({waiting}, timeout=delay * (0.5 + random.random()))
            waiting.cancel()
            delay = min(delay * 2, LONGEST_DELAY)
