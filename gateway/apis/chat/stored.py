"""Completions that were stored: https://platform.openai.com/docs/api-reference/chat/list and what follows there."""

import re

from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gateway.apis._items import metadata_of
from gateway.apis._own import own_turn
from gateway.apis._pages import list_of, page_of, page_query
from gateway.apis._prompt import prompt_of
from gateway.apis._wire import json_response, owner_of, parse
from gateway.apis.chat.choices import choice_id
from gateway.apis.chat.messages import Wire, to_messages
from gateway.apis.chat.to_wire import Answer, to_completion
from gateway.errors import NotFound
from gateway.runs import Runs
from gateway.storage import Store, StoredTurn

KIND = "chatcmpl-"
METADATA = re.compile(r"metadata\[(.*)\]", re.DOTALL)


class UpdateBody(BaseModel):
    metadata: dict[str, str] | None = Field(fail_fast=True)


class StoredCompletions:
    """Another key's completion is not found, as if it did not exist, nor is one that has not come to an answer."""

    def __init__(self, runs: Runs, store: Store) -> None:
        self._runs = runs
        self._store = store

    async def retrieve(self, request: Request) -> Response:
        return json_response(await self._show(await self._find(request)))

    async def update(self, request: Request) -> Response:
        stored, body = await self._find(request), await parse(request, UpdateBody)
        await self._store.rewire(stored.turn.id, {**stored.turn.wire, "metadata": metadata_of(body.metadata)})
        return json_response(await self._show(await self._store.get(stored.turn.id)))

    async def delete(self, request: Request) -> Response:
        stored = await self._find(request)
        for index in range(stored.turn.wire["choices"]):
            id = choice_id(stored.turn.id, index)
            if run := self._runs.find(id):
                await run.cancel()
            try:
                await self._store.delete(id)
            except NotFound:
                continue
        return json_response({"id": stored.turn.id, "object": "chat.completion.deleted", "deleted": True})

    async def list(self, request: Request) -> Response:
        query = request.query_params
        asked = page_query(query, "asc")
        metadata = {found[1]: value for key, value in query.items() if (found := METADATA.fullmatch(key))}
        turns, has_more = await self._store.turns(
            owner_of(request),
            KIND,
            after=asked.after,
            before=asked.before,
            limit=asked.limit,
            newest_first=asked.newest_first,
            agent=query.get("model", ""),
            metadata=metadata,
        )
        return json_response(list_of([await self._show(turn) for turn in turns], has_more=has_more))

    async def messages(self, request: Request) -> Response:
        """What the completion was asked with, the whole of it."""
        stored = await self._find(request)
        answer = {item.id for item in stored.output}
        history = [item for item in await self._store.history(stored.turn.id) if item.id not in answer]
        listed = [{"id": f"{stored.turn.id}-{n}", **message} for n, message in enumerate(to_messages(history))]
        return json_response(page_of(listed, request.query_params, "asc"))

    async def prompt(self, request: Request) -> Response:
        """What was sent for all of its choices, choice by choice."""
        first = (await self._find(request)).turn
        ids = [choice_id(first.id, index) for index in range(first.wire["choices"])]
        return await prompt_of(self._store, ids, "chat.completion")

    async def _find(self, request: Request) -> StoredTurn:
        id = request.path_params["id"]
        missing = NotFound(f"Chat completion with id '{id}' not found.", param="id")
        stored = await own_turn(self._store, id, owner_of(request), KIND, missing)
        if not has_answer(stored):
            raise missing
        return stored

    async def _show(self, first: StoredTurn) -> Wire:
        """The completion with all of its choices, and what OpenAI tells of the request."""
        turns = [first]
        for index in range(1, first.turn.wire["choices"]):
            try:
                turns.append(await self._store.get(choice_id(first.turn.id, index)))
            except NotFound:
                continue
        answers = [Answer(turn.turn, turn.output, turn.end) for turn in turns if has_answer(turn) and turn.end]
        wire = first.turn.wire
        asked = {**wire["echo"], "input_user": wire["user"], "metadata": wire["metadata"], "request_id": None}
        return {**to_completion(answers), **asked}


def has_answer(stored: StoredTurn) -> bool:
    return stored.end is not None and stored.end.status in ("completed", "incomplete", "paused")


def routes(runs: Runs, store: Store) -> list[BaseRoute]:
    api = StoredCompletions(runs, store)
    return [
        Route("/v1/chat/completions", api.list, methods=["GET"]),
        Route("/v1/chat/completions/{id}", api.retrieve, methods=["GET"]),
        Route("/v1/chat/completions/{id}", api.update, methods=["POST"]),
        Route("/v1/chat/completions/{id}", api.delete, methods=["DELETE"]),
        Route("/v1/chat/completions/{id}/messages", api.messages, methods=["GET"]),
        Route("/v1/chat/completions/{id}/prompt", api.prompt, methods=["GET"]),
    ]
