"""The routes of the Responses dialect."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket

from gateway.agents.catalog import Catalog
from gateway.apis._idempotency import Asked, IdempotencyKeys, again, replayed
from gateway.apis._include import included, shown
from gateway.apis._own import own_turn
from gateway.apis._pages import page_of
from gateway.apis._prompt import prompt_of
from gateway.apis._references import dereferenced, with_states
from gateway.apis._wire import (
    EventStream,
    begun,
    header_of,
    json_response,
    owner_of,
    parse,
    parsed,
    read_body,
    until_ended,
    wanted,
)
from gateway.apis.responses.compact import compaction, to_compact
from gateway.apis.responses.fold import fold, left_open, read_back
from gateway.apis.responses.prompts import agent_of
from gateway.apis.responses.relay import RelayedResponses
from gateway.apis.responses.schema import CompactRequest, ResponsesRequest
from gateway.apis.responses.socket import ResponsesSocket
from gateway.apis.responses.steering import Steering
from gateway.apis.responses.stream import ResponseStream
from gateway.apis.responses.to_turn import to_turn
from gateway.errors import GatewayError, InvalidRequest, NotFound
from gateway.events import RunFailed
from gateway.items import Item
from gateway.ports import Relay, Turn
from gateway.runs import Run, Runs
from gateway.storage import Store, StoredTurn

POLL_AFTER = {"openai-poll-after-ms": "250"}
"""Milliseconds after which a client that polls asks again; without it the SDKs wait a second."""


def unknown_start(turn: Turn) -> GatewayError:
    """What a turn was to continue does not exist, or belongs to another key."""
    if turn.conversation:
        return NotFound(f"Conversation with id '{turn.conversation}' not found.", param="conversation")
    return InvalidRequest(
        f"Previous response with id '{turn.parent}' not found.",
        param="previous_response_id",
        code="previous_response_not_found",
    )


class Responses:
    """The operations. Another key's response is not found, as if it did not exist.

    `raw_models` answers what it can where no key asks for an answer to be kept."""

    def __init__(self, runs: Runs, catalog: Catalog, store: Store, raw_models: RelayedResponses | None) -> None:
        self._runs = runs
        self._catalog = catalog
        self._store = store
        self._raw_models = raw_models
        self._keys = IdempotencyKeys(runs, store)

    async def create(self, request: Request) -> Response:
        content = await read_body(request)
        async with self._keys.asked(request, content) as asked:
            if asked.key is None and self._raw_models is not None:
                relayed = await self._raw_models.answer(request, content)
                if relayed is not None:
                    return relayed
            known = await self._keys.runs(asked) if asked.made else ()
            run = known[0] if known else await self._begin(request, content, asked)
        if known:
            return replayed(await self._answer_again(asked, run, request))
        return await self._answer(run, request)

    async def _begin(self, request: Request, content: bytes | bytearray, asked: Asked) -> Run:
        body = await parsed(content, ResponsesRequest)
        turn = await self.turn_of(body, owner_of(request))
        if asked.key:
            turn = replace(turn, key=asked.key)
            self._keys.reserve(asked, turn)
        wait = header_of(request, b"x-homeport-when-busy") != "reject"
        run = await self.start(turn, wait=wait, wanted=wanted(request))
        self._keys.hold(asked, [run])
        return run

    async def _answer(self, run: Run, request: Request) -> Response:
        turn = run.turn
        if turn.live:
            if not turn.background:
                await begun(run, request)
            return EventStream(run, ResponseStream(turn).render)
        if turn.background:
            return polled(fold(turn, ()))
        await until_ended(run, request)
        return json_response(fold(turn, run.events))

    async def _answer_again(self, asked: Asked, run: Run, request: Request) -> Response:
        """What `_answer` said, or is about to say, to the same request."""
        turn = run.turn
        if asked.held or self._runs.find(turn.id) is run or (turn.background and not turn.live):
            return await self._answer(run, request)
        stored = await self._store.get(turn.id)
        if turn.live:
            return await self._again(None, stored, -1)
        ending = run.events[-1]
        if isinstance(ending, RunFailed) and not stored.output:
            raise ending.error
        return json_response(await read_back(stored, self._store))

    async def input_tokens(self, request: Request) -> Response:
        turn = await self.turn_of(await parse(request, ResponsesRequest), owner_of(request))
        try:
            counted = await self._runs.count(turn)
        except NotFound:
            raise unknown_start(turn) from None
        return json_response({"object": "response.input_tokens", "input_tokens": counted})

    async def compact(self, request: Request) -> Response:
        """A run of one step, which nobody can ask for afterwards."""
        turn = await self.turn_of(to_compact(await parse(request, CompactRequest)), owner_of(request))
        run = await self.start(replace(turn, options={**turn.options, "compact": "window"}), wanted=wanted(request))
        await until_ended(run, request)
        return json_response(compaction(run.turn, run.events))

    async def connect(self, websocket: WebSocket) -> None:
        await ResponsesSocket(websocket, self, Steering(self._runs, self._store)).serve()

    async def turn_of(self, body: ResponsesRequest, owner: str) -> Turn:
        known: Mapping[str, Item] = {}
        if isinstance(body.input, list):
            body.input, known = await dereferenced(body.input, self._store, owner)
        turn = to_turn(body, agent_of(body, self._catalog), owner)
        return replace(turn, input=with_states(list(turn.input), known)) if known else turn

    async def start(
        self, turn: Turn, *, wait: bool = True, wanted: Callable[[], bool] = lambda: True, successor: bool = False
    ) -> Run:
        """The run of this turn. Raises what the client is to be told when it cannot start."""
        try:
            return await self._runs.start(turn, wait=wait, wanted=wanted, successor=successor)
        except NotFound:
            raise unknown_start(turn) from None

    async def retrieve(self, request: Request) -> Response:
        run, stored = await self._running(request)
        stored = await self._including(stored, included(request.query_params))
        if is_set(request.query_params, "stream"):
            return await self._again(run, stored, whole_number(request.query_params, "starting_after", -1))
        return polled(await read_back(stored, self._store))

    async def _including(self, stored: StoredTurn, include: Sequence[str]) -> StoredTurn:
        """The turn as if its request had asked for this, too."""
        if not include:
            return stored
        wire = {**stored.turn.wire, "include": [*stored.turn.wire.get("include", ()), *include]}
        stored = replace(stored, turn=replace(stored.turn, wire=wire))
        if "reasoning.encrypted_content" not in include:
            return stored
        return replace(stored, output=await self._runs.sealed(stored.output, stored.turn.owner))

    async def _again(self, run: Run | None, stored: StoredTurn, after: int) -> Response:
        """The stream from its first frame on, or from the one `after` that the client has."""
        if run is None:
            run = again(stored, await self._store.log(stored.turn.id))
        earlier = await left_open(stored, self._store)
        return EventStream(run, ResponseStream(stored.turn, earlier=earlier, begun=stored.intents, after=after).render)

    async def cancel(self, request: Request) -> Response:
        run, stored = await self._running(request)
        if not stored.turn.background:
            raise InvalidRequest("Cannot cancel a synchronous response.", param="id")
        if run:
            await run.cancel()
            stored = await self._find(request)
        if stored.end is not None and stored.end.status != "cancelled":
            raise InvalidRequest(f"Cannot cancel a {stored.end.status} response.", param="id")
        return json_response(await read_back(stored, self._store))

    async def delete(self, request: Request) -> Response:
        stored = await self._find(request)
        if run := self._runs.find(stored.turn.id):
            await run.cancel()
        await self._store.delete(stored.turn.id)
        return json_response({"id": stored.turn.id, "object": "response.deleted", "deleted": True})

    async def input_items(self, request: Request) -> Response:
        stored, include = await self._find(request), included(request.query_params)
        items = await shown(stored.turn.input, include, self._runs, stored.turn.owner)
        return json_response(page_of(items, request.query_params))

    async def prompt(self, request: Request) -> Response:
        stored = await self._find(request)
        return await prompt_of(self._store, [stored.turn.id], "response")

    async def _running(self, request: Request) -> tuple[Run | None, StoredTurn]:
        """The turn, and its run if it is going on. Looked for in this order, one that ends meanwhile is not missed."""
        run = self._runs.find(request.path_params["id"])
        return run, await self._find(request)

    async def _find(self, request: Request) -> StoredTurn:
        """The turn, if this key may see it."""
        id = request.path_params["id"]
        missing = NotFound(f"Response with id '{id}' not found.", param="id")
        return await own_turn(self._store, id, owner_of(request), "resp_", missing)


def polled(response: Mapping[str, Any]) -> Response:
    """The object, and to one that is still under way, when to ask again."""
    answer = json_response(response)
    if response["status"] in ("queued", "in_progress"):
        answer.raw_headers += [(name.encode(), value.encode()) for name, value in POLL_AFTER.items()]
    return answer


def whole_number(query: Mapping[str, str], name: str, default: int) -> int:
    given = query.get(name)
    if given is None:
        return default
    if not given.isdecimal() or len(given) > 15:
        raise InvalidRequest(f"Invalid value for '{name}': a whole number.", param=name, code="invalid_value")
    return int(given)


def is_set(query: Mapping[str, str], name: str) -> bool:
    given = query.get(name, "false").lower()
    if given not in ("true", "false"):
        raise InvalidRequest(f"Invalid value for '{name}': 'true' or 'false'.", param=name, code="invalid_value")
    return given == "true"


def routes(runs: Runs, catalog: Catalog, store: Store, relay: Relay | None = None) -> list[BaseRoute]:
    raw_models = RelayedResponses(relay, catalog, runs.max_history) if relay is not None else None
    api = Responses(runs, catalog, store, raw_models)
    return [
        Route("/v1/responses", api.create, methods=["POST"]),
        WebSocketRoute("/v1/responses", api.connect),
        Route("/v1/responses/input_tokens", api.input_tokens, methods=["POST"]),
        Route("/v1/responses/compact", api.compact, methods=["POST"]),
        Route("/v1/responses/{id}", api.retrieve, methods=["GET"]),
        Route("/v1/responses/{id}", api.delete, methods=["DELETE"]),
        Route("/v1/responses/{id}/cancel", api.cancel, methods=["POST"]),
        Route("/v1/responses/{id}/input_items", api.input_items, methods=["GET"]),
        Route("/v1/responses/{id}/prompt", api.prompt, methods=["GET"]),
    ]
