"""The one place that imports LiteLLM: once, when first needed, in a thread. It takes 2 s and 115 MB (decision 0023).

What it must not do is switched off here: fetch a price table at import, read a `.env` file, look up tokenizers on
the network (it blocked the event loop for 47 s when measured), download images that a request names, try again by
itself, print, and log every line twice. What it cannot read of Gemini's answers is mended here.
"""

import asyncio
import gc
import logging
import os
import threading
import warnings
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

from gateway.providers.litellm_callers import Caller, Listener
from gateway.slow_import import import_now

BEFORE_IMPORT = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_MODE": "PRODUCTION",
    "MAX_IMAGE_URL_DOWNLOAD_SIZE_MB": "0",
    # Equal chunks in a row that LiteLLM takes for a model gone mad: lines of a table are no such thing.
    "REPEATED_STREAMING_CHUNK_LIMIT": "1000000",
}
"""Variables that LiteLLM reads while it is imported; a host that sets one itself is left its will."""

WARNINGS = (r"Items? .* on TypedDict class", r"Accessing the 'model_\w+' attribute on the instance is deprecated")
"""What pydantic says of LiteLLM's own types, at its import and in its calls."""

REQUESTS = "gateway.providers.litellm_requests"

TRANSPORT = "litellm.llms.custom_httpx.aiohttp_transport"

GEMINI = "litellm.llms.vertex_ai.gemini.vertex_and_google_ai_studio_gemini"

LOGGERS = ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy")


BARE_CALLS = "homeport_reads_bare_calls"


class LiteLLM:
    """LiteLLM, once somebody asked for it. One for each router."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._module: Any = None
        self._requests: Any = None
        self._listener: Listener | None = None

    async def module(self) -> Any:
        """The `litellm` module. The first call takes seconds; the event loop runs on meanwhile."""
        if self._module is None:
            await asyncio.to_thread(self._load)
        return self._module

    @contextmanager
    def heard(self, caller: Caller) -> Generator[None]:
        """What LiteLLM sends in this context is the caller's. It must have been loaded."""
        assert self._listener is not None
        before = self._listener.set(caller)
        try:
            yield
        finally:
            self._listener.reset(before)

    def received(self, status: int, body: bytes) -> Any:
        """A whole answer as LiteLLM's transformations are given one. It must have been loaded."""
        return self._requests.received(status, body)

    def _load(self) -> None:
        with self._lock:
            if self._module is None:
                module = prepared(import_now, os.environ)
                self._requests = import_now(REQUESTS)
                self._listener = self._requests.listened(import_now(TRANSPORT).LiteLLMAiohttpTransport)
                read_bare_calls(import_now(GEMINI).VertexGeminiConfig)
                self._module = module


def prepared(load: Any, environ: Any) -> Any:
    """Import LiteLLM and make it quiet. What it leaves in memory is taken out of the garbage collector's sight: a full
    collection over it stopped everything for 105 ms. Looking for garbage while it is read in took a quarter of the
    time, and there is next to none."""
    for name, value in BEFORE_IMPORT.items():
        environ.setdefault(name, value)
    for message in WARNINGS:
        warnings.filterwarnings("ignore", message=message)
    collecting = gc.isenabled()
    gc.disable()
    try:
        litellm = load("litellm")
    finally:
        if collecting:
            gc.enable()
    litellm.suppress_debug_info = True
    litellm.disable_hf_tokenizer_download = True
    # Its `embedding` takes the zero retries that it is given for none given.
    litellm.DEFAULT_MAX_RETRIES = 0
    for name in LOGGERS:
        logger = logging.getLogger(name)
        for handler in list(logger.handlers):
            logger.removeHandler(handler)
    gc.collect()
    gc.freeze()
    return litellm


def read_bare_calls(config: Any) -> None:
    """Have LiteLLM's class for Gemini read calls of tools without arguments: Gemini leaves `args` out of them, and
    LiteLLM fails on that. The class is changed once, however often this is called."""
    read = config._transform_parts
    if getattr(read, BARE_CALLS, False):
        return

    def transform_parts(parts: list[Any], *more: Any, **named: Any) -> Any:
        for part in parts:
            if "functionCall" in part:
                part["functionCall"]["args"] = part["functionCall"].get("args") or {}
        return read(parts, *more, **named)

    setattr(transform_parts, BARE_CALLS, True)
    config._transform_parts = staticmethod(transform_parts)


def variables(keys: Mapping[str, str], *names: str) -> dict[str, str]:
    """Those of `names` that are set, under the names of LiteLLM's parameters (lower case)."""
    return {name.lower(): keys[name] for name in names if keys.get(name)}
