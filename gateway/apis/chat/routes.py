"""The routes of the Chat Completions dialect."""

from collections.abc import Sequence
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gateway.agents.catalog import Catalog
from gateway.apis._choices import SideBySide, start_all
from gateway.apis._idempotency import IdempotencyKeys, replayed
from gateway.apis._wire import EventStream, begun, json_response, owner_of, parsed, read_body, until_ended, wanted
from gateway.apis.chat import stored
from gateway.apis.chat.approvals import resumed
from gateway.apis.chat.choices import SideBySideChunks, choice_ids, choices, refuse_copies
from gateway.apis.chat.relay import RelayedCompletions
from gateway.apis.chat.resent import continued
from gateway.apis.chat.schema import ChatRequest
from gateway.apis.chat.to_turn import to_turn
from gateway.apis.chat.to_wire import Chunks, to_answer, to_completion
from gateway.errors import InvalidRequest, NotFound
from gateway.ports import Relay, Turn
from gateway.runs import Run, Runs
from gateway.storage import Store


class Completions:
    """Makes completions. `raw_models` answers where it can, and where no key asks for an answer to be kept; the models
    it leaves are agents without instructions."""

    def __init__(self, runs: Runs, catalog: Catalog, store: Store, raw_models: RelayedCompletions | None) -> None:
        self._runs = runs
        self._catalog = catalog
        self._store = store
        self._raw_models = raw_models
        self._keys = IdempotencyKeys(runs, store)

    async def create(self, request: Request) -> Response:
        content = await read_body(request)
        async with self._keys.asked(request, content) as asked:
            if asked.key is None and (answer := await self._relayed(request, content)) is not None:
                return answer
            body = await parsed(content, ChatRequest)
            runs = known = await self._keys.runs(asked, choice_ids) if asked.made else ()
            if not known:
                turn = to_turn(body, self._catalog.find(body.model), owner_of(request))
                if asked.key:
                    turn = replace(turn, key=asked.key)
                    self._keys.reserve(asked, turn)
                runs = await self._start(turn, request)
                self._keys.hold(asked, runs)
        answer = await self._answer(runs, body, request)
        return replayed(answer) if known else answer

    async def _relayed(self, request: Request, content: bytes | bytearray) -> Response | None:
        return None if self._raw_models is None else await self._raw_models.answer(request, content)

    async def _answer(self, started: Sequence[Run], body: ChatRequest, request: Request) -> Response:
        usage = body.stream_options is not None and bool(body.stream_options.include_usage)
        if len(started) > 1:
            return await side_by_side(started, request, stream=bool(body.stream), include_usage=usage)
        (run,) = started
        if body.stream:
            await begun(run, request)
            return EventStream(run, Chunks(run.turn, include_usage=usage).render)
        await until_ended(run, request)
        return json_response(to_completion([to_answer(run.turn, run.events)]))

    async def _start(self, turn: Turn, request: Request) -> Sequence[Run]:
        """Begin a run for each choice; one that is stored, after what is known of its history. An answer to a question
        of the gateway's goes on with the run that asked."""
        if (answering := await resumed(turn, self._catalog, self._store)) is not None:
            return await self._start_all(answering, request)
        if not turn.stored:
            return await self._start_all(turn, request)
        try:
            return await self._start_all(await continued(turn, self._store), request)
        except NotFound:
            # What it was to continue was deleted in this moment.
            return await self._start_all(await continued(turn, self._store), request)

    async def _start_all(self, turn: Turn, request: Request) -> Sequence[Run]:
        turns = choices(turn)
        if len(turns) > 1:
            refuse_copies(turns, self._runs.max_history)
        try:
            return await start_all(self._runs, turns, wanted(request))
        except InvalidRequest as error:
            if error.param == "input":
                error.param = "messages"
            raise


async def side_by_side(started: Sequence[Run], request: Request, *, stream: bool, include_usage: bool) -> Response:
    """The answer with several choices."""
    runs = SideBySide(started)
    if stream:
        await runs.begun(request)
        chunks = SideBySideChunks([run.turn for run in started], include_usage=include_usage)
        return EventStream(runs, chunks.render)
    await runs.ended(request)
    return json_response(to_completion([to_answer(run.turn, run.events) for run in started]))


def routes(runs: Runs, catalog: Catalog, store: Store, relay: Relay | None = None) -> list[BaseRoute]:
    raw_models = RelayedCompletions(relay, catalog, runs.max_history) if relay is not None else None
    create = Completions(runs, catalog, store, raw_models).create
    return [Route("/v1/chat/completions", create, methods=["POST"]), *stored.routes(runs, store)]
