"""WebSocket `/v1/responses`: what a stream says in frames, as messages; many responses on one connection.

The client sends `{"type": "response.create", …}` with the body of a request. Requests that name a `stream_id` go on
side by side with those of other ids, one after the other within one; each answer carries its id. `"generate": false`
warms up: the input is kept, and a response without output answers, which the next request can continue. What is not
stored is remembered by the connection for `previous_response_id`, until a continuation of it fails. `response.steer`
adds to a response that is under way, see `steering.py`.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Protocol, cast

import orjson
from pydantic import ValidationError
from starlette.types import Message
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from gateway.apis._body import refuse_too_many_values
from gateway.apis._wire import LARGE_BODY, error_body, explain
from gateway.apis.responses.schema import ResponsesRequest
from gateway.apis.responses.steering import Steering, successor
from gateway.apis.responses.stream import ResponseStream
from gateway.errors import GatewayError, InvalidRequest
from gateway.events import ItemDone, RunCompleted, RunPaused, RunStarted
from gateway.item_sizes import size_of
from gateway.items import Item
from gateway.ports import Turn
from gateway.runs import Run
from gateway.steers import SteersTaken

logger = logging.getLogger(__name__)

LIFETIME = 3600.0
"""Seconds; OpenAI's own limit of a connection."""
MOST_STREAMS = 32
"""Streams of one connection that go on side by side."""
LONGEST_STREAM_ID = 64
"""Characters: every message of the answer repeats it."""
MOST_WAITING = 64
"""Requests that wait for the one before them in their stream."""
MOST_BYTES = 32 * 2**20
"""Bytes of the messages of one connection that wait or are being answered. One message alone may have 20 MiB."""
MOST_REMEMBERED = 64
"""Responses that are not stored and can be continued, of one connection."""
MOST_CHARACTERS = 32 * 2**20
"""Of these, in all. A single one may have more."""
FIELDS = frozenset({"type", "stream_id", "generate", *ResponsesRequest.model_fields})
"""What is looked at in a message; nothing else of it is kept."""

Json = dict[str, Any]


class Starter(Protocol):
    """What the HTTP routes do with a body."""

    async def turn_of(self, body: ResponsesRequest, owner: str) -> Turn: ...

    async def start(self, turn: Turn, *, wait: bool = True, successor: bool = False) -> Run: ...


class ResponsesSocket:
    """One connection."""

    def __init__(self, websocket: WebSocket, starter: Starter, steering: Steering) -> None:
        self._websocket = websocket
        self._starter = starter
        self._owner: str = websocket.scope["state"]["owner"]
        self._wait = websocket.headers.get("x-homeport-when-busy", "wait") != "reject"
        self._bytes = 0
        self._streams: dict[str, asyncio.Queue[tuple[Json, int]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._runs: set[Run] = set()
        self._steering = steering
        self._remembered: OrderedDict[str, tuple[str | None, Sequence[Item]]] = OrderedDict()
        self._characters: dict[str, int] = {}

    async def serve(self) -> None:
        """Returns when the client has gone, or its time is up."""
        await self._websocket.accept()
        try:
            async with asyncio.timeout(LIFETIME):
                while True:
                    await self._receive(await self._websocket.receive())
        except WebSocketDisconnect:
            pass
        except TimeoutError:
            limit = InvalidRequest(
                f"A connection lives for {LIFETIME:g} seconds. Open another.",
                code="websocket_connection_limit_reached",
            )
            with suppress(WebSocketDisconnect):
                await self._refuse(limit, {})
                await self._websocket.close(1000)
        finally:
            for task in self._tasks:
                task.cancel()
            for run in self._runs:
                run.abandon()

    async def _receive(self, message: Message) -> None:
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message["code"])
        frame: Json = {}
        try:
            text = message.get("text")
            if text is None:
                raise InvalidRequest("Messages are text, and this one is binary.", code="invalid_json")
            content = text.encode()
            frame = await parsed(content)
            match frame.get("type"):
                case "response.create":
                    self._queue(frame, len(content))
                case "response.steer":
                    await self._send(await self._steering.submit(frame))
                case kind:
                    raise InvalidRequest(
                        f"Unknown event type: {kind!r}. There are response.create and response.steer.",
                        param="type",
                        code="unknown_event_type",
                    )
        except GatewayError as error:
            await self._refuse(error, label(frame))

    def _queue(self, frame: Json, size: int) -> None:
        """Hand the request to its stream, which is made with its first."""
        for name, kind in (("stream_id", str), ("generate", bool)):
            if not isinstance(frame.get(name), kind | None):
                raise InvalidRequest(f"Invalid type for '{name}'.", param=name, code="invalid_type")
        id = frame.get("stream_id") or ""
        if len(id) > LONGEST_STREAM_ID:
            raise InvalidRequest(
                f"Invalid 'stream_id': string too long. Expected at most {LONGEST_STREAM_ID} characters.",
                param="stream_id",
                code="string_above_max_length",
            )
        if self._bytes and self._bytes + size > MOST_BYTES:
            raise InvalidRequest(f"More than {MOST_BYTES} bytes of requests are waiting.", code="too_many_requests")
        if id not in self._streams:
            if len(self._streams) >= MOST_STREAMS:
                raise InvalidRequest(f"A connection has at most {MOST_STREAMS} streams.", param="stream_id")
            self._streams[id] = asyncio.Queue(MOST_WAITING)
            self._tasks.add(asyncio.create_task(self._answer(self._streams[id])))
        try:
            self._streams[id].put_nowait((frame, size))
        except asyncio.QueueFull:
            raise InvalidRequest(f"{MOST_WAITING} requests are waiting in this stream.", param="stream_id") from None
        self._bytes += size

    async def _answer(self, requests: asyncio.Queue[tuple[Json, int]]) -> None:
        """One stream: its requests one after the other, for as long as somebody is there to be answered."""
        with suppress(WebSocketDisconnect):
            while True:
                frame, size = await requests.get()
                await self._answer_one(frame)
                self._bytes -= size

    async def _answer_one(self, frame: Json) -> None:
        try:
            await self._create(frame)
        except GatewayError as error:
            self._forget(str(frame.get("previous_response_id")))
            await self._refuse(error, label(frame))
        except WebSocketDisconnect:
            raise
        except Exception:
            logger.exception("A request over a WebSocket failed")
            await self._refuse(GatewayError(), label(frame))

    async def _create(self, frame: Json) -> None:
        turn = await self._turn_of(frame)
        run: Run | None = None
        if frame.get("generate") is False:
            await self._warm_up(turn, frame)
        else:
            run = await self._starter.start(turn, wait=self._wait)
        while run is not None:
            run = await self._live_through(run, frame)

    async def _turn_of(self, frame: Json) -> Turn:
        return self._continued(await self._starter.turn_of(body_of(frame), self._owner))

    async def _live_through(self, run: Run, frame: Json) -> Run | None:
        """Tell everything of the response. Returns its successor, if it was steered: it has the settings of `frame`."""
        labelled = label(frame)
        self._runs.add(run)
        self._steering.begin(run, labelled)
        try:
            await self._follow(run, labelled)
        finally:
            self._runs.discard(run)
        if not run.turn.stored:
            self._keep(run)
        events, queued = await self._steering.end(run)
        for event in events:
            await self._send(event)
        if not queued:
            return None
        try:
            following = await self._turn_of(successor(frame, run.turn.id))
            said = () if run.turn.stored else [item for each in queued for item in each.items]
            return await self._starter.start(replace(following, input=[*following.input, *said]), successor=not said)
        except SteersTaken:
            # A request that continues the response came first.
            return None
        except GatewayError as error:
            told = InvalidRequest(str(error), code="successor_creation_failed")
            for event in await self._steering.given_back(run.turn, queued, told, labelled):
                await self._send(event)
            return None

    def _continued(self, turn: Turn) -> Turn:
        """A turn that goes on from a response which only this connection knows has that one's items before its own, and
        then what was said to it."""
        known = self._remembered.get(turn.parent or "")
        if known is None:
            return turn
        parent, before = known
        return turn.after(parent, [*before, *self._steering.taken(turn.parent or "")])

    async def _warm_up(self, turn: Turn, frame: Json) -> None:
        stream = ResponseStream(turn)
        self._remember(turn, turn.input)
        for event in (RunStarted(turn.id), RunCompleted(reason="stop")):
            await self._send_frames(stream.render(event), label(frame))

    async def _follow(self, run: Run, labelled: Json) -> None:
        stream = ResponseStream(run.turn)
        async for batch in run.follow():
            await self._send_frames(b"".join([stream.render(event) for event in batch]), labelled)

    def _keep(self, run: Run) -> None:
        """A response that came to a proper end can be continued; after one that did not, nothing can."""
        if isinstance(run.events[-1], RunCompleted | RunPaused):
            said = [event.item for event in run.events if isinstance(event, ItemDone)]
            self._remember(run.turn, [*run.turn.input, *said])
        else:
            self._forget(str(run.turn.wire.get("previous_response_id")))

    def _remember(self, turn: Turn, items: Sequence[Item]) -> None:
        self._remembered[turn.id] = turn.parent, items
        self._characters[turn.id] = sum(map(size_of, items))
        while len(self._remembered) > MOST_REMEMBERED or (
            len(self._remembered) > 1 and sum(self._characters.values()) > MOST_CHARACTERS
        ):
            self._forget(next(iter(self._remembered)))

    def _forget(self, id: str) -> None:
        self._remembered.pop(id, None)
        self._characters.pop(id, None)

    async def _send_frames(self, frames: bytes, labelled: Json) -> None:
        for frame in frames.split(b"\n\n"):
            data = frame.partition(b"data: ")[2]
            if data and data != b"[DONE]":
                # The object goes on with the label: nothing of it is decoded.
                more = b"," + orjson.dumps(labelled)[1:] if labelled else b"}"
                await self._say(data[:-1] + more)

    async def _refuse(self, error: GatewayError, labelled: Json) -> None:
        await self._send({"type": "error", "status": error.status, "error": error_body(error), **labelled})

    async def _send(self, message: Json) -> None:
        await self._say(orjson.dumps(message))

    async def _say(self, message: bytes) -> None:
        """Raises WebSocketDisconnect when nobody is there any more, whichever side hung up."""
        if self._websocket.application_state is WebSocketState.DISCONNECTED:
            raise WebSocketDisconnect(1006)
        await self._websocket.send_text(message.decode())


async def parsed(content: bytes) -> Json:
    """What of a message is looked at. Raises InvalidRequest."""
    return await asyncio.to_thread(read, content) if len(content) > LARGE_BODY else read(content)


def read(content: bytes) -> Json:
    """See `parsed`."""
    if len(content) > LARGE_BODY:
        refuse_too_many_values(content)
    try:
        frame: object = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"The message is not valid JSON: {error}.", code="invalid_json") from None
    if not isinstance(frame, dict):
        raise InvalidRequest("The message must be a JSON object.", code="invalid_json")
    return {name: value for name, value in cast("Json", frame).items() if name in FIELDS}


def label(frame: Json) -> Json:
    """What every answer to this message carries."""
    id = frame.get("stream_id")
    return {"stream_id": id} if isinstance(id, str) and len(id) <= LONGEST_STREAM_ID else {}


def body_of(frame: Json) -> ResponsesRequest:
    """The request of a message; it is always streamed. Raises InvalidRequest."""
    if frame.get("background"):
        raise InvalidRequest("A response over a WebSocket cannot be in the background.", param="background")
    try:
        return ResponsesRequest.model_validate({**frame, "stream": True})
    except ValidationError as error:
        raise explain(error) from None
