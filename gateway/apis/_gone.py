"""What a client's going away means for work that is no run: it is cancelled."""

import asyncio
from types import TracebackType

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

from gateway.apis._wire import told_when_gone


class aborted_when_gone:
    """`async with aborted_when_gone(scope, receive)`: if the client hangs up, cancel what is done in this block, and
    raise ClientDisconnect. The body must have been read."""

    __slots__ = ("_gone", "_task", "_told")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._told = told_when_gone(scope, receive, self._hang_up)
        self._task: asyncio.Task[object] | None = None
        self._gone = False

    async def __aenter__(self) -> None:
        self._task = asyncio.current_task()
        await self._told.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._told.__aexit__(kind, error, trace)
        assert self._task is not None
        # Ours only if nobody else asked for it too.
        if isinstance(error, asyncio.CancelledError) and self._gone and self._task.uncancel() == 0:
            raise ClientDisconnect from None

    def _hang_up(self) -> None:
        self._gone = True
        assert self._task is not None
        self._task.cancel()
