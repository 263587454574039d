"""What becomes of a run whose client hangs up, and of a stream that cannot go on as it should."""

import asyncio
import json
from collections.abc import Iterator

import httpx
import pytest
from starlette.routing import Router

from gateway.agents.spec import AgentSpec
from gateway.apis._wire import EventStream
from gateway.events import RunCompleted
from gateway.http_server import server
from gateway.ports import Turn
from gateway.runs import Run
from tests.conftest import RunningGateway, say

pytestmark = pytest.mark.anyio

CHAT = {"model": "helper", "messages": [{"role": "user", "content": "hi"}]}
RESPONSES = {"model": "helper", "input": "hi"}


class Steps:
    """A step of the model that tells when it is asked and when it is given up."""

    def __init__(self, *items) -> None:
        self.items = items
        self.asked = asyncio.Event()
        self.over = asyncio.Event()

    def __iter__(self) -> Iterator:
        try:
            self.asked.set()
            yield from self.items
        finally:
            self.over.set()


def bare(gateway: RunningGateway, path: str, body: object) -> bytes:
    """A request as bytes."""
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {gateway.key}\r\n"
    return f"{head}content-length: {len(content)}\r\n\r\n".encode() + content


async def connect(gateway: RunningGateway) -> asyncio.StreamWriter:
    _, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(gateway.url).port)
    return writer


@pytest.mark.parametrize(
    ("path", "body"), [("/v1/chat/completions", CHAT), ("/v1/responses", {**RESPONSES, "store": False})]
)
@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_hangs_up_before_the_first_token_ends_the_run(start_gateway, path, body, stream):
    silent = Steps(asyncio.Event())
    async with start_gateway(silent) as gateway:
        writer = await connect(gateway)
        writer.write(bare(gateway, path, {**body, "stream": stream}))
        await silent.asked.wait()
        writer.close()
        async with asyncio.timeout(5):
            await silent.over.wait()


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_hangs_up_ends_all_choices(start_gateway, stream):
    steps = Steps(asyncio.Event()), Steps(asyncio.Event())
    async with start_gateway(*steps) as gateway:
        writer = await connect(gateway)
        writer.write(bare(gateway, "/v1/chat/completions", {**CHAT, "n": 2, "stream": stream}))
        for step in steps:
            await step.asked.wait()
        writer.close()
        async with asyncio.timeout(5):
            for step in steps:
                await step.over.wait()


async def test_a_completion_that_is_stored_goes_on_without_its_client(start_gateway):
    release = asyncio.Event()
    silent = Steps(release, say("one"))
    async with start_gateway(silent) as gateway:
        writer = await connect(gateway)
        writer.write(bare(gateway, "/v1/chat/completions", {**CHAT, "store": True}))
        await silent.asked.wait()
        writer.close()
        release.set()
        async with asyncio.timeout(5):
            while not (listed := (await gateway.openai.chat.completions.list()).data):
                pass
    assert listed[0].choices[0].message.content == "one"


async def test_a_stored_stream_goes_on_when_its_client_hangs_up_before_the_first_token(start_gateway):
    release = asyncio.Event()
    silent = Steps(release, say("one"))
    async with start_gateway(silent) as gateway:
        conversation = await gateway.openai.conversations.create()
        writer = await connect(gateway)
        writer.write(bare(gateway, "/v1/responses", {**RESPONSES, "stream": True, "conversation": conversation.id}))
        await silent.asked.wait()
        writer.close()
        await gateway.http.get("/healthz")
        release.set()
        # A turn of the same conversation comes after it.
        await gateway.http.post("/v1/responses", json={**RESPONSES, "conversation": conversation.id})
        items = (await gateway.openai.conversations.items.list(conversation.id, order="asc")).data
    assert [item.content[0].text for item in items[:2]] == ["hi", "one"]


@pytest.mark.parametrize("stream", [True, False])
async def test_a_turn_that_nobody_waits_for_any_more_does_not_begin(start_gateway, stream):
    release = asyncio.Event()
    first = Steps(release, say("one", "a"))
    async with start_gateway(first, [say("two", "b")], [say("three", "c")]) as gateway:
        conversation = (await gateway.openai.conversations.create()).id
        asking = asyncio.create_task(gateway.openai.responses.create(**RESPONSES, conversation=conversation))
        await first.asked.wait()
        writer = await connect(gateway)
        again = {**RESPONSES, "input": "pay the bill", "conversation": conversation, "stream": stream}
        writer.write(bare(gateway, "/v1/responses", again))
        # When another connection has been answered, this one was read and, the second time, its end was too.
        await gateway.http.get("/healthz")
        writer.close()
        await gateway.http.get("/healthz")
        release.set()
        await asking
        await gateway.openai.responses.create(**{**RESPONSES, "input": "bye"}, conversation=conversation)
        items = (await gateway.openai.conversations.items.list(conversation, order="asc")).data
    assert [item.content[0].text for item in items] == ["hi", "one", "bye", "two"]


@pytest.mark.parametrize(
    ("path", "body"), [("/v1/chat/completions", CHAT), ("/v1/responses", {**RESPONSES, "store": False})]
)
async def test_an_event_that_cannot_be_shown_ends_the_stream_with_the_dialects_error(start_gateway, path, body, caplog):
    # Half of a surrogate pair is a str that no encoding has.
    broken = Steps(say("good \ud800"), asyncio.Event())
    async with start_gateway(broken) as gateway:
        async with gateway.http.stream("POST", path, json={**body, "stream": True}) as answer:
            lines = [line async for line in answer.aiter_lines() if line.startswith("data: {")]
        async with asyncio.timeout(5):
            await broken.over.wait()
    last = json.loads(lines[-1].removeprefix("data: "))
    assert "good" in "".join(lines)
    assert "internal_error" in lines[-1] or last["type"] == "response.failed"
    assert "cannot be shown" in caplog.text


async def test_a_quiet_stream_sends_comments_and_ends_properly():
    run = Run(Turn(id="resp_1", agent=AgentSpec(name="helper", model="scripted/one"), input=[]))
    stream = EventStream(run, lambda event: b"data: over\n\n", quiet=0.02)
    app = Router(default=stream)
    uvicorn = server(app, host="127.0.0.1", port=0, log_level="warning")
    serving = asyncio.create_task(uvicorn.serve())
    await uvicorn.ready.wait()
    said = []
    async with httpx.AsyncClient() as client, client.stream("GET", f"http://127.0.0.1:{uvicorn.port}/") as answer:
        async for piece in answer.aiter_bytes():
            said.append(piece)
            if len(said) == 3:
                run.publish(RunCompleted(reason="stop"))
    uvicorn.should_exit = True
    await serving
    assert b"".join(said) == b": ping\n\n" * 3 + b"data: over\n\n"
