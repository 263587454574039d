"""/v1/approvals: what waits for a person, and their answer, for whoever is not the client of the run.

Not OpenAI's: an extension of Homeport in OpenAI's style. The requests are those that a response shows as
`mcp_approval_request` and a chat completion as a question with a code.
"""

import time

from pydantic import BaseModel, StrictBool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gateway.agents.catalog import Catalog
from gateway.apis._idempotency import IdempotencyKeys, replayed
from gateway.apis._items import Wire
from gateway.apis._pages import list_of, page_query
from gateway.apis._wire import json_response, owner_of, parsed, read_body
from gateway.errors import InvalidRequest, NotFound
from gateway.items import Approval, IdempotencyKey, StoredApproval, new_id
from gateway.ports import Turn
from gateway.runs import Runs
from gateway.storage import Store


class AnswerBody(BaseModel):
    approve: StrictBool
    reason: str | None = None


class Approvals:
    """Another key's approval is not found, as if it did not exist."""

    def __init__(self, runs: Runs, catalog: Catalog, store: Store) -> None:
        self._runs = runs
        self._catalog = catalog
        self._store = store
        self._keys = IdempotencyKeys(runs, store)

    async def list_open(self, request: Request) -> Response:
        asked = page_query(request.query_params)
        found = await self._store.approvals(
            owner_of(request),
            open_at=time.time(),
            limit=asked.limit + 1,
            after=asked.after,
            before=asked.before,
            newest_first=asked.newest_first,
        )
        page, has_more = asked.cut(found)
        return json_response(list_of([show(each) for each in page], has_more=has_more))

    async def retrieve(self, request: Request) -> Response:
        return json_response(show(await self._find(request)))

    async def answer(self, request: Request) -> Response:
        """The run goes on in the background, as a new response whose id the answer tells."""
        content = await read_body(request)
        asked = await self._find(request)
        async with self._keys.asked(request, content) as known:
            if known.made:
                return replayed(json_response(show(await self._find(request))))
            await self._go_on(asked, await parsed(content, AnswerBody), known.key)
        return json_response(show(await self._find(request)))

    async def _go_on(self, asked: StoredApproval, body: AnswerBody, key: IdempotencyKey | None) -> None:
        paused = (await self._store.get(asked.turn)).turn
        said = Approval(
            id=new_id("mcpa"),
            call_id="",
            approved=body.approve,
            reason=body.reason or "",
            request_id=asked.request.id,
        )
        turn = Turn(
            id=new_id("resp"),
            agent=self._catalog.find(asked.agent),
            input=[said],
            parent=None if paused.conversation else paused.id,
            conversation=paused.conversation,
            instructions=paused.instructions,
            client_tools=paused.client_tools,
            # No credentials are stored, so a yes to a call of a client's own server is for that client to give.
            servers=(),
            options=paused.options,
            live=False,
            background=True,
            # A chat completion that waits goes on as a response: the client of the chat is not there to take it.
            wire=paused.wire if paused.id.startswith("resp_") else {"model": paused.agent.name},
            owner=paused.owner,
            created_at=time.time(),
            key=key,
        )
        try:
            await self._runs.start(turn)
        except InvalidRequest as error:
            if error.code and error.code.startswith("approval_"):
                error.param = "id"
            raise

    async def _find(self, request: Request) -> StoredApproval:
        id = request.path_params["id"]
        found = next(iter(await self._store.approvals(owner_of(request), begins=id)), None)
        if found is None or found.request.id != id:
            raise NotFound(f"Approval with id '{id}' not found.", param="id", code="approval_not_found")
        return found


def show(asked: StoredApproval) -> Wire:
    """`response_id` is the response that went on after the answer."""
    request = asked.request
    return {
        "id": request.id,
        "object": "approval",
        "status": status_of(asked),
        "code": request.code,
        "server_label": request.server,
        "name": request.tool,
        "arguments": request.arguments,
        "model": asked.agent,
        "requested_by": asked.turn,
        "created_at": int(asked.created_at),
        "expires_at": int(request.expires_at),
        "answered_at": None if asked.answered_at is None else int(asked.answered_at),
        "reason": asked.reason or None,
        "response_id": asked.continued_by,
    }


def status_of(asked: StoredApproval) -> str:
    if asked.approved is None:
        return "pending" if asked.request.expires_at > time.time() else "expired"
    return "approved" if asked.approved else "denied"


def routes(runs: Runs, catalog: Catalog, store: Store) -> list[BaseRoute]:
    api = Approvals(runs, catalog, store)
    return [
        Route("/v1/approvals", api.list_open, methods=["GET"]),
        Route("/v1/approvals/{id}", api.retrieve, methods=["GET"]),
        Route("/v1/approvals/{id}", api.answer, methods=["POST"]),
    ]
