"""/v1/models: the agents and the raw models that the settings list, under one roof as OpenAI's clients expect."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gateway.agents.catalog import Catalog
from gateway.apis._wire import json_response
from gateway.ports import Store
from gateway.runs import Runs


def routes(runs: Runs, catalog: Catalog, store: Store) -> list[BaseRoute]:
    async def list_models(request: Request) -> Response:
        return json_response({"object": "list", "data": [to_wire(name, catalog) for name in catalog.names()]})

    async def retrieve(request: Request) -> Response:
        name = request.path_params["name"]
        catalog.find(name)
        return json_response(to_wire(name, catalog))

    # `path`: ids of raw models contain slashes, and the SDKs percent-encode them.
    return [
        Route("/v1/models", list_models, methods=["GET"]),
        Route("/v1/models/{name:path}", retrieve, methods=["GET"]),
    ]


def to_wire(name: str, catalog: Catalog) -> dict[str, object]:
    """`created` is 0: a document has no birthday that survives a checkout."""
    agent = catalog.find(name)
    return {
        "id": name,
        "object": "model",
        "created": 0,
        "owned_by": "homeport" if agent.digest else name.partition("/")[0],
    }
