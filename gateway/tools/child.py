"""A child process that speaks MCP over stdio: a JSON-RPC message a line, and no line longer than memory can bear.

Not `mcp.client.stdio`, whose reader keeps a line however long it gets, copies it with every chunk, and tells that the
child is gone only to the next call.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from subprocess import PIPE
from typing import TextIO

import anyio
from anyio.abc import ByteReceiveStream, ByteSendStream, Process
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.client.stdio import get_default_environment
from mcp.os.posix.utilities import terminate_posix_process_tree
from mcp.shared.message import SessionMessage
from mcp.types import jsonrpc_message_adapter

from gateway.tools.fault_transport import MAX_BODY
from gateway.tools.settings import ServerSettings

MAX_LINE = MAX_BODY
"""The most bytes of one message: what an answer over HTTP may have, for the same reason."""
MAX_GARBAGE = 100
"""Lines of stdout that are not MCP before the child is given up: a program that talks to people, not to us."""
FLUSH = 0.5
"""Seconds to write what was already sent."""
GRACE = 2.0
"""Seconds to end after stdin closed, then after SIGTERM; SIGKILL follows."""
LOOK_AGAIN = 0.01
GONE = (anyio.EndOfStream, anyio.ClosedResourceError, anyio.BrokenResourceError, OSError)

Arriving = SessionMessage | Exception
Streams = tuple[MemoryObjectReceiveStream[Arriving], MemoryObjectSendStream[SessionMessage]]


@asynccontextmanager
async def child(settings: ServerSettings, errlog: TextIO, gone: Callable[[str], None]) -> AsyncGenerator[Streams]:
    """Starts the `command`, and ends it with all it started. Raises OSError and ValueError if it cannot be started.

    `gone` is called when no more messages will come, with the reason if it is the child's fault.
    """
    process = await anyio.open_process(
        settings.command,
        stdin=PIPE,
        stdout=PIPE,
        stderr=errlog,
        cwd=settings.cwd,
        env={**get_default_environment(), **settings.env},
        start_new_session=True,
    )
    arrived, incoming = anyio.create_memory_object_stream[Arriving](0)
    outgoing, sent = anyio.create_memory_object_stream[SessionMessage](0)
    pipes = _Pipes(process, gone)
    async with anyio.create_task_group() as group:
        group.start_soon(pipes.read, arrived)
        group.start_soon(pipes.write, sent, arrived)
        try:
            yield incoming, outgoing
        finally:
            with anyio.CancelScope(shield=True):
                incoming.close()
                outgoing.close()
                await pipes.end()
            group.cancel_scope.cancel()


@dataclass(slots=True)
class _Pipes:
    """The two ends of a running child and how it is brought to its end."""

    process: Process
    gone: Callable[[str], None]
    fault: str = ""
    written: anyio.Event = field(default_factory=anyio.Event)
    dead: anyio.Event = field(default_factory=anyio.Event)
    drained: anyio.Event = field(default_factory=anyio.Event)

    async def read(self, arrived: MemoryObjectSendStream[Arriving]) -> None:
        stdout = self.process.stdout
        assert stdout is not None
        with suppress(*GONE):
            async with arrived:
                self.fault = await _messages(stdout, arrived)
        self.gone(self.fault)
        if self.fault:
            await self.dead.wait()  # Until then it is not read, so that it stops at a full pipe.
        # What it still writes is thrown away: who waits for a reader cannot end.
        with suppress(*GONE):
            while True:
                await stdout.receive()
        self.drained.set()

    async def write(
        self, sent: MemoryObjectReceiveStream[SessionMessage], arrived: MemoryObjectSendStream[Arriving]
    ) -> None:
        stdin = self.process.stdin
        assert stdin is not None
        try:
            async with sent, stdin:
                async for message in sent:
                    await stdin.send(_line(message))
        except GONE:
            arrived.close()  # It may still live, but who cannot be asked will not answer.
        finally:
            self.written.set()

    async def end(self) -> None:
        """Close stdin and wait; then SIGTERM, then SIGKILL. A child at fault gets no time of grace."""
        if not self.fault:
            with anyio.move_on_after(FLUSH):
                await self.written.wait()
            await _close(self.process.stdin)
            await self._ended()
        if self.process.returncode is None:
            await terminate_posix_process_tree(self.process, GRACE)
            await self._ended()
        self.dead.set()
        # The rest in the pipe, for only its end lets the event loop close it. A descendant elsewhere may keep it open.
        with anyio.move_on_after(GRACE):
            await self.drained.wait()

    async def _ended(self) -> None:
        # Not `wait`: from Python 3.11 on it waits for the pipes too, which a descendant may keep open.
        with anyio.move_on_after(GRACE):
            while True:
                if self.process.returncode is not None:
                    return
                await anyio.sleep(LOOK_AGAIN)


async def _messages(stdout: ByteReceiveStream, arrived: MemoryObjectSendStream[Arriving]) -> str:
    """Hand on each line until nobody wants it. Returns what the child did wrong."""
    buffer = bytearray()
    garbage = 0
    async for chunk in stdout:
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            message = _parsed(bytes(buffer + end))
            buffer.clear()
            garbage += isinstance(message, Exception)
            if garbage > MAX_GARBAGE:
                return "it wrote lines on stdout that are not MCP"
            await arrived.send(message)
        buffer += rest
        if len(buffer) > MAX_LINE:
            return f"it wrote a line of more than {MAX_LINE} bytes on stdout"
    return ""


def _parsed(line: bytes) -> Arriving:
    try:
        return SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False))
    except ValueError as error:
        return error


def _line(message: SessionMessage) -> bytes:
    return message.message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n"


async def _close(stream: ByteSendStream | None) -> None:
    if stream is not None:
        with suppress(*GONE):
            await stream.aclose()
