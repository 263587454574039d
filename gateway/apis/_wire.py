"""What the dialects share: bodies in, JSON and server-sent events out, and the place where an error becomes a body."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from types import TracebackType
from typing import Any, Protocol, TypeVar, cast

import orjson
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.apis._body import MOST_VALUES, refuse_too_many_values
from gateway.errors import GatewayError, InvalidRequest, TooLarge
from gateway.events import CallsStarted, Event, ItemDone, RunFailed, RunStarted, StepDone
from gateway.http_server import DISCONNECT, Disconnect
from gateway.items import Summary
from gateway.ports import Turn
from gateway.runs import Run

logger = logging.getLogger(__name__)

Body = TypeVar("Body", bound=BaseModel)

BODY_LIMIT = 20 * 1024 * 1024
"""The most bytes of a JSON request body."""
LARGE_BODY = 256 * 1024
"""Bytes from which on a body is read on a thread, so that others are answered meanwhile."""
FIRST_EVENT = 10.0
"""Seconds a stream waits for its first event, so that an early failure is an HTTP error, before it answers 200."""
PING = 15.0
"""Seconds of silence after which a stream sends a comment, which keeps proxies from closing it."""
OTHERS = {"list_type": "an array", "model_type": "an object"}
"""What else may stand where a string may, by the type of error that says it is not that."""
FEW = 100
"""Errors of a body that are looked at. More only come from an object with that many wrong fields."""


def owner_of(request: Request) -> str:
    """The id of the API key that asks."""
    return request.scope["state"]["owner"]


def header_of(request: Request, name: bytes) -> str | None:
    """The first header of this name, which is in lower case. Starlette's mapping of all is made anew for a request."""
    for known, value in request.scope["headers"]:
        if known == name:
            return value.decode("latin-1")
    return None


async def read_body(request: Request) -> bytes | bytearray:
    """The whole body. Raises TooLarge and InvalidRequest; never reads past the limit. The server keeps the time."""
    declared = b""
    for name, value in request.scope["headers"]:
        if name == b"content-length":
            declared = value
        elif name == b"content-encoding" and value != b"identity":
            raise InvalidRequest("Compressed request bodies are not supported. Send the JSON as it is.")
    if declared.isdigit() and int(declared) > BODY_LIMIT:
        raise TooLarge(f"The request body has {declared.decode()} bytes; the limit is {BODY_LIMIT}.")
    receive = request.receive
    pieces = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        piece: bytes = message.get("body", b"")
        more = message.get("more_body", False)
        if not more and not pieces:
            return piece
        pieces += piece
        if len(pieces) > BODY_LIMIT:
            raise TooLarge(f"The request body is larger than the limit of {BODY_LIMIT} bytes.")
        if not more:
            return pieces


async def parse(request: Request, schema: type[Body], most_values: int = MOST_VALUES) -> Body:
    """The body as this schema. Raises InvalidRequest with OpenAI's words for what is wrong and where."""
    return await parsed(await read_body(request), schema, most_values)


async def parsed(body: bytes | bytearray, schema: type[Body], most_values: int = MOST_VALUES) -> Body:
    """See `parse`."""
    if len(body) <= LARGE_BODY:
        return validated(body, schema, most_values)
    return await asyncio.to_thread(validated, body, schema, most_values)


def validated(body: bytes | bytearray, schema: type[Body], most_values: int) -> Body:
    """See `parse`."""
    if len(body) > LARGE_BODY:
        refuse_too_many_values(body, most_values)
    try:
        return schema.model_validate_json(body)
    except ValidationError as error:
        raise explain(error) from None


def explain(error: ValidationError, within: str = "") -> InvalidRequest:
    """The first problem of a validation as OpenAI would say it, `param` in its notation (`input[0].content`).

    `within` is the place of what was validated, if that is a part of the body.
    """
    if error.error_count() > FEW:
        return InvalidRequest(f"The request body has {error.error_count()} wrong fields.", code="invalid_type")
    kind, where, message = first_problem(error.errors(include_url=False, include_context=False, include_input=False))
    if kind == "json_invalid":
        return InvalidRequest(
            "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP "
            f"library correctly. The parser said: {message}.)"
        )
    param = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in where).lstrip(".")
    param = f"{within}.{param}".rstrip(".") if within else param
    if kind == "missing":
        return InvalidRequest(f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter")
    if not param:
        return InvalidRequest(f"The request body must be a JSON object. {message}.", code="invalid_type")
    if kind == "too_short":
        return InvalidRequest(
            f"Invalid '{param}': empty array. Expected an array with minimum length 1, but got an empty array instead.",
            param=param,
            code="empty_array",
        )
    if kind == "too_long":
        return InvalidRequest(f"Invalid '{param}': {message}.", param=param, code="array_above_max_length")
    code = "invalid_type" if kind.endswith("_type") else "invalid_value"
    return InvalidRequest(f"Invalid value for '{param}': {message}.", param=param, code=code)


def first_problem(problems: list[ErrorDetails]) -> tuple[str, tuple[int | str, ...], str]:
    """Its type, place and message. Where a string or another may stand, what is wrong with the other if it was one."""
    first = problems[0]
    *where, last = first["loc"] or ("",)
    choice = str(last).startswith("literal[")
    if (last != "str" and not choice) or (len(problems) == 1 and not choice):
        return first["type"], first["loc"], first["msg"]
    if choice:
        return problem_of_choice(problems, where)
    second = problems[1]
    # Its place has the branch of the union in it: ("input", "list[dict[str,any]]", 0).
    branch = len(where)
    of_list = str((*second["loc"], "")[branch]).startswith("list[")
    inside = second["loc"][branch + 1 :]
    if list(second["loc"][:branch]) != where or not (of_list or inside or second["type"] in OTHERS):
        return first["type"], first["loc"], first["msg"]
    if second["type"] in OTHERS and not inside:
        return second["type"], tuple(where), f"Input should be a string or {OTHERS[second['type']]}"
    return second["type"], (*where, *inside), second["msg"]


def problem_of_choice(problems: list[ErrorDetails], where: list[int | str]) -> tuple[str, tuple[int | str, ...], str]:
    """The problem where one of some words or an object may stand: what is wrong with the object, if it was one."""
    first, *others = problems
    branch = len(where)
    inside = [other for other in others if list(other["loc"][:branch]) == where and len(other["loc"]) > branch + 1]
    if not inside:
        return first["type"], tuple(where), first["msg"]
    return inside[0]["type"], (*where, *inside[0]["loc"][branch + 1 :]), inside[0]["msg"]


def error_body(error: GatewayError) -> dict[str, Any]:
    return {"message": str(error), "type": error.type, "param": error.param, "code": error.code}


def error_response(error: GatewayError) -> Response:
    """The error as OpenAI's body with all four keys; `retry-after` in whole seconds where it is known.

    OpenAI's SDKs repeat a POST after 408, 409, 429 and 5xx on their own, unless `x-should-retry` forbids it.
    """
    headers = {"retry-after": str(max(1, round(error.retry_after)))} if error.retry_after else {}
    if error.acted:
        headers["x-should-retry"] = "false"
    return Response(orjson.dumps({"error": error_body(error)}), error.status, headers, "application/json")


def json_response(body: Mapping[str, Any], status: int = 200) -> Response:
    return JsonResponse(orjson.dumps(body), status)


class JsonResponse(Response):
    """What Starlette's makes of the same bytes, without looking for what it has not been given."""

    def __init__(self, body: bytes, status: int) -> None:  # pyright: ignore[reportMissingSuperCall]
        self.status_code = status
        self.body = body
        self.background = None
        self.raw_headers = [(b"content-length", b"%d" % len(body)), (b"content-type", b"application/json")]


def frame(body: Mapping[str, Any], name: str = "") -> bytes:
    """One server-sent event; `name` is its `event:` line. JSON has no raw newlines, so one data line is enough."""
    if name:
        return b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps(body))
    return b"data: %b\n\n" % orjson.dumps(body)


DONE = b"data: [DONE]\n\n"


def disconnect_of(scope: Scope) -> Disconnect | None:
    """Who tells whether this request's client has hung up; None if the server cannot."""
    extension = scope.get("extensions", {}).get(DISCONNECT)
    return extension["told"] if extension else None


def wanted(request: Request) -> Callable[[], bool]:
    """Whether somebody still waits for the answer, to be asked later."""
    disconnect = disconnect_of(request.scope)
    return (lambda: True) if disconnect is None else disconnect.here


class told_when_gone:
    """`async with told_when_gone(scope, receive, gone)`: call `gone` if the client hangs up inside this block, or has
    done so before. The body must have been read."""

    __slots__ = ("_disconnect", "_gone", "_receive", "_watcher")

    def __init__(self, scope: Scope, receive: Receive, gone: Callable[[], None]) -> None:
        self._disconnect = disconnect_of(scope)
        self._receive = receive
        self._gone = gone
        self._watcher: asyncio.Task[None] | None = None

    async def __aenter__(self) -> None:
        if self._disconnect is None:
            self._watcher = asyncio.create_task(self._watch())
        elif self._disconnect.gone:
            self._gone()
        else:
            self._disconnect.callback = self._gone

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._disconnect is not None:
            self._disconnect.callback = None
        if self._watcher is not None:
            self._watcher.cancel()

    async def _watch(self) -> None:
        # A server without the extension says it in ASGI's own way.
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._gone()


class Followed(Protocol):
    """What a stream shows: a `Run`, or several as one."""

    turn: Turn

    def follow(self, after: int = 0) -> AsyncIterator[Sequence[Any]]: ...
    def wake(self) -> None: ...
    def abandon(self) -> None: ...


class Caller:
    """The client of a run: when it hangs up, a run that is not stored is cancelled; a stored one goes on without it."""

    __slots__ = ("_run", "gone")

    def __init__(self, run: Followed) -> None:
        self._run = run
        self.gone = False

    def leave(self) -> None:
        self.gone = True
        self._run.abandon()

    def left(self) -> bool:
        return self.gone


def followed(run: Followed) -> AsyncGenerator[Sequence[Any]]:
    """`run.follow()` as what it is, so that it can be closed; leaving that to the garbage collector costs a task."""
    return cast("AsyncGenerator[Sequence[Any]]", run.follow())


async def until_ended(run: Run, request: Request) -> None:
    """Wait for the run's ending. Raises ClientDisconnect if the client hangs up first: there is nobody to answer."""
    caller = Caller(run)
    async with told_when_gone(request.scope, request.receive, caller.leave):
        await run.ended(unless=caller.left)
    if caller.gone:
        raise ClientDisconnect
    note_whether_it_acted(run)


def note_whether_it_acted(run: Run) -> None:
    """Of a run that failed, say in its error whether tools had run. See `error_response`."""
    ending = run.events[-1]
    if isinstance(ending, RunFailed):
        ending.error.acted |= any(isinstance(event, CallsStarted) and event.calls for event in run.events)


async def begun(run: Run, request: Request) -> None:
    """Wait until the run has something to show. Raises the run's error if it failed before it had anything, and
    ClientDisconnect if the client hangs up."""
    caller = Caller(run)
    try:
        async with (
            told_when_gone(request.scope, request.receive, caller.leave),
            asyncio.timeout(FIRST_EVENT),
            aclosing(followed(run)) as batches,
        ):
            async for batch in batches:
                if caller.gone:
                    raise ClientDisconnect
                for event in batch:
                    if isinstance(event, RunFailed):
                        raise event.error
                    if is_shown(event):
                        return
    except TimeoutError:
        return


def is_shown(event: Event) -> bool:
    """Whether an answer has begun with it. A summary of what was said before, and what it took, is none yet."""
    summary = isinstance(event, ItemDone) and isinstance(event.item, Summary)
    return not summary and not isinstance(event, RunStarted | StepDone)


class EventStream(Response):
    """A run as server-sent events. `render` gives the bytes of one event's frames, `b""` for nothing.

    When the client hangs up, a run that is not stored is cancelled; a stored one goes on without it. After `quiet`
    seconds of silence it sends a comment.
    """

    def __init__(self, run: Followed, render: Callable[[Any], bytes], quiet: float = PING) -> None:  # pyright: ignore[reportMissingSuperCall]
        self._run = run
        self._render = render
        self._quiet = quiet
        self._wrote = 0.0
        self.status_code = 200
        self.background = None
        self.raw_headers = [
            (b"content-type", b"text/event-stream; charset=utf-8"),
            (b"cache-control", b"no-cache"),
            (b"x-accel-buffering", b"no"),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        loop = asyncio.get_running_loop()
        caller = Caller(self._run)

        def look() -> None:
            nonlocal timer
            if self._wrote + self._quiet <= loop.time():
                self._run.wake()
            timer = loop.call_later(self._quiet, look)

        message = {"type": "http.response.body", "more_body": True}
        timer = loop.call_later(self._quiet, look)
        try:
            async with told_when_gone(scope, receive, caller.leave), aclosing(followed(self._run)) as batches:
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                self._wrote = loop.time()
                async for batch in batches:
                    if caller.gone:
                        return
                    body, broken = self._frames(batch)
                    # Nothing new: somebody wants it looked again, perhaps because it has been quiet for long.
                    if not batch and self._wrote + self._quiet <= loop.time():
                        body = b": ping\n\n"
                    if body:
                        await send({**message, "body": body})
                        self._wrote = loop.time()
                    if broken:
                        break
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            timer.cancel()

    def _frames(self, batch: Sequence[Any]) -> tuple[bytes, bool]:
        """What to send for these events, and whether it is the last because one of them could not be shown."""
        frames: list[bytes] = []
        try:
            # One after the other, so that those before a broken one are kept.
            frames.extend(map(self._render, batch))
        except Exception:
            logger.exception("An event of run %s cannot be shown", self._run.turn.id)
            self._run.abandon()
            return b"".join([*frames, self._render(RunFailed(error=GatewayError()))]), True
        return b"".join(frames), False
