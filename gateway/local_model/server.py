"""llama.cpp as a child process of the gateway: started when it is needed, started again when it died.

It answers OpenAI's chat completions on loopback, behind a random key. Not here: the weights (`weights`), what runs
inside the child (`serve`), and who talks to it.
"""

import asyncio
import os
import re
import secrets
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from gateway.errors import ProviderError
from gateway.local_model.needs import install, steps

_NO_ENGINE = 3
_LOADING_LIMIT = 180.0
_PATIENCE = 5.0
_REMEMBERED_LINES = 20
_LONGEST_LINE = 1 << 20
_LOG_PREFIX = re.compile(r"^[\d.]+ E\s+")


class LocalModelUnavailable(ProviderError):
    """The local model cannot be used."""

    status, type, code, retryable = 503, "server_error", "local_model_unavailable", False


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a running local model answers. `base_url` ends in `/v1`; `model` is its name on the wire."""

    base_url: str
    api_key: str = field(repr=False)
    model: str


class LocalModel:
    """One GGUF file served by llama.cpp (the `[local]` extra) in a child process that ends with this one.

    An async context manager: entering starts it, unless `lazy`, which leaves that to the first `ready`. `context` is
    the window in tokens, shared by prompt and answer; `threads` is by default one for each processor that may be used;
    `port` 0 takes a free one, anew at each start. `on_state` hears `starting`, `ready` and `stopped`. Loading takes
    some ten seconds and two GB of memory for the model in `weights`. One request is answered at a time, others queue.
    """

    def __init__(
        self,
        path: Path,
        *,
        context: int = 8192,
        threads: int | None = None,
        port: int = 0,
        model: str = "local",
        lazy: bool = False,
        on_state: Callable[[str], None] = lambda state: None,
    ) -> None:
        self.path = path
        self.model = model
        self._lazy = lazy
        self._on_state = on_state
        self._options = [str(path), str(port), "--ctx", str(context), "--alias", model]
        self._options += ["--threads", str(threads or _usable_processors())]
        self._child: _Child | None = None
        self._starting: asyncio.Task[_Child] | None = None
        self._closed = False

    async def __aenter__(self) -> Self:
        if not self._lazy:
            await self.ready()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed = True
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.wait([self._starting])
        if self._child is not None:
            await self._child.stop()
            self._on_state("stopped")

    @property
    def running(self) -> bool:
        """Whether the child is up and has loaded the model."""
        return self._child is not None and self._child.alive

    async def ready(self) -> Endpoint:
        """Where to send requests, once the model is loaded. Call it before each request: it costs nothing while the
        child runs, and starts it if it never ran or has died.

        A caller that is cancelled does not stop the start for the others. Raises LocalModelUnavailable, which says
        what to do, when the weights or the engine are missing or llama.cpp does not start.
        """
        child = self._child
        if child is None or not child.alive:
            if self._closed:
                raise LocalModelUnavailable("The local model has been stopped.")
            if self._starting is None:
                self._starting = asyncio.create_task(self._start())
                self._starting.add_done_callback(self._started)
            child = await asyncio.shield(self._starting)
        return child.endpoint

    async def wait(self) -> int:
        """Wait until the running child ends, by itself or by a signal; its exit status. 0 if none runs."""
        return await self._child.process.wait() if self._child is not None else 0

    async def _start(self) -> "_Child":
        if not self.path.is_file():
            # Every step at once: who is told of one only would come back for the other.
            run = " and ".join(f"`{step}`" for step in steps(self.path))
            raise LocalModelUnavailable(
                "The local model is not on the gateway's machine. Set a provider's key, such as OPENAI_API_KEY, and "
                f"start the gateway again, or run there {run}."
            )
        self._on_state("starting")
        child = await _Child.start(self._options, self.model)
        self._on_state("ready")
        return child

    def _started(self, task: asyncio.Task["_Child"]) -> None:
        self._starting = None
        # Kept here and not in `ready`: perhaps nobody is left who waits for it.
        if not task.cancelled() and task.exception() is None:
            self._child = task.result()


class _Child:
    """One run of `serve`: from its first line to its last."""

    def __init__(self, process: asyncio.subprocess.Process, model: str) -> None:
        self.process = process
        self.endpoint = Endpoint(base_url="", api_key=secrets.token_urlsafe(32), model=model)
        self._complaints: deque[str] = deque(maxlen=_REMEMBERED_LINES)
        self._reading = asyncio.create_task(self._read_complaints())

    @classmethod
    async def start(cls, options: list[str], model: str) -> Self:
        program = Path(__file__).with_name("serve.py")
        # -P keeps this folder and the working directory out of the child's import path.
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", str(program), *options,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            limit=_LONGEST_LINE,
        )  # fmt: skip
        child = cls(process, model)
        try:
            async with asyncio.timeout(_LOADING_LIMIT):
                await child._greet()
        except TimeoutError:
            await child.stop()
            raise LocalModelUnavailable(f"llama.cpp did not load the model in {_LOADING_LIMIT:.0f} s.") from None
        except BaseException:
            await child.stop()
            raise
        return child

    @property
    def alive(self) -> bool:
        return self.process.returncode is None

    async def stop(self) -> None:
        """End the process. SIGTERM ends it even while it loads; it has nothing to save."""
        if self.alive:
            self.process.terminate()
            try:
                await asyncio.wait_for(self.process.wait(), _PATIENCE)
            except TimeoutError:
                self.process.kill()
                await self.process.wait()
        await asyncio.wait([self._reading])

    async def _greet(self) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(self.endpoint.api_key.encode() + b"\n")
        # Left open: its end tells the child that this process is gone.
        line = (await self.process.stdout.readline()).decode("utf-8", "replace").split()
        if len(line) != 2 or line[0] != "ready":
            raise LocalModelUnavailable(await self._why())
        self.endpoint = Endpoint(base_url=f"{line[1]}/v1", api_key=self.endpoint.api_key, model=self.endpoint.model)

    async def _why(self) -> str:
        status = await self.process.wait()
        await asyncio.wait([self._reading])
        if status == _NO_ENGINE:
            return f"The local model needs llama.cpp. Run on the gateway's machine `{install()}`."
        # The first complaints are the cause, the others say that it was one.
        reasons = [_LOG_PREFIX.sub("", line) for line in self._complaints][:2]
        return f"llama.cpp ended with status {status}: {' | '.join(reasons) or 'it said nothing'}"

    async def _read_complaints(self) -> None:
        """Always read: a child whose stderr is full stands still."""
        assert self.process.stderr is not None
        while line := await self.process.stderr.readline():
            self._complaints.append(line.decode("utf-8", "replace").strip())


def _usable_processors() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
