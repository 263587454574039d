"""The route of the Chat Completions dialect."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gateway.agents.catalog import Catalog
from gateway.apis._wire import EventStream, begun, json_response, parse, until_ended, wanted
from gateway.apis.chat.schema import ChatRequest
from gateway.apis.chat.to_turn import to_turn
from gateway.apis.chat.to_wire import Chunks, to_completion
from gateway.ports import Store
from gateway.runs import Runs


def routes(runs: Runs, catalog: Catalog, store: Store) -> list[BaseRoute]:
    async def create(request: Request) -> Response:
        body = await parse(request, ChatRequest)
        turn = to_turn(body, catalog.find(body.model), request.state.owner)
        run = await runs.start(turn, wanted=wanted(request))
        if body.stream:
            await begun(run, request)
            usage = body.stream_options is not None and bool(body.stream_options.include_usage)
            return EventStream(run, Chunks(turn, include_usage=usage).render)
        await until_ended(run, request)
        return json_response(to_completion(turn, run.events))

    return [Route("/v1/chat/completions", create, methods=["POST"])]
