"""The routes of the Responses dialect."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gateway.agents.catalog import Catalog
from gateway.apis._wire import EventStream, begun, json_response, parse, until_ended, wanted
from gateway.apis.responses.fold import fold, read_back
from gateway.apis.responses.schema import ResponsesRequest
from gateway.apis.responses.stream import ResponseStream
from gateway.apis.responses.to_turn import to_turn
from gateway.errors import GatewayError, InvalidRequest, NotFound
from gateway.ports import Store, StoredTurn, Turn
from gateway.runs import Runs


def unknown_start(turn: Turn) -> GatewayError:
    """What a turn was to continue does not exist, or belongs to another key."""
    if turn.conversation:
        return NotFound(f"Conversation with id '{turn.conversation}' not found.", param="conversation")
    return InvalidRequest(
        f"Previous response with id '{turn.parent}' not found.",
        param="previous_response_id",
        code="previous_response_not_found",
    )


def routes(runs: Runs, catalog: Catalog, store: Store) -> list[BaseRoute]:
    async def create(request: Request) -> Response:
        body = await parse(request, ResponsesRequest)
        turn = to_turn(body, catalog.find(body.model), request.state.owner)
        wait = request.headers.get("x-homeport-when-busy", "wait") != "reject"
        try:
            run = await runs.start(turn, wait=wait, wanted=wanted(request))
        except NotFound:
            raise unknown_start(turn) from None
        if body.stream:
            await begun(run, request)
            return EventStream(run, ResponseStream(run.turn).render)
        await until_ended(run, request)
        return json_response(fold(run.turn, run.events))

    async def retrieve(request: Request) -> Response:
        return json_response(await read_back(await find(request), store))

    async def delete(request: Request) -> Response:
        stored = await find(request)
        if run := runs.find(stored.turn.id):
            await run.cancel()
        await store.delete(stored.turn.id)
        return json_response({"id": stored.turn.id, "object": "response.deleted", "deleted": True})

    async def find(request: Request) -> StoredTurn:
        """The turn, if this key may see it. Another key's is not found, as if it did not exist."""
        id = request.path_params["id"]
        missing = NotFound(f"Response with id '{id}' not found.", param="id")
        try:
            stored = await store.get(id)
        except NotFound:
            raise missing from None
        # Conversation items that were added without a model, and completions, are turns too, but no responses.
        if stored.turn.owner != request.state.owner or not id.startswith("resp_"):
            raise missing
        return stored

    return [
        Route("/v1/responses", create, methods=["POST"]),
        Route("/v1/responses/{id}", retrieve, methods=["GET"]),
        Route("/v1/responses/{id}", delete, methods=["DELETE"]),
    ]
