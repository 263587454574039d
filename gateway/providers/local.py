"""The local model as one more provider, `local/…`: started when a call names it, reached like any other server.

Not here: the weights and the child process (`gateway.local_model`).
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Self

from gateway.errors import ProviderError
from gateway.events import ModelEvent
from gateway.local_model.server import Endpoint, LocalModel
from gateway.ports import ModelCall
from gateway.providers.router import ProviderRouter
from gateway.providers.settings import Limits, ProviderSettings

PREFIX = "local/"
PATIENT = Limits(first_token=600.0, idle=120.0, total=1200.0, retries=0)
"""A processor reads some 60 tokens of a prompt a second (one thread, Qwen2.5-Coder-1.5B Q4), and requests queue."""

LONGEST = 1024
"""Tokens of an answer, unless somebody asks for more: a small model may repeat itself for ever."""


class LocalFirst:
    """`ports.Provider`: calls that name the local model wait until it runs, all others go straight through.

    `route` makes a router with one more provider. A model that died is started again, at another port; so the router
    that knows it is made for the endpoint it has now.
    """

    def __init__(
        self, router: ProviderRouter, local: LocalModel, route: Callable[[ProviderSettings], ProviderRouter]
    ) -> None:
        self._router = router
        self._local = local
        self._route = route
        self._known: tuple[Endpoint, ProviderRouter] | None = None
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self._router)
        await self._stack.enter_async_context(self._local)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    async def warm(self) -> None:
        await self._router.warm()

    def stream(self, call: ModelCall) -> AsyncIterator[ModelEvent]:
        if any(model.startswith(PREFIX) for model in call.models):
            return self._stream(call)
        return self._router.stream(call)

    async def _stream(self, call: ModelCall) -> AsyncGenerator[ModelEvent]:
        router = self._router
        try:
            router = await self._reach(await self._local.ready())
            # A small model is wrong often enough without chance; who wants chance asks for it.
            call = replace(call, options={"temperature": 0.0, "max_output_tokens": LONGEST, **call.options})
        except ProviderError:
            others = [model for model in call.models if not model.startswith(PREFIX)]
            if not others:
                raise
            call = replace(call, models=others)
        async for event in router.stream(call):
            yield event

    async def _reach(self, endpoint: Endpoint) -> ProviderRouter:
        if self._known is None or self._known[0] != endpoint:
            provider = ProviderSettings(
                name=PREFIX.rstrip("/"),
                litellm_provider="openai",
                base_url=endpoint.base_url,
                api_key=endpoint.api_key,
                native_tools=False,
                limits=PATIENT,
            )
            self._known = endpoint, await self._stack.enter_async_context(self._route(provider))
        return self._known[1]
