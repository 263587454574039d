"""One tool server under supervision: connected in the background, connected again when it fails, its faults kept here.

MCP's client is not trusted to fail politely. It is entered and left in one task of its own, calls run in tasks of
their own, and whatever those raise is looked at from outside: no error and no stray cancellation gets any further.
"""

import asyncio
import logging
import math
import random
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Literal, TypeVar

import anyio
import httpx2

from gateway.tools.connection import InProcessServer, connect, create_server, reason
from gateway.tools.link import Answer, CallFailed, Link, ListedTool
from gateway.tools.settings import ServerSettings

logger = logging.getLogger(__name__)

State = Literal["connecting", "ready", "down"]
Made = TypeVar("Made")

FIRST_DELAY = 0.1
LONGEST_DELAY = 30.0
"""Seconds between attempts to connect; they double, and a random part keeps many gateways from striking at once."""
RELIST_PAUSE = 0.2
"""The least seconds between two listings, however often a server says that its tools changed."""
FAREWELL = 5.0
"""Seconds a connection may take to close by itself. A child that does not end is killed within that time."""


class Upstream:
    """`state` is "connecting" until the first attempt is over and right after a connection was lost; "down" when the
    last attempt failed. `tools` is what the server listed last, empty unless it is ready. `changed` is called after
    each change of these."""

    def __init__(
        self,
        name: str,
        settings: ServerSettings,
        changed: Callable[[], None],
        transport: Callable[[], httpx2.AsyncBaseTransport] = httpx2.AsyncHTTPTransport,
        *,
        listens: bool = True,
    ) -> None:
        self.name = name
        self.settings = settings
        self.state: State = "connecting"
        self.tools: tuple[ListedTool, ...] = ()
        self.error = ""
        self.server: InProcessServer | None = None
        self._changed = changed
        self._transport = transport
        self._listens = listens
        self._link: Link | None = None
        self._settled = asyncio.Event()
        self._tried = asyncio.Event()
        self._made = asyncio.Event()
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._calls: set[asyncio.Task[Any]] = set()
        self._loading: asyncio.Task[InProcessServer] | None = None
        self._owner: asyncio.Task[None] | None = None
        self._scope = anyio.CancelScope()
        self._seen: dict[str, ListedTool] = {}
        self._ready_since: float | None = None
        self._last_words: deque[str] = deque(maxlen=5)

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

    async def usable(self, patience: float) -> None:
        """Wait while it is connecting: `patience` seconds at most, but for a `module` as long as an attempt may take.

        To load a module is work of this process and will be over; a server elsewhere may never answer.
        """
        if self.state != "connecting":
            return
        waiting = asyncio.ensure_future(self.settled())
        try:
            await asyncio.wait({waiting}, timeout=None if self.settings.kind == "module" else patience)
        finally:
            waiting.cancel()

    async def tried(self) -> None:
        """Wait until its module was imported or the first attempt to do so is over; at once for other kinds."""
        if self.settings.kind == "module":
            await self._tried.wait()

    async def made(self) -> InProcessServer:
        """The server object of a `module`, however many attempts it takes."""
        await self._made.wait()
        assert self.server is not None
        return self.server

    async def call(self, tool: str, arguments: Mapping[str, Any], patience: float, caller: str = "") -> Answer:
        """Raises `CallFailed`. A call that certainly did not reach the server is made once more after reconnecting.

        `patience` is how many seconds to wait for a connection that is being made. `caller` is whose call it is; only
        the gateway's own servers are told.
        """
        known = caller if self.settings.module else ""
        try:
            return await self._call(tool, arguments, patience, known)
        except CallFailed as failure:
            if failure.ran or not failure.lost:
                raise
        return await self._call(tool, arguments, patience, known)

    async def _call(self, tool: str, arguments: Mapping[str, Any], patience: float, caller: str) -> Answer:
        await self.usable(patience)
        link = self._link
        if link is None:
            raise CallFailed("it is not reachable" + (f" ({self.error})" if self.error else ""), ran=False)
        try:
            return await self._watched(link.call(tool, arguments, caller))
        except CallFailed as failure:
            if failure.lost:
                self._drop(link, str(failure))
            raise

    async def _watched(self, work: Coroutine[Any, Any, Made]) -> Made:
        """Run MCP's code in a task of its own, so that its cancellations cannot become ours."""
        timeout, task = self.settings.timeout, asyncio.create_task(work)
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
            self._ready_since = None
            attempt = asyncio.create_task(self._attempt(), name=f"connection to {self.name}")
            try:
                await asyncio.wait({attempt})
            finally:
                attempt.cancel()
            if self._ready_since is not None and anyio.current_time() - self._ready_since > delay:
                delay = FIRST_DELAY
            self._after(attempt, soon=delay <= 10 * FIRST_DELAY)
            pause = asyncio.ensure_future(self._stopping.wait())
            await asyncio.wait({pause}, timeout=delay * (0.5 + random.random()))
            pause.cancel()
            delay = min(delay * 2, LONGEST_DELAY)

    async def _attempt(self) -> None:
        """Connect, list the tools, and stay until the connection is lost or not wanted any more."""
        self._last_words.clear()
        limit = self.settings.connect_timeout
        # The deadline must enclose the client's own scopes, or it could not end them.
        with anyio.CancelScope(deadline=anyio.current_time() + limit) as self._scope:
            server = await self._load()
            async with connect(
                self.name,
                self.settings,
                server,
                self._wake.set,
                self._last_words,
                self._transport,
                listens=self._listens,
            ) as link:
                tools = await link.tools()
                self._scope.deadline = math.inf
                self._publish(link, tools)
                while await self._woken():
                    with anyio.fail_after(limit):
                        self._publish(link, await link.tools())
                    await anyio.sleep(RELIST_PAUSE)
                self._scope.deadline = anyio.current_time() + FAREWELL
        if self._ready_since is None and not self._stopping.is_set():
            raise TimeoutError(f"it was not ready within {limit:g} seconds")

    async def _load(self) -> InProcessServer | None:
        """The object of a `module`, imported on a thread, once. A slow import goes on when an attempt is given up."""
        if self.settings.kind != "module" or self.server is not None:
            return self.server
        if self._loading is None:
            self._loading = asyncio.create_task(asyncio.to_thread(create_server, self.settings))
            self._loading.add_done_callback(self._forget)
        await asyncio.wait({self._loading})
        loading, self._loading = self._loading, None
        self.server = loading.result()
        self._tried.set()
        self._made.set()
        return self.server

    async def _woken(self) -> bool:
        """Wait for a reason to list the tools again; False when the connection is over."""
        await self._wake.wait()
        self._wake.clear()
        return self._link is not None and not self._stopping.is_set()

    def _publish(self, link: Link, tools: tuple[ListedTool, ...]) -> None:
        if self._link is link and self.tools == tools:
            return
        # Equal tools keep their identity, so that what was derived from them stays valid after a reconnection.
        tools = tuple(old if (old := self._seen.get(tool.name)) == tool else tool for tool in tools)
        self._seen = {tool.name: tool for tool in tools}
        if self._ready_since is None:
            self._ready_since = anyio.current_time()
            logger.info("tool server %s is ready with %d tools", self.name, len(tools))
        self._link, self.tools, self.state, self.error = link, tools, "ready", ""
        self._settled.set()
        self._changed()

    def _drop(self, link: Link, why: str) -> None:
        """A call found out that the connection is lost: whoever comes next waits for a new one."""
        if self._link is not link:
            return
        self._link, self.tools, self.state, self.error = None, (), "connecting", why
        self._settled.clear()
        self._wake.set()
        self._changed()

    def _after(self, attempt: asyncio.Task[None], soon: bool) -> None:
        """Note how an attempt ended. `soon` says that the next one follows almost at once."""
        self._tried.set()
        error = None if attempt.cancelled() else attempt.exception()
        if error is not None:
            self.error = reason(error) + (f"; it said: {self._last_words[-1]}" if self._last_words else "")
        for call in tuple(self._calls):
            call.cancel()
        before, lost = self.state, self._ready_since is not None
        self._link, self.tools = None, ()
        self.state = "connecting" if lost and soon else "down"
        if self.state == "down":
            self._settled.set()
        else:
            self._settled.clear()
        if not self._stopping.is_set() and (lost or before != "down"):
            logger.warning("tool server %s: %s: %s", self.name, "lost" if lost else "cannot be reached", self.error)
        self._changed()
