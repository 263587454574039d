"""WebSocket /v1/responses: many responses on one connection, and what only the connection remembers."""

import asyncio
import json

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.conftest import call, say

pytestmark = pytest.mark.anyio

FUNCTION = {"type": "function", "name": "ask_user", "parameters": {"type": "object", "properties": {}}}


def open_socket(gateway, key=None):
    headers = {"authorization": f"Bearer {key or gateway.key}"}
    return connect(gateway.url.replace("http", "ws") + "/v1/responses", additional_headers=headers)


async def create(socket, **fields):
    """Ask, and return what is said up to the end of that response."""
    await socket.send(json.dumps({"type": "response.create", "model": "helper", **fields}))
    return await answer(socket, fields.get("stream_id"))


async def answer(socket, stream_id=None):
    events = []
    while not events or events[-1]["type"] not in ENDINGS:
        event = json.loads(await socket.recv())
        assert event.get("stream_id") == stream_id
        events.append(event)
    return events


ENDINGS = {"response.completed", "response.failed", "response.incomplete", "error"}


async def test_a_response_is_the_stream_as_messages(start_gateway):
    async with start_gateway([say("hello there")]) as gateway, open_socket(gateway) as socket:
        events = await create(socket, input="hi")
        stored = await gateway.openai.responses.retrieve(events[0]["response"]["id"])
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta") == "hello there"
    assert (events[-1]["type"], stored.output_text) == ("response.completed", "hello there")


async def test_responses_follow_one_another_and_continue_what_is_not_stored(start_gateway):
    steps = [[call("ask_user")], [say("You said 42.", "b")], [say("Bye.", "c")]]
    async with start_gateway(*steps) as gateway, open_socket(gateway) as socket:
        first = await create(socket, input="go", tools=[FUNCTION], store=False)
        output = {"type": "function_call_output", "call_id": "call_1", "output": "42"}
        before = first[-1]["response"]["id"]
        second = await create(socket, input=[output], tools=[FUNCTION], store=False, previous_response_id=before)
        third = await create(socket, input="bye", previous_response_id=second[-1]["response"]["id"])
        seen = [item.kind for item in gateway.provider.calls[2].items]
        gone = await gateway.http.get(f"/v1/responses/{before}")
    assert second[-1]["response"]["previous_response_id"] == before
    assert seen == ["message", "message", "tool_call", "tool_result", "message", "message"]
    assert (third[-1]["type"], gone.status_code) == ("response.completed", 404)


async def test_a_warm_up_asks_no_model_and_can_be_continued(start_gateway):
    async with start_gateway([say("hi")]) as gateway, open_socket(gateway) as socket:
        warm = await create(socket, input="You like tea.", generate=False)
        assert gateway.provider.calls == []
        response = warm[-1]["response"]
        await create(socket, input="What do I like?", previous_response_id=response["id"])
        seen = [item.text for item in gateway.provider.calls[0].items]
    assert (response["status"], response["output"]) == ("completed", [])
    assert seen == ["You help.", "You like tea.", "What do I like?"]


@pytest.mark.parametrize("unstored", [{"generate": False}, {"store": False}])
async def test_what_goes_on_from_a_stored_response_and_is_not_stored_can_be_continued(start_gateway, unstored):
    steps = [[say("Hello.")], [say("Yes.", "b")], [say("Tea.", "c")]]
    async with start_gateway(*steps) as gateway, open_socket(gateway) as socket:
        id = (await create(socket, input="a"))[-1]["response"]["id"]
        for number, more in enumerate((unstored, {})):
            events = await create(socket, input=f"{number}", previous_response_id=id, **more)
            told, id = id, events[-1]["response"]["id"]
        texts = [getattr(item, "text", "") for item in gateway.provider.calls[-1].items]
    assert [text for text in texts if text != "Yes."] == ["You help.", "a", "Hello.", "0", "1"]
    assert events[-1]["response"]["previous_response_id"] == told


async def test_a_continuation_that_fails_forgets_what_it_continued(start_gateway):
    steps = [[say("one")], RuntimeError("boom"), [say("never")]]
    async with start_gateway(*steps) as gateway, open_socket(gateway) as socket:
        first = await create(socket, input="a", store=False)
        id = first[-1]["response"]["id"]
        second = await create(socket, input="b", store=False, previous_response_id=id)
        third = await create(socket, input="c", store=False, previous_response_id=id)
    assert second[-1]["type"] == "response.failed"
    assert (third[-1]["type"], third[-1]["status"]) == ("error", 400)
    assert third[-1]["error"]["code"] == "previous_response_not_found"


async def test_streams_of_one_connection_go_on_side_by_side(start_gateway):
    asked, hold = asyncio.Event(), asyncio.Event()

    def slowly(_):
        asked.set()
        return [hold, say("slow")]

    async with start_gateway(slowly, [say("fast")]) as gateway, open_socket(gateway) as socket:
        ask = {"type": "response.create", "model": "helper", "input": "hi"}
        await socket.send(json.dumps({**ask, "stream_id": "one"}))
        await asked.wait()
        await socket.send(json.dumps({**ask, "stream_id": "two"}))
        events = []
        while not events or events[-1]["type"] != "response.completed":
            events.append(json.loads(await socket.recv()))
        hold.set()
        while events[-1].get("stream_id") != "one" or events[-1]["type"] != "response.completed":
            events.append(json.loads(await socket.recv()))
    done = [event["stream_id"] for event in events if event["type"] == "response.completed"]
    assert done == ["two", "one"]


@pytest.mark.parametrize(
    ("message", "code", "param"),
    [
        ("{", "invalid_json", None),
        ("[]", "invalid_json", None),
        ('{"type": "session.update"}', "unknown_event_type", "type"),
        ('{"type": "response.create", "model": "nobody", "input": "hi"}', "model_not_found", "model"),
        ('{"type": "response.create", "model": "helper"}', "missing_required_parameter", "input"),
        ('{"type": "response.create", "model": "helper", "input": [1]}', "invalid_type", "input[0]"),
        ('{"type": "response.create", "model": "helper", "input": "hi", "background": true}', "invalid_request", None),
        (
            '{"type": "response.create", "model": "helper", "input": "hi", "previous_response_id": "resp_x"}',
            "previous_response_not_found",
            "previous_response_id",
        ),
    ],
)
async def test_what_is_wrong_is_said_and_the_connection_stays(start_gateway, message, code, param):
    async with start_gateway([say("still here")]) as gateway, open_socket(gateway) as socket:
        await socket.send(message)
        (error,) = await answer(socket)
        after = await create(socket, input="hi")
    assert (error["type"], error["error"]["code"]) == ("error", code)
    assert param is None or error["error"]["param"] == param
    assert error["status"] in (400, 404)
    assert after[-1]["type"] == "response.completed"


async def test_without_a_key_there_is_no_connection(start_gateway):
    async with start_gateway() as gateway:
        with pytest.raises(InvalidStatus) as refused:
            async with open_socket(gateway, "hp_wrong"):
                pass
        body = json.loads(refused.value.response.body)
    assert (refused.value.response.status_code, body["error"]["code"]) == (401, "invalid_api_key")
    assert refused.value.response.headers["x-request-id"].startswith("req_")


async def test_a_client_that_goes_stops_what_is_not_stored_and_leaves_what_is(start_gateway):
    hold, started = asyncio.Event(), asyncio.Event()
    stopped = asyncio.Event()

    def endless(_):
        started.set()
        return [Watched(stopped), say("never")]

    async with start_gateway(endless) as gateway:
        async with open_socket(gateway) as socket:
            await socket.send(json.dumps({"type": "response.create", "model": "helper", "input": "a", "store": False}))
            await started.wait()
        await stopped.wait()
        hold.set()


class Watched(asyncio.Event):
    """Says when nobody waits for it any more."""

    def __init__(self, stopped):
        super().__init__()
        self.stopped = stopped

    async def wait(self):
        try:
            return await super().wait()
        finally:
            self.stopped.set()


async def test_the_official_client_talks_over_it(start_gateway):
    async with start_gateway([say("hello")]) as gateway, gateway.openai.responses.connect() as connection:
        await connection.response.create(model="helper", input="hi")
        async for event in connection:
            if event.type == "response.completed":
                break
    assert event.response.output_text == "hello"
