"""A model provider for tests: OpenAI's chat wire on a real socket; plays one step a request, notes what it saw."""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route, Router

from gateway.http_server import server

Step = dict[str, Any]
"""`text`, or `call` (name, arguments), or `status` with `error`; `hold` is an event to wait for before the end;
`cut` ends the stream without a finish reason; `logprobs` are tokens, one for each word of the text; `usage` is USAGE
unless said."""


USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}


class Upstream:
    """`requests` are the bodies, `bodies` their bytes; `gone` is set when a client hung up before the end."""

    def __init__(self, *steps: Step) -> None:
        self.steps = list(steps)
        self.requests: list[dict[str, Any]] = []
        self.bodies: list[bytes] = []
        self.asked = asyncio.Event()
        self.gone = asyncio.Event()
        self.url = ""

    async def answer(self, request: Request) -> Response:
        self.bodies.append(await request.body())
        self.requests.append(await request.json())
        self.asked.set()
        step = self.steps.pop(0)
        if "status" in step:
            return Response(json.dumps(step["error"]), step["status"], step.get("headers"), "application/json")
        if self.requests[-1].get("stream"):
            return StreamingResponse(self.stream(step), media_type="text/event-stream")
        return StreamingResponse(self.whole(step), media_type="application/json")

    async def whole(self, step: Step) -> AsyncIterator[str]:
        finished = False
        try:
            if hold := step.get("hold"):
                await hold.wait()
            finished = True
        finally:
            if not finished:
                self.gone.set()
        if step.get("cut"):
            yield '{"id": "c", "choi'
            return
        message: dict[str, Any] = {"role": "assistant", "content": step.get("text")}
        if "call" in step:
            (message["tool_calls"],) = (delta["tool_calls"] for delta in deltas(step))
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if "call" in step else "stop"}
        if "logprobs" in step:
            choice["logprobs"] = {"content": step["logprobs"]}
        yield json.dumps(
            {"id": "c", "object": "chat.completion", "choices": [choice], "usage": step.get("usage", USAGE)}
        )

    async def stream(self, step: Step) -> AsyncIterator[str]:
        finished = False
        try:
            tokens = iter(step.get("logprobs", ()))
            for delta in deltas(step):
                scored = {"logprobs": {"content": [next(tokens)]}} if "logprobs" in step and delta["content"] else {}
                yield frame({"delta": delta, "finish_reason": None, **scored})
            if hold := step.get("hold"):
                await hold.wait()
            if not step.get("cut"):
                yield frame({"delta": {}, "finish_reason": "tool_calls" if "call" in step else "stop"})
                last = {"id": "c", "choices": [], "usage": step.get("usage", USAGE)}
                yield f"data: {json.dumps(last)}\n\ndata: [DONE]\n\n"
            finished = True
        finally:
            if not finished:
                self.gone.set()


def deltas(step: Step) -> Sequence[dict[str, Any]]:
    if "call" in step:
        name, arguments = step["call"]
        call = {"index": 0, "id": step.get("id", "call_1"), "type": "function"}
        return [{"role": "assistant", "tool_calls": [{**call, "function": {"name": name, "arguments": arguments}}]}]
    return [{"role": "assistant", "content": ""}, *({"content": piece} for piece in re.findall(r"\S+ ?", step["text"]))]


def frame(choice: dict[str, Any]) -> str:
    body = {
        "id": "c",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, **choice}],
    }
    return f"data: {json.dumps(body)}\n\n"


@contextlib.asynccontextmanager
async def upstream(*steps: Step) -> AsyncIterator[Upstream]:
    """`async with upstream({"text": "hi"}) as provider`: a provider at `provider.url`."""
    made = Upstream(*steps)
    app = Router([Route("/v1/chat/completions", made.answer, methods=["POST"])])
    uvicorn = server(app, host="127.0.0.1", port=0, log_level="warning")
    serving = asyncio.create_task(uvicorn.serve())
    await uvicorn.ready.wait()
    made.url = f"http://127.0.0.1:{uvicorn.port}/v1"
    try:
        yield made
    finally:
        uvicorn.should_exit = uvicorn.force_exit = True
        await serving
