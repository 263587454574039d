"""Where the parts are put together: the only file that knows all of them."""

import asyncio
import logging
import shutil
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp

from gateway.agents.catalog import Catalog
from gateway.agents.folder import AgentFolder
from gateway.apis import DIALECTS, embeddings, openapi
from gateway.apis._bounded import bounded
from gateway.apis._edge import Edge
from gateway.apis._wire import json_response
from gateway.apis.chat import routes as chat
from gateway.apis.responses import routes as responses
from gateway.embedding import LOCAL_EMBEDDER
from gateway.engine import Engine
from gateway.local_model.server import LocalModel
from gateway.local_model.weights import status
from gateway.memory import STRATEGIES
from gateway.ports import Provider, checks_input
from gateway.providers.bundled_embedder import BundledEmbedder
from gateway.providers.local import LocalProvider
from gateway.providers.router import ProviderRouter
from gateway.rules import RULES
from gateway.runs import Runs
from gateway.sealing import Sealer
from gateway.settings import Settings, make_folders, weights_folder
from gateway.stores import STORES
from gateway.stores.keys import KeyRing
from gateway.tools.deferred import DeferredToolbox

logger = logging.getLogger(__name__)

DISK_FLOOR = 64 * 1024 * 1024
"""Bytes of free disk below which the gateway says that it is not ready."""


def build_app(settings: Settings, provider: Provider | None = None) -> ASGIApp:
    """The whole gateway. `provider` replaces the configured ones: tests and demonstrations script it.

    Nothing that takes long happens before the socket is open: MCP and LiteLLM are imported in the background,
    tool servers connect there, and the first request that needs one waits for it.
    """
    make_folders(settings)
    store = STORES[settings.store_url.partition(":")[0]](settings.store_url)
    keys = KeyRing(settings.keys_path)
    folder = AgentFolder(settings.agents, settings.environment, memories=STRATEGIES)
    toolbox = DeferredToolbox(
        settings.servers, settings.allowed_hosts, settings.client_servers, settings.absent_servers
    )
    models, embedder = None, BundledEmbedder()
    if provider is None:
        provider = models = providers(settings, embedder)
    catalog = Catalog(lambda: folder.agents, settings.models, models.embedders if models else ())
    rules = [make() for make in RULES.values()]
    input_rules = [rule for rule in rules if checks_input(rule)]
    engine = Engine(
        provider=provider,
        toolbox=toolbox,
        rules=rules,
        input_rules=input_rules,
        memories={name: make(provider, embedder) for name, make in STRATEGIES.items()},
        sealer=Sealer(settings.data / "sealing.key"),
    )
    runs = Runs(engine, store, settings.max_history)

    @asynccontextmanager
    async def lifespan(app: object) -> AsyncGenerator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(store)
            await stack.enter_async_context(toolbox)
            await stack.enter_async_context(embedder)
            if models is not None:
                await stack.enter_async_context(models)
            # Before the first request: what a stop interrupted has its place in its conversation.
            await runs.recover()
            background = [asyncio.create_task(folder.watch())]
            stack.push_async_callback(stop, background)
            stack.push_async_callback(runs.close)
            yield

    # A relayed request passes no rules, so it is only relayed if none of them would look at it.
    relay = models if not input_rules else None
    able = {
        "chat": partial(chat.routes, relay=relay),
        "responses": partial(responses.routes, relay=relay),
        "embeddings": partial(embeddings.routes, embedder=models),
    }
    dialects = DIALECTS | able
    routes = [route for dialect in dialects.values() for route in dialect(runs, catalog, store)]
    routes += probes(settings)
    routes += [*openapi.routes(routes), Mount("/mcp", bounded(toolbox.mounted))]
    return Edge(routes, lifespan, verify=keys.verify, hosts=settings.allowed_hosts)


def providers(settings: Settings, embedder: BundledEmbedder) -> ProviderRouter:
    """Every provider that is configured, known by its key, or on this machine."""
    weights = status(weights_folder(settings.environment)).path
    local = LocalProvider(LocalModel(weights, lazy=True))
    own = {LOCAL_EMBEDDER: embedder}
    return ProviderRouter(
        tuple(settings.providers.values()), settings.limits, settings.environment, [local], own, settings.fetch_hosts
    )


async def stop(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


def probes(settings: Settings) -> list[BaseRoute]:
    async def healthz(request: Request) -> Response:
        return json_response({"status": "ok"})

    async def readyz(request: Request) -> Response:
        free = shutil.disk_usage(settings.data).free
        problems = [] if free > DISK_FLOOR else [f"only {free} bytes of disk are free"]
        return json_response({"status": "; ".join(problems) or "ok"}, 503 if problems else 200)

    return [Route("/healthz", healthz, methods=["GET"]), Route("/readyz", readyz, methods=["GET"])]
