"""The route of the Chat Completions dialect."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gateway.agents.catalog import Catalog
from gateway.apis._wire import EventStream, begun, json_response, parsed, read_body, until_ended, wanted
from gateway.apis.chat.relay import RawModels
from gateway.apis.chat.schema import ChatRequest
from gateway.apis.chat.to_turn import to_turn
from gateway.apis.chat.to_wire import Chunks, to_completion
from gateway.ports import Relay, Store
from gateway.runs import Runs


def routes(runs: Runs, catalog: Catalog, store: Store, relay: Relay | None = None) -> list[BaseRoute]:
    """`relay` answers for raw models where it can; those it cannot answer for are agents without instructions."""
    raw_models = RawModels(relay, catalog) if relay is not None else None

    async def create(request: Request) -> Response:
        content = await read_body(request)
        if raw_models is not None and (answer := await raw_models.answer(request, content)) is not None:
            return answer
        body = await parsed(content, ChatRequest)
        turn = to_turn(body, catalog.find(body.model), request.state.owner)
        run = await runs.start(turn, wanted=wanted(request))
        if body.stream:
            await begun(run, request)
            usage = body.stream_options is not None and bool(body.stream_options.include_usage)
            return EventStream(run, Chunks(turn, include_usage=usage).render)
        await until_ended(run, request)
        return json_response(to_completion(turn, run.events))

    return [Route("/v1/chat/completions", create, methods=["POST"])]
