"""What the dialects share: bodies in, JSON and server-sent events out, and the place where an error becomes a body."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.errors import GatewayError, InvalidRequest, TooLarge
from gateway.events import Event, RunFailed, RunStarted
from gateway.runs import Run

Body = TypeVar("Body", bound=BaseModel)

BODY_LIMIT = 20 * 1024 * 1024
"""The most bytes of a JSON request body."""
BODY_IDLE = 30.0
"""Seconds a client may take to send the next piece of a body."""
FIRST_EVENT = 10.0
"""Seconds a stream waits for its first event, so that an early failure is an HTTP error, before it answers 200."""
PING = 15.0
"""Seconds of silence after which a stream sends a comment, which keeps proxies from closing it."""


async def read_body(request: Request) -> bytes:
    """The whole body. Raises TooLarge and InvalidRequest; never reads past the limit."""
    if request.headers.get("content-encoding", "identity") != "identity":
        raise InvalidRequest("Compressed request bodies are not supported. Send the JSON as it is.")
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > BODY_LIMIT:
        raise TooLarge(f"The request body has {declared} bytes; the limit is {BODY_LIMIT}.")
    pieces: list[bytes] = []
    size = 0
    while True:
        try:
            message = await asyncio.wait_for(request.receive(), BODY_IDLE)
        except TimeoutError:
            raise InvalidRequest("The request body did not arrive in time.") from None
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        piece = message.get("body", b"")
        size += len(piece)
        if size > BODY_LIMIT:
            raise TooLarge(f"The request body is larger than the limit of {BODY_LIMIT} bytes.")
        pieces.append(piece)
        if not message.get("more_body", False):
            return b"".join(pieces)


async def parse(request: Request, schema: type[Body]) -> Body:
    """The body as this schema. Raises InvalidRequest with OpenAI's words for what is wrong and where."""
    body = await read_body(request)
    try:
        return schema.model_validate_json(body)
    except ValidationError as error:
        raise explain(error) from None


def explain(error: ValidationError) -> InvalidRequest:
    """The first problem of a validation as OpenAI would say it, `param` in its notation (`input[0].content`)."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        return InvalidRequest(
            "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP "
            f"library correctly. The parser said: {first['msg']}.)"
        )
    param = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
    if first["type"] == "missing":
        return InvalidRequest(f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter")
    if not param:
        return InvalidRequest(f"The request body must be a JSON object. {first['msg']}.", code="invalid_type")
    code = "invalid_type" if first["type"].endswith("_type") else "invalid_value"
    return InvalidRequest(f"Invalid value for '{param}': {first['msg']}.", param=param, code=code)


def error_body(error: GatewayError) -> dict[str, Any]:
    return {"message": str(error), "type": error.type, "param": error.param, "code": error.code}


def error_response(error: GatewayError) -> Response:
    """The error as OpenAI's body with all four keys; `retry-after` in whole seconds where it is known."""
    headers = {"retry-after": str(max(1, round(error.retry_after)))} if error.retry_after else None
    return Response(orjson.dumps({"error": error_body(error)}), error.status, headers, "application/json")


def json_response(body: Mapping[str, Any], status: int = 200) -> Response:
    return Response(orjson.dumps(body), status, media_type="application/json")


def frame(body: Mapping[str, Any], name: str = "") -> bytes:
    """One server-sent event; `name` is its `event:` line. JSON has no raw newlines, so one data line is enough."""
    if name:
        return b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps(body))
    return b"data: %b\n\n" % orjson.dumps(body)


DONE = b"data: [DONE]\n\n"


@asynccontextmanager
async def told_when_gone(scope: Scope, receive: Receive, gone: Callable[[], None]) -> AsyncGenerator[None]:
    """Call `gone` if the client hangs up inside this block. The body must have been read."""
    if extension := scope.get("extensions", {}).get("homeport.disconnect"):
        disconnect = extension["told"]
        disconnect.callback = gone
        try:
            yield
        finally:
            disconnect.callback = None
        return

    async def watch() -> None:
        # A server without the extension says it in ASGI's own way.
        while (await receive())["type"] != "http.disconnect":
            pass
        gone()

    watcher = asyncio.ensure_future(watch())
    try:
        yield
    finally:
        watcher.cancel()


async def until_ended(run: Run, request: Request) -> None:
    """Wait for the run's ending. If the client hangs up first: a run that is not stored is cancelled, another goes on.

    Raises ClientDisconnect when nobody is there any more to answer.
    """
    gone = False

    def hang_up() -> None:
        nonlocal gone
        gone = True
        if run.turn.stored:
            run.wake()
        else:
            run.stop()

    async with told_when_gone(request.scope, request.receive, hang_up):
        await run.ended(unless=lambda: gone)
    if gone:
        raise ClientDisconnect


class EventStream(Response):
    """A run as server-sent events. `render` gives the bytes of one event's frames, `b""` for nothing.

    When the client hangs up, a run that is not stored is cancelled; a stored one goes on without it.
    """

    def __init__(self, run: Run, render: Callable[[Event], bytes]) -> None:
        self._run = run
        self._render = render
        self._gone = False
        self._wrote = 0.0
        super().__init__(
            media_type="text/event-stream", headers={"cache-control": "no-cache", "x-accel-buffering": "no"}
        )
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        loop = asyncio.get_running_loop()
        pings: set[asyncio.Task[None]] = set()

        def ping() -> None:
            nonlocal timer
            if loop.time() - self._wrote >= PING:
                # Kept in a set: the loop holds tasks only weakly.
                pings.add(asyncio.ensure_future(send({**body_message, "body": b": ping\n\n"})))
            timer = loop.call_later(PING, ping)

        body_message = {"type": "http.response.body", "more_body": True}
        timer = loop.call_later(PING, ping)
        try:
            async with told_when_gone(scope, receive, self._hang_up):
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                async for batch in self._run.follow():
                    if self._gone:
                        return
                    if body := b"".join([self._render(event) for event in batch]):
                        self._wrote = loop.time()
                        await send({**body_message, "body": body})
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            timer.cancel()

    def _hang_up(self) -> None:
        self._gone = True
        if self._run.turn.stored:
            self._run.wake()
        else:
            self._run.stop()


async def begun(run: Run) -> None:
    """Wait until the run has something to show. Raises the run's error if it failed before it had anything."""
    try:
        async with asyncio.timeout(FIRST_EVENT):
            async for batch in run.follow():
                for event in batch:
                    if isinstance(event, RunFailed):
                        raise event.error
                    if not isinstance(event, RunStarted):
                        return
    except TimeoutError:
        return
