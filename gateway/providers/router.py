"""The provider of the gateway: finds the model's lane, retries and falls back until the first event, then streams.

Everything about time and second attempts is here and in `patience`; lanes only ask once.
"""

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import Any, Self, TypeVar

from gateway.embedding import EmbeddingCall, Embeddings
from gateway.errors import (
    ContextTooLong,
    ProviderError,
    ProviderOverloaded,
    ProviderRateLimited,
    ProviderRefused,
)
from gateway.events import ModelEvent
from gateway.model_requests import RequestLog
from gateway.ports import ModelCall, RelayedWire
from gateway.providers.embeddings import BY_LITELLM, EmbeddingLanes, OwnEmbedder, no_vectors
from gateway.providers.http_client import PooledTransport
from gateway.providers.linked import with_contents
from gateway.providers.litellm_import import LiteLLM
from gateway.providers.litellm_lane import LiteLLMLane
from gateway.providers.lookup import lookup
from gateway.providers.openai_wire import OpenAIWire
from gateway.providers.patience import Begun, Patience, whole_by
from gateway.providers.relay import RelayLane
from gateway.providers.responses_lane import ResponsesLane
from gateway.providers.schema_tools import SchemaTools
from gateway.providers.scripted import ScriptedLane
from gateway.providers.settings import Lane, Limits, ProviderSettings
from gateway.providers.targets import (
    Answer,
    LaneClient,
    StartedProvider,
    Target,
    named_vendor,
    provider_of,
    split,
    target_of,
)
from gateway.providers.transformed import Transformed
from gateway.providers.transport import Transport
from gateway.slow_import import import_now

Said = TypeVar("Said")

logger = logging.getLogger(__name__)

LONGEST_WAIT = 20.0
"""Seconds. A vendor that asks for more in Retry-After is not waited for; the client is told instead."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 5.0
"""Seconds before the second attempt, doubled for each after it."""


class ProviderRouter:
    """`ports.Provider` over everything that is configured or known. Enter it before use.

    `keys` holds the vendors' environment variables (`OPENAI_API_KEY`, `ANTHROPIC_API_BASE` …). `started` are providers
    that run only once a call's turn comes to them. `embedders` are the gateway's own models that make vectors,
    by the whole id.
    """

    def __init__(
        self,
        providers: Sequence[ProviderSettings],
        limits: Limits,
        keys: Mapping[str, str],
        started: Sequence[StartedProvider] = (),
        embedders: Mapping[str, OwnEmbedder] | None = None,
        fetch_hosts: Collection[str] = (),
    ) -> None:
        self._providers = {provider.name: provider for provider in providers}
        self._started = {provider.name: provider for provider in started}
        self._embedders = dict(embedders or {})
        self._limits = limits
        self._keys = keys
        self._fetch_hosts = fetch_hosts
        self._targets: dict[str, Target] = {}
        behind_proxy = any(keys.get(name) for name in PROXIES)
        self._transport: Transport = proxied() if behind_proxy else PooledTransport()
        self._litellm = LiteLLM()
        chat, responses = OpenAIWire(self._transport), ResponsesLane(self._transport)
        self._relays: dict[RelayedWire, RelayLane] = {"openai": chat, "responses": responses}
        self._lanes: dict[Lane, LaneClient] = {
            "openai": chat,
            "responses": responses,
            "transformed": Transformed(self._transport, self._litellm),
            "litellm": LiteLLMLane(self._litellm, keys),
            "scripted": ScriptedLane(),
        }
        self._embedding_lanes = EmbeddingLanes(self._transport, self._litellm, keys)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self._transport)
        for provider in [*self._started.values(), *self._embedders.values()]:
            await self._stack.enter_async_context(provider)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    async def stream(self, call: ModelCall) -> AsyncGenerator[ModelEvent]:
        begun = await self._begin(call)
        try:
            while (events := await begun.next()) is not None:
                for event in events:
                    yield event
        finally:
            await begun.close()

    async def relayed_model(self, model: str, wire: RelayedWire) -> "OnWire | None":
        """See `ports.Relay`."""
        if model.partition("/")[0] in self._started:
            # Its start may take long, which `stream` leaves to whoever watches the run.
            return None
        target, lane = await self._target(model), self._relays[wire]
        speaks = target.lane == wire and target.provider.native_tools and not lane.is_private(target)
        return OnWire(self, target, lane) if speaks else None

    async def relay(self, body: dict[str, Any], target: Target, lane: RelayLane) -> Begun[bytes]:
        """Ask a model of this lane with the client's own body."""
        started, live = asyncio.get_running_loop().time(), body.get("stream") is True
        return await self._attempts(partial(lane.relay, body), target, started, live=live, waiting=0)

    @property
    def embedders(self) -> Sequence[str]:
        """The ids of the gateway's own models that make vectors."""
        return tuple(self._embedders)

    async def embed(self, call: EmbeddingCall) -> Embeddings:
        """See `embedding.Embedder`."""
        if own := self._embedders.get(call.model):
            return await own.embed(call)
        if call.model.partition("/")[0] in self._started:
            raise no_vectors(call.model)
        started = asyncio.get_running_loop().time()
        target = await self._target(call.model)
        begin = partial(self._embedding_lanes.begin, call)
        begun = await self._attempts(begin, target, started, live=False, waiting=0)
        try:
            said = await begun.next()
        finally:
            await begun.close()
        # An answer says all there is in one.
        assert said is not None
        return said[0]

    async def _begin(self, call: ModelCall) -> Begun[ModelEvent]:
        """The first answer that says anything, from the first model that can."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        failure = ProviderRefused("No model was named.")
        for position, model in enumerate(call.models):
            waiting = len(call.models) - position - 1
            try:
                target = await self._target(model)
                if position and loop.time() >= started + target.limits.total:
                    # What used up the time is what has to be told.
                    break
                whole = await with_contents(call, target, self._fetch_hosts)
                begin = partial(self._lane(target).begin, with_defaults(whole, target))
                return await self._attempts(begin, target, started, live=call.live, waiting=waiting, log=call.log)
            except ProviderError as error:
                failure = error
            if not may_fall_back(failure):
                break
            if waiting:
                logger.warning("%s failed (%s); falling back to %s.", model, failure, call.models[position + 1])
        raise failure

    async def _attempts(
        self,
        begin: Callable[[Target], Answer[Said]],
        target: Target,
        started: float,
        *,
        live: bool,
        waiting: int,
        log: RequestLog | None = None,
    ) -> Begun[Said]:
        """`waiting`: how many other models may be asked after this one."""
        loop = asyncio.get_running_loop()
        limits = target.limits
        share = whole_by(limits, started, loop.time(), waiting)
        attempt, waited = 0, False
        while True:
            answer = begin(target)
            soon = loop.time() + limits.first_token
            patience = Patience(target.id, limits, started, first_by=soon if live else max(soon, share))
            try:
                return Begun(answer, patience, await patience.first(answer))
            except BaseException as error:
                patience.stop()
                await answer.close()
                if not isinstance(error, ProviderError):
                    raise
                if log is not None:
                    log.failed(error)
                left = started + limits.total - loop.time()
                pause = pause_before_retry(error, attempt, left, more=waiting > 0, waited=waited)
                if attempt >= limits.retries or pause is None:
                    raise
                waited = waited or error.retry_after is not None
                logger.info("%s failed (%s); trying again in %.1f s.", target.id, error, pause)
            attempt += 1
            await asyncio.sleep(pause)

    def _lane(self, target: Target) -> LaneClient:
        lane = self._lanes[target.lane]
        return lane if target.provider.native_tools else SchemaTools(lane)

    async def _target(self, model: str) -> Target:
        target = self._targets.get(model)
        if started := self._started.get(split(model)[0] if target is None else target.provider.name):
            settings = await started.ready()
            if target is None or target.provider is not settings:
                target = replace(await self._found(model, settings), defaults=started.defaults)
        elif target is None:
            settings = provider_of(model, self._providers)
            target = await self._found(model, settings)
        else:
            return target
        if target.lane in BY_LITELLM:
            # Its import is not the model's time.
            await self._litellm.module()
        if len(self._targets) >= MOST_TARGETS:
            self._targets.clear()
        self._targets[model] = target
        return target

    async def _found(self, model: str, settings: ProviderSettings) -> Target:
        name, vendor = named_vendor(settings)
        vendor = vendor or await lookup(self._litellm, name)
        return target_of(model, settings, vendor, name, self._keys, self._limits)


class OnWire:
    """The `ports.RelayedModel` behind a target of a lane that clients speak too."""

    __slots__ = ("_lane", "_router", "_target", "openai")

    def __init__(self, router: ProviderRouter, target: Target, lane: RelayLane) -> None:
        self._router = router
        self._target = target
        self._lane = lane
        self.openai = target.openai

    async def ask(self, body: dict[str, Any]) -> Begun[bytes] | None:
        """See `ports.RelayedModel`."""
        if not self.openai and self._lane.needs_openai(body):
            return None
        return await self._router.relay(body, self._target, self._lane)


PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
MOST_TARGETS = 1024
"""Models remembered; a client with leave for `*` could name any number."""


def proxied() -> Transport:
    """aiohttp's client knows proxies. Its import is a tenth of a start, and few gateways are behind one."""
    return import_now("gateway.providers.aiohttp_transport").AiohttpTransport()


def with_defaults(call: ModelCall, target: Target) -> ModelCall:
    return replace(call, options={**target.defaults, **call.options}) if target.defaults else call


def may_fall_back(error: ProviderError) -> bool:
    """A request that is wrong for one model is wrong for the next, unless it was only too long or misaddressed.

    There is nothing left for another after the time of the whole call.
    """
    return error.code != "total_timeout" and (
        not isinstance(error, ProviderRefused)
        or isinstance(error, ContextTooLong)
        or error.code in ("model_not_found", "no_base_url")
    )


def pause_before_retry(error: ProviderError, attempt: int, left: float, *, more: bool, waited: bool) -> float | None:
    """Seconds to wait before the same model is asked again; None if it should not be.

    A busy vendor is left at once when there is another model. A first token that did not come in time is not waited
    for twice. Retry-After is obeyed once.
    """
    if not error.retryable or error.code in ("first_token_timeout", "total_timeout"):
        return None
    if more and isinstance(error, ProviderRateLimited | ProviderOverloaded):
        return None
    if error.retry_after is not None:
        pause = error.retry_after
        if waited or pause > LONGEST_WAIT:
            return None
    else:
        pause = min(FIRST_PAUSE * 2**attempt, LONGEST_PAUSE) * random.uniform(0.5, 1.0)
    return pause if pause < left else None
