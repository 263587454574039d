"""/v1/embeddings: vectors of raw models, and of the model that comes with the gateway.

There is no Turn here: nothing is said, so nothing is run, recorded or continued. The rules see the texts all the same.
"""

import asyncio
import struct
import sys
from array import array
from base64 import b64encode
from collections.abc import Sequence
from typing import Any, Literal

import orjson
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gateway.agents.catalog import Catalog
from gateway.agents.spec import AgentSpec
from gateway.apis._body import LARGEST
from gateway.apis._gone import aborted_when_gone
from gateway.apis._inputs import MOST_INPUT_VALUES, Inputs, read_inputs
from gateway.apis._wire import JsonResponse, owner_of, parse
from gateway.embedding import Embedder, EmbeddingCall, Embeddings, Vector
from gateway.errors import InvalidRequest
from gateway.items import Message, Text, new_id
from gateway.ports import Turn
from gateway.runs import Runs
from gateway.storage import Store

FEW_NUMBERS = 16_384
"""How many are written out on the event loop; it takes a millisecond. More are written on a thread."""


class EmbeddingsRequest(BaseModel):
    """https://platform.openai.com/docs/api-reference/embeddings/create. The SDKs ask for base64 unless told not to."""

    model: str
    input: Any
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = Field(None, ge=1, le=LARGEST)
    user: str | None = None


def routes(runs: Runs, catalog: Catalog, store: Store, embedder: Embedder | None = None) -> list[BaseRoute]:
    async def create(request: Request) -> Response:
        body = await parse(request, EmbeddingsRequest, most_values=MOST_INPUT_VALUES)
        model = catalog.raw(body.model)
        inputs = await read_inputs(body.input, "input")
        if embedder is None:
            raise InvalidRequest("The models of this gateway make no vectors.", code="unsupported_model", param="model")
        await runs.admit(to_turn(inputs, model, owner_of(request)))
        call = EmbeddingCall(
            model=model.model,
            texts=inputs.texts,
            tokens=inputs.tokens,
            base64=body.encoding_format == "base64",
            dimensions=body.dimensions,
            user=body.user,
        )
        async with aborted_when_gone(request.scope, request.receive):
            made = await embedder.embed(call)
            few = sum(map(len, made.vectors)) <= FEW_NUMBERS
            content = to_wire(call, made) if few else await asyncio.to_thread(to_wire, call, made)
        return JsonResponse(content, 200)

    return [Route("/v1/embeddings", create, methods=["POST"])]


def to_turn(inputs: Inputs, model: AgentSpec, owner: str) -> Turn:
    """What the rules look at; nobody runs it."""
    said = tuple(Text(text=text) for text in inputs.texts)
    message = Message(id=new_id("msg"), role="user", content=said)
    return Turn(id=new_id("embd"), agent=model, input=[message], stored=False, live=False, owner=owner)


def to_wire(call: EmbeddingCall, made: Embeddings) -> bytes:
    """The body. It is put together vector by vector: one `dumps` of them all would hold every other thread up."""
    encode = packed if call.base64 else listed
    data = b",".join(
        b'{"object":"embedding","index":%d,"embedding":%b}' % (index, orjson.dumps(encode(vector)))
        for index, vector in enumerate(made.vectors)
    )
    usage = orjson.dumps({"prompt_tokens": made.input_tokens, "total_tokens": made.input_tokens})
    return b'{"object":"list","data":[%b],"model":%b,"usage":%b}' % (data, orjson.dumps(call.model), usage)


def packed(vector: Vector) -> str:
    """Base64 of float32 in little-endian order, as both SDKs read it."""
    if not isinstance(vector, bytes):
        numbers = array("f", vector)
        if sys.byteorder == "big":
            numbers.byteswap()
        vector = numbers.tobytes()
    return b64encode(vector).decode()


def listed(vector: Vector) -> Sequence[float]:
    return struct.unpack(f"<{len(vector) // 4}f", vector) if isinstance(vector, bytes) else vector
