"""The prompt of a stored turn: each request that its run sent to a provider, as it was sent."""

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Any

import orjson
from starlette.responses import Response

from gateway.apis._usage import to_usage
from gateway.apis._wire import JsonResponse
from gateway.model_requests import ModelRequest
from gateway.prompt_tokens import Count, counter, tokens_of
from gateway.storage import Store

Wire = dict[str, Any]


async def prompt_of(store: Store, turns: Sequence[str], kind: str) -> Response:
    """The requests of these turns as one object under the first one's id. Raises NotFound.

    `kind` is what OpenAI calls the object that was asked for. A request that is under way is not in it yet.
    """
    requests = [request for turn in turns for request in await store.requests(turn)]
    # Bodies are long and there may be many: neither counting nor encoding them is work for the event loop.
    return JsonResponse(await asyncio.to_thread(shown, requests, turns[0], f"{kind}.prompt"), 200)


def shown(requests: Sequence[ModelRequest], id: str, kind: str) -> bytes:
    count = counter()
    data = [{"index": index, **to_wire(request, count)} for index, request in enumerate(requests)]
    return orjson.dumps({"id": id, "object": kind, "data": data})


def to_wire(request: ModelRequest, count: Count) -> Wire:
    usage = request.usage
    tokens = tokens_of(request.body, usage.input_tokens if usage else 0, count)
    return {
        "created_at": int(request.created_at),
        "model": request.model,
        "url": request.url,
        "status": request.status,
        "error": {"code": request.error[0], "message": request.error[1]} if request.error else None,
        "body": request.body.decode("utf-8", "replace"),
        "body_sha256": hashlib.sha256(request.body).hexdigest(),
        "exact": request.exact,
        "redacted": request.redacted,
        "tokens": {**tokens.sections, "total": tokens.total},
        "tokens_counted": "scaled_to_usage" if tokens.scaled else "estimate",
        "usage": to_usage(usage) if usage else None,
    }
