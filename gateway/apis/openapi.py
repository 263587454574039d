"""/openapi.json: what is served, as an OpenAPI 3.1 document (https://spec.openapis.org/oas/v3.1.1).

Paths and their parameters are read off the routes, request bodies off their pydantic schemas, so neither can be told
wrongly. OPERATIONS adds what a route does not say of itself; one without an entry is listed with its path alone.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, get_args

import orjson
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gateway.apis import approvals, conversations
from gateway.apis._answers import SCHEMAS, TEXT, Schema, either, ref
from gateway.apis._idempotency import LONGEST_KEY
from gateway.apis._include import Included
from gateway.apis._wire import JsonResponse
from gateway.apis.chat import stored
from gateway.apis.chat.schema import ChatRequest
from gateway.apis.completions import CompletionRequest
from gateway.apis.embeddings import EmbeddingsRequest
from gateway.apis.responses.schema import CompactRequest, ResponsesRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """`answer` names one of SCHEMAS, `query` has the schemas of the query's parameters. One that `streams` does so when
    it is asked to; an `open` one needs no key; one that is `repeatable` takes an idempotency key."""

    summary: str
    answer: str = ""
    body: type[BaseModel] | None = None
    query: Mapping[str, Schema] | None = None
    streams: bool = False
    open: bool = False
    repeatable: bool = False


PAGE: dict[str, Schema] = {
    "after": {"type": "string"},
    "before": {"type": "string"},
    "limit": {"type": "integer", "minimum": 1, "maximum": 100, "default": 20},
    "order": {**either("asc", "desc"), "default": "desc"},
}
KEY: Schema = {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY}
INCLUDE: dict[str, Schema] = {"include[]": {"type": "array", "items": either(*get_args(Included))}}
OLDEST_FIRST: dict[str, Schema] = {**PAGE, "order": {**PAGE["order"], "default": "asc"}}

OPERATIONS: dict[tuple[str, str], Operation] = {
    ("POST", "/v1/chat/completions"): Operation(
        summary="Ask an agent or a model", body=ChatRequest, answer="ChatCompletion", streams=True, repeatable=True
    ),
    ("POST", "/v1/responses"): Operation(
        summary="Ask an agent or a model, and keep what was said",
        body=ResponsesRequest,
        answer="Response",
        streams=True,
        repeatable=True,
    ),
    ("POST", "/v1/responses/input_tokens"): Operation(
        summary="About how many tokens a response would send to the model",
        body=ResponsesRequest,
        answer="ResponseInputTokens",
    ),
    ("POST", "/v1/responses/compact"): Operation(
        summary="Make a long conversation short", body=CompactRequest, answer="ResponseCompaction"
    ),
    ("GET", "/v1/responses/{id}"): Operation(
        summary="A response as far as it has got, or its stream from the start or from an event on",
        query={
            "stream": {"type": "boolean"},
            "starting_after": {"type": "integer", "minimum": 0},
            **INCLUDE,
        },
        answer="Response",
        streams=True,
    ),
    ("DELETE", "/v1/responses/{id}"): Operation(summary="Delete a response", answer="ResponseDeleted"),
    ("POST", "/v1/conversations"): Operation(
        summary="Begin a conversation", body=conversations.CreateBody, answer="Conversation", repeatable=True
    ),
    ("GET", "/v1/conversations/{id}"): Operation(summary="A conversation", answer="Conversation"),
    ("POST", "/v1/conversations/{id}"): Operation(
        summary="Change a conversation's metadata", body=conversations.UpdateBody, answer="Conversation"
    ),
    ("DELETE", "/v1/conversations/{id}"): Operation(summary="Delete a conversation", answer="ConversationDeleted"),
    ("POST", "/v1/conversations/{id}/items"): Operation(
        summary="Add items to a conversation",
        query=INCLUDE,
        body=conversations.ItemsBody,
        answer="ItemList",
        repeatable=True,
    ),
    ("GET", "/v1/conversations/{id}/items"): Operation(
        summary="The items of a conversation", query=PAGE | INCLUDE, answer="ItemList"
    ),
    ("GET", "/v1/conversations/{id}/items/{item}"): Operation(summary="An item", query=INCLUDE, answer="Item"),
    ("DELETE", "/v1/conversations/{id}/items/{item}"): Operation(
        summary="Delete an item from its conversation", answer="Conversation"
    ),
    ("POST", "/v1/embeddings"): Operation(
        summary="Make vectors of texts", body=EmbeddingsRequest, answer="EmbeddingList"
    ),
    ("POST", "/v1/completions"): Operation(
        summary="Continue a prompt (legacy)", body=CompletionRequest, answer="Completion", streams=True
    ),
    ("GET", "/v1/chat/completions"): Operation(
        summary="The completions that were stored", query=OLDEST_FIRST | {"model": TEXT}, answer="ChatCompletionList"
    ),
    ("GET", "/v1/chat/completions/{id}"): Operation(summary="A completion that was stored", answer="ChatCompletion"),
    ("POST", "/v1/chat/completions/{id}"): Operation(
        summary="Change a stored completion's metadata", body=stored.UpdateBody, answer="ChatCompletion"
    ),
    ("DELETE", "/v1/chat/completions/{id}"): Operation(
        summary="Delete a stored completion", answer="ChatCompletionDeleted"
    ),
    ("GET", "/v1/chat/completions/{id}/messages"): Operation(
        summary="What a stored completion was asked with", query=OLDEST_FIRST, answer="ChatMessageList"
    ),
    ("POST", "/v1/responses/{id}/cancel"): Operation(summary="Cancel a background response", answer="Response"),
    ("GET", "/v1/responses/{id}/input_items"): Operation(
        summary="What a response was asked with", query=PAGE | INCLUDE, answer="ItemList"
    ),
    ("GET", "/v1/responses/{id}/prompt"): Operation(
        summary="The requests that were sent to providers for a response, as they were sent", answer="Prompt"
    ),
    ("GET", "/v1/chat/completions/{id}/prompt"): Operation(
        summary="The requests that were sent to providers for a stored completion, as they were sent", answer="Prompt"
    ),
    ("GET", "/v1/models"): Operation(summary="The agents, and the models that the settings list", answer="ModelList"),
    ("GET", "/v1/models/{name}"): Operation(summary="An agent or a model", answer="Model"),
    ("DELETE", "/v1/models/{name}"): Operation(summary="Refused: agents and models are the host's"),
    ("GET", "/v1/approvals"): Operation(summary="The calls that wait for a person", query=PAGE, answer="ApprovalList"),
    ("GET", "/v1/approvals/{id}"): Operation(summary="A call that waits for a person, or did", answer="Approval"),
    ("POST", "/v1/approvals/{id}"): Operation(
        summary="Allow a call or refuse it", body=approvals.AnswerBody, answer="Approval", repeatable=True
    ),
    ("GET", "/healthz"): Operation(summary="Whether the gateway runs", answer="Health", open=True),
    ("GET", "/readyz"): Operation(summary="Whether the gateway can do its work", answer="Health", open=True),
}


def routes(served: Sequence[BaseRoute]) -> list[BaseRoute]:
    """The route of the document about these routes. It is made when it is first asked for, on a thread."""
    made: list[bytes] = []

    async def show(request: Request) -> Response:
        if not made:
            made.append(await asyncio.to_thread(lambda: orjson.dumps(document(served))))
        return JsonResponse(made[0], 200)

    return [Route("/openapi.json", show, methods=["GET"])]


def document(served: Sequence[BaseRoute]) -> dict[str, Any]:
    """The OpenAPI document. Mounted applications, which are no part of this API, are left out."""
    paths: dict[str, dict[str, Any]] = {}
    for route, method in methods(served):
        known = OPERATIONS.get((method, route.path_format)) or Operation(summary=route.name)
        paths.setdefault(route.path_format, {})[method.lower()] = operation(route, known)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Homeport", "version": version("homeport"), "license": {"name": "Apache-2.0"}},
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "schemas": {**body_schemas(), **SCHEMAS},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def methods(served: Sequence[BaseRoute]) -> Iterator[tuple[Route, str]]:
    for route in served:
        if isinstance(route, Route):
            for method in sorted((route.methods or set()) - {"HEAD"}):
                yield route, method


def operation(route: Route, known: Operation) -> dict[str, Any]:
    """https://spec.openapis.org/oas/v3.1.1#operation-object"""
    content: dict[str, Any] = {"application/json": {"schema": ref(known.answer) if known.answer else {}}}
    if known.streams:
        content["text/event-stream"] = {"schema": ref("ServerSentEvent")}
    path = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in route.param_convertors
    ]
    query = [{"name": name, "in": "query", "schema": schema} for name, schema in (known.query or {}).items()]
    header = [{"name": "Idempotency-Key", "in": "header", "schema": KEY}] if known.repeatable else []
    error = {"description": "What went wrong", "content": {"application/json": {"schema": ref("Error")}}}
    answers = {"200": {"description": known.summary, "content": content}, "default": error}
    if known.open:
        answers["503"] = {"description": "Not now", "content": content}
    shown: dict[str, Any] = {"summary": known.summary, "responses": answers}
    if path or query or header:
        shown["parameters"] = path + query + header
    if known.body is not None:
        shown["requestBody"] = {"required": True, "content": {"application/json": {"schema": ref(named(known.body))}}}
    if known.open:
        shown["security"] = []
    return shown


def body_schemas() -> dict[str, Schema]:
    """The schemas of all bodies and of their parts, by their names in the document."""
    schemas: dict[str, Schema] = {}
    for body in {known.body for known in OPERATIONS.values() if known.body is not None}:
        whole = body.model_json_schema(ref_template=f"#/components/schemas/{named(body)}.{{model}}")
        schemas |= {f"{named(body)}.{part}": schema for part, schema in whole.pop("$defs", {}).items()}
        schemas[named(body)] = whole
    return schemas


def named(body: type[BaseModel]) -> str:
    """A body's name with that of its dialect, because several dialects use one name."""
    _, _, dialect, *_ = body.__module__.split(".")
    return f"{dialect}.{body.__name__}"
