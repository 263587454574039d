"""/v1/conversations: a name for the newest turn of a branch, and the items under it."""

import time
from typing import Any

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gateway.agents.catalog import Catalog
from gateway.agents.spec import AgentSpec
from gateway.apis._body import StrictModel
from gateway.apis._idempotency import IdempotencyKeys, replayed
from gateway.apis._include import included, shown
from gateway.apis._items import Wire, metadata_of, to_items
from gateway.apis._pages import list_of, page_query
from gateway.apis._wire import json_response, owner_of, parse, parsed, read_body
from gateway.errors import NotFound
from gateway.items import IdempotencyKey, Item, new_id
from gateway.ports import Turn
from gateway.runs import Runs
from gateway.storage import Conversation, Store

NOBODY = AgentSpec(name="", model="")
"""Items added by hand are a turn that no agent answered."""


class CreateBody(StrictModel):
    items: list[dict[str, Any]] | None = Field(None, max_length=20)
    metadata: dict[str, str] | None = None


class UpdateBody(StrictModel):
    metadata: dict[str, str] | None


class ItemsBody(StrictModel):
    items: list[dict[str, Any]] = Field(max_length=20)


class Conversations:
    """The eight operations. Another key's conversation is not found, as if it did not exist."""

    def __init__(self, runs: Runs, store: Store) -> None:
        self._runs = runs
        self._store = store
        self._keys = IdempotencyKeys(runs, store)

    async def create(self, request: Request) -> Response:
        content = await read_body(request)
        async with self._keys.asked(request, content) as asked:
            if asked.made and (known := await self._made(asked.made)):
                return replayed(json_response(show(known)))
            body = await parsed(content, CreateBody)
            items = to_items(body.items or [], "items")
            conversation = Conversation(
                id=new_id("conv"),
                created_at=time.time(),
                metadata=metadata_of(body.metadata),
                # Items first: those that are refused leave no conversation behind.
                newest=await self._add(items, owner_of(request)) if items else None,
                owner=owner_of(request),
            )
            await self._store.create_conversation(conversation, asked.key)
        return json_response(show(conversation))

    async def retrieve(self, request: Request) -> Response:
        return json_response(show(await self._find(request)))

    async def update(self, request: Request) -> Response:
        found, body = await self._find(request), await parse(request, UpdateBody)
        return json_response(show(await self._store.update_conversation(found.id, metadata_of(body.metadata))))

    async def delete(self, request: Request) -> Response:
        found = await self._find(request)
        await self._store.delete_conversation(found.id)
        return json_response({"id": found.id, "object": "conversation.deleted", "deleted": True})

    async def add_items(self, request: Request) -> Response:
        found, include = await self._find(request), included(request.query_params)
        content = await read_body(request)
        async with self._keys.asked(request, content) as asked:
            if asked.made:
                added = (await self._store.get(asked.made)).turn.input
                data = await shown(added, include, self._runs, found.owner)
                return replayed(json_response(list_of(data, has_more=False)))
            items = to_items((await parsed(content, ItemsBody)).items, "items")
            if items:
                await self._add(items, found.owner, found.id, asked.key)
        data = await shown(items, include, self._runs, found.owner)
        return json_response(list_of(data, has_more=False))

    async def list_items(self, request: Request) -> Response:
        found, query = await self._find(request), page_query(request.query_params)
        include = included(request.query_params)
        items, has_more = await self._store.conversation_items(
            found.id, after=query.after, before=query.before, limit=query.limit, newest_first=query.newest_first
        )
        data = await shown(items, include, self._runs, found.owner)
        return json_response(list_of(data, has_more=has_more))

    async def retrieve_item(self, request: Request) -> Response:
        found, include = await self._find(request), included(request.query_params)
        items = await self._item(found, request.path_params["item"])
        return json_response((await shown(items, include, self._runs, found.owner))[0])

    async def delete_item(self, request: Request) -> Response:
        found = await self._find(request)
        item, *_ = await self._item(found, request.path_params["item"])
        await self._store.delete_conversation_item(found.id, item.id)
        return json_response(show(found))

    async def _find(self, request: Request) -> Conversation:
        id = request.path_params["id"]
        missing = NotFound(f"Conversation with id '{id}' not found.", param="id")
        try:
            found = await self._store.conversation(id)
        except NotFound:
            raise missing from None
        if found.owner != owner_of(request):
            raise missing
        return found

    async def _item(self, found: Conversation, item_id: str) -> list[Item]:
        try:
            return await self._store.conversation_item(found.id, item_id)
        except NotFound:
            message = f"Item with id '{item_id}' not found in conversation '{found.id}'."
            raise NotFound(message, param="item_id") from None

    async def _made(self, id: str) -> Conversation | None:
        """The conversation of this id, or of the items that it began with, if it is still there."""
        try:
            name = id if id.startswith("conv_") else (await self._store.get(id)).turn.conversation
            return await self._store.conversation(name or "")
        except NotFound:
            return None

    async def _add(
        self, items: list[Item], owner: str, conversation: str | None = None, key: IdempotencyKey | None = None
    ) -> str:
        """The id of the turn that has the items, the newest of this conversation or one that begins a conversation."""
        turn = Turn(
            id=new_id("items"),
            agent=NOBODY,
            input=items,
            conversation=conversation,
            owner=owner,
            created_at=time.time(),
            key=key,
        )
        await self._runs.note(turn)
        return turn.id


def show(conversation: Conversation) -> Wire:
    return {
        "id": conversation.id,
        "object": "conversation",
        "created_at": int(conversation.created_at),
        "metadata": dict(conversation.metadata),
    }


def routes(runs: Runs, catalog: Catalog, store: Store) -> list[BaseRoute]:
    api = Conversations(runs, store)
    return [
        Route("/v1/conversations", api.create, methods=["POST"]),
        Route("/v1/conversations/{id}", api.retrieve, methods=["GET"]),
        Route("/v1/conversations/{id}", api.update, methods=["POST"]),
        Route("/v1/conversations/{id}", api.delete, methods=["DELETE"]),
        Route("/v1/conversations/{id}/items", api.add_items, methods=["POST"]),
        Route("/v1/conversations/{id}/items", api.list_items, methods=["GET"]),
        Route("/v1/conversations/{id}/items/{item}", api.retrieve_item, methods=["GET"]),
        Route("/v1/conversations/{id}/items/{item}", api.delete_item, methods=["DELETE"]),
    ]
