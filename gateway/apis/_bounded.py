"""Applications that read their bodies themselves, behind the limits that every other body has."""

import asyncio

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.apis._body import refuse_too_many_values
from gateway.apis._wire import LARGE_BODY, read_body


def bounded(app: ASGIApp) -> ASGIApp:
    """The application; what is posted to it is read whole first. It raises TooLarge and InvalidRequest."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await app(scope, receive, send)
            return
        body = await read_body(Request(scope, receive))
        if len(body) > LARGE_BODY:
            await asyncio.to_thread(refuse_too_many_values, body)
        pending: list[Message] = [{"type": "http.request", "body": bytes(body), "more_body": False}]

        async def again() -> Message:
            return pending.pop() if pending else await receive()

        await app(scope, again, send)

    return serve
