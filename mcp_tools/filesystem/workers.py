"""How a tool runs and how it answers: blocking work on threads of the server's own, and one way to build results."""

from collections.abc import Callable, Sequence
from typing import ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread
from mcp.types import CallToolResult, ContentBlock
from pydantic import BaseModel

Arguments = ParamSpec("Arguments")
Value = TypeVar("Value")

_THREADS = 8  # of anyio's 40, so that slow disks do not hold up whatever else runs in this process


class Workers:
    """Runs blocking functions on threads, a bounded number at once."""

    def __init__(self) -> None:
        self._limiter = CapacityLimiter(_THREADS)

    async def run(
        self, work: Callable[Arguments, Value], *arguments: Arguments.args, **named: Arguments.kwargs
    ) -> Value:
        """`work(*arguments)` on a thread. When the caller is cancelled, `work` ends at its next check or its end."""
        return await to_thread.run_sync(lambda: work(*arguments, **named), limiter=self._limiter)


def answer(blocks: Sequence[ContentBlock], structured: BaseModel) -> CallToolResult:
    """A result with the text for a person or a model and the same as data."""
    return CallToolResult(content=list(blocks), structured_content=structured.model_dump(mode="json"))
