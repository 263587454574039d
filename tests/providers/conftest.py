"""What every provider test needs: a router to a server on loopback, and short ways to ask it."""

import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.events import ItemDone, ModelEvent, StepDone
from gateway.items import Item, Message, Text
from gateway.ports import ModelCall, ToolSpec
from gateway.providers.litellm_import import WARNINGS
from gateway.providers.router import ProviderRouter
from gateway.providers.settings import Limits, ProviderSettings
from tests.providers.relays import PATIENT
from tests.providers.replay import Upstream

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """pytest takes back the filters that the gateway sets when it imports LiteLLM."""
    for item in items:
        if HERE in item.path.parents:
            for message in WARNINGS:
                item.add_marker(pytest.mark.filterwarnings(f"ignore:{message}"))


SEARCH = ToolSpec(
    name="search",
    description="Search the documents.",
    schema={"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]},
)


def user(text: str) -> Message:
    return Message(id="msg_user", role="user", content=(Text(text=text),))


def ask(
    *items: Item,
    model: str = "x/m",
    fallbacks: tuple[str, ...] = (),
    tools: tuple[ToolSpec, ...] = (),
    **options: Any,
) -> ModelCall:
    return ModelCall(models=(model, *fallbacks), items=items or (user("Hi."),), tools=tools, options=options)


class Asked:
    """The events of one call, and what they come to."""

    def __init__(self, events: list[ModelEvent]) -> None:
        self.events = events

    @property
    def items(self) -> list[Any]:
        return [event.item for event in self.events if isinstance(event, ItemDone)]

    @property
    def step(self) -> StepDone:
        *_, last = self.events
        assert isinstance(last, StepDone)
        return last


class Asking:
    """A router under test. `said` are the events so far, also when the call failed."""

    def __init__(self, router: ProviderRouter) -> None:
        self.router = router
        self.said: list[ModelEvent] = []

    async def __call__(self, call: ModelCall | None = None) -> Asked:
        self.said = []
        async with contextlib.aclosing(self.router.stream(call or ask())) as events:
            async for event in events:
                self.said.append(event)
        return Asked(self.said)


Ask = Callable[..., contextlib.AbstractAsyncContextManager[Asking]]


@pytest.fixture
def asking() -> Ask:
    """`async with asking(url) as ask`: a router whose provider `x` is at `url`; the rest are its settings."""

    @contextlib.asynccontextmanager
    async def start(
        url: str,
        *more: ProviderSettings,
        limits: Limits | None = None,
        keys: dict[str, str] | None = None,
        **settings: Any,
    ) -> AsyncIterator[Asking]:
        first = ProviderSettings(**{"name": "x", "base_url": url, "api_key": "sk-secret-1", **settings})
        async with ProviderRouter([first, *more], limits or Limits(retries=0), keys or {}) as router:
            yield Asking(router)

    return start


@pytest.fixture
def answering(start_gateway):
    """`async with answering(*answers) as (gateway, upstream)`: its models `x/…` are asked with Responses."""

    @contextlib.asynccontextmanager
    async def start(*answers, limits=PATIENT, **settings):
        async with Upstream(*answers) as upstream:
            given = {"name": "x", "base_url": upstream.url, "api_key": "sk-secret-1", "lane": "responses", **settings}
            providers = {"x": ProviderSettings(**given)}
            async with start_gateway(providers=providers, models=("x/*",), limits=limits) as gateway:
                yield gateway, upstream

    return start


@pytest.fixture
def relaying(start_gateway):
    """`async with relaying(*answers) as (http, upstream)`: a gateway whose raw models of `x` are at that upstream."""

    @contextlib.asynccontextmanager
    async def start(*answers, limits=PATIENT, **settings):
        async with Upstream(*answers) as upstream:
            provider = ProviderSettings(**{"name": "x", "base_url": upstream.url, "api_key": "sk-secret-1", **settings})
            async with start_gateway(providers={"x": provider}, models=("x/*",), limits=limits) as gateway:
                yield gateway.http, upstream

    return start


@pytest.fixture
def relaying_openai(start_gateway, monkeypatch):
    """The same for raw models of `openai`, whose address is OpenAI's own: the way there is a proxy."""

    @contextlib.asynccontextmanager
    async def start(*answers, **more):
        async with Upstream(*answers) as upstream:
            monkeypatch.setenv("HTTP_PROXY", upstream.url)
            monkeypatch.setenv("NO_PROXY", "127.0.0.1")
            given = {"name": "openai", "base_url": "http://api.openai.com/v1", "api_key": "sk-secret-1", **more}
            provider = ProviderSettings(**given)
            settings = {"models": ("openai/*",), "limits": PATIENT, "environment": {"HTTP_PROXY": upstream.url}}
            async with start_gateway(providers={"openai": provider}, **settings) as gateway:
                yield gateway.http, upstream

    return start
