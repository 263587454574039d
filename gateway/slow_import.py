"""Imports that take seconds, off the event loop and one at a time.

Two threads that import libraries with circular imports of their own (httpx2, openai) can meet in the middle, and
Python then hands one of them a half-made module rather than wait for ever.
"""

import asyncio
import importlib
import threading
from types import ModuleType

_one_at_a_time = threading.Lock()
_whole: dict[str, ModuleType] = {}
"""What was imported to its end: a module that is still being imported is in `sys.modules`, too."""


def import_now(name: str) -> ModuleType:
    """The module, on this thread, after whoever is importing."""
    with _one_at_a_time:
        module = _whole[name] = importlib.import_module(name)
        return module


async def import_slowly(name: str) -> ModuleType:
    """The module, imported on a thread while the event loop runs on."""
    return _whole.get(name) or await asyncio.to_thread(import_now, name)
