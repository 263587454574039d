"""/v1/models: the agents and the raw models that the settings list, under one roof as OpenAI's clients expect."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gateway.agents.catalog import Catalog
from gateway.apis._wire import json_response
from gateway.errors import Forbidden
from gateway.runs import Runs
from gateway.storage import Store

CREATED = 1_793_491_200
"""1 November 2026. One date for all: a document's own changes with every checkout, and vendors do not tell theirs."""


def routes(runs: Runs, catalog: Catalog, store: Store) -> list[BaseRoute]:
    async def list_models(request: Request) -> Response:
        return json_response({"object": "list", "data": [to_wire(name, catalog) for name in catalog.names()]})

    async def retrieve(request: Request) -> Response:
        return json_response(to_wire(request.path_params["name"], catalog))

    async def delete(request: Request) -> Response:
        name = request.path_params["name"]
        catalog.owner(name)
        raise Forbidden(
            f"You have insufficient permissions for this operation: '{name}' cannot be deleted here. An agent is a "
            "document in the agents folder, and raw models are listed in the settings.",
            code="insufficient_permissions",
            param="model",
        )

    # `path`: ids of raw models contain slashes, and the SDKs percent-encode them.
    return [
        Route("/v1/models", list_models, methods=["GET"]),
        Route("/v1/models/{name:path}", retrieve, methods=["GET"]),
        Route("/v1/models/{name:path}", delete, methods=["DELETE"]),
    ]


def to_wire(name: str, catalog: Catalog) -> dict[str, object]:
    """Raises NotFound."""
    return {"id": name, "object": "model", "created": CREATED, "owned_by": catalog.owner(name)}
