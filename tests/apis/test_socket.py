"""WebSocket /v1/responses: many responses on one connection, and what only the connection remembers."""

import asyncio
import json
import logging

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedOK, InvalidStatus

from gateway.apis.responses import socket as socket_module
from tests.conftest import call, say

pytestmark = pytest.mark.anyio

FUNCTION = {"type": "function", "name": "ask_user", "parameters": {"type": "object", "properties": {}}}


def open_socket(gateway, key=None, busy="wait"):
    headers = {"authorization": f"Bearer {key or gateway.key}", "x-homeport-when-busy": busy}
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
        (b"{}", "invalid_json", None),
        (f'{{"x": [{"{}," * 200_000}0]}}', "object_above_max_properties", None),
        ('{"type": "response.create", "model": "helper", "input": "hi", "stream_id": 5}', "invalid_type", "stream_id"),
        (
            f'{{"type": "response.create", "model": "helper", "input": "hi", "stream_id": "{"x" * 65}"}}',
            "string_above_max_length",
            "stream_id",
        ),
        ('{"type": "response.create", "model": "helper", "input": "", "generate": "no"}', "invalid_type", "generate"),
        ('{"type": "session.update"}', "unknown_event_type", "type"),
        ('{"type": "response.create", "model": "nobody", "input": "hi"}', "model_not_found", "model"),
        ('{"type": "response.create", "model": "helper"}', "missing_required_parameter", "input"),
        ('{"type": "response.create", "model": "helper", "input": [1]}', "invalid_type", "input[0]"),
        (
            '{"type": "response.create", "model": "helper", "input": "hi", "background": true}',
            "invalid_request",
            "background",
        ),
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


async def test_without_a_key_there_is_no_connection(start_gateway, caplog):
    async with start_gateway() as gateway:
        caplog.set_level(logging.ERROR, "uvicorn.error")
        logging.getLogger("uvicorn.error").addHandler(caplog.handler)
        with pytest.raises(InvalidStatus) as refused:
            async with open_socket(gateway, "hp_wrong"):
                pass
        body = json.loads(refused.value.response.body)
    assert (refused.value.response.status_code, body["error"]["code"]) == (401, "invalid_api_key")
    assert refused.value.response.headers["x-request-id"].startswith("req_")
    assert not caplog.records


async def test_a_websocket_that_is_not_served_is_not_found(start_gateway):
    async with start_gateway() as gateway:
        url = gateway.url.replace("http", "ws") + "/v1/realtime"
        with pytest.raises(InvalidStatus) as refused:
            async with connect(url, additional_headers={"authorization": f"Bearer {gateway.key}"}):
                pass
        over_http = await gateway.http.get("/v1/realtime")
    assert refused.value.response.status_code == over_http.status_code == 404
    assert json.loads(refused.value.response.body) == over_http.json()


async def test_a_connection_has_an_end(start_gateway, monkeypatch):
    monkeypatch.setattr(socket_module, "LIFETIME", 0.0)
    async with start_gateway() as gateway, open_socket(gateway) as socket:
        (error,) = await answer(socket)
        with pytest.raises(ConnectionClosedOK):
            await socket.recv()
    assert (error["status"], error["error"]["code"]) == (400, "websocket_connection_limit_reached")


async def test_a_busy_conversation_is_refused_if_the_connection_asked_for_that(start_gateway):
    hold = asyncio.Event()
    async with start_gateway([hold, say("one")]) as gateway:
        conversation = (await gateway.openai.conversations.create()).id
        async with open_socket(gateway) as first, open_socket(gateway, busy="reject") as second:
            asked = {"type": "response.create", "model": "helper", "input": "hi", "conversation": conversation}
            await first.send(json.dumps(asked))
            await first.recv()
            (error,) = await create(second, input="me too", conversation=conversation)
            hold.set()
            assert (await answer(first))[-1]["type"] == "response.completed"
    assert (error["status"], error["error"]["code"]) == (400, "conversation_locked")


async def test_requests_wait_up_to_so_many_bytes(start_gateway, monkeypatch):
    monkeypatch.setattr(socket_module, "MOST_BYTES", 1000)
    hold = asyncio.Event()
    async with start_gateway([hold, say("one")], [say("two", "b")]) as gateway, open_socket(gateway) as socket:
        large = {"type": "response.create", "model": "helper", "input": "x" * 2000, "stream_id": "a"}
        await socket.send(json.dumps(large))
        refused = await create(socket, input="hi", stream_id="b")
        hold.set()
        answered = [await answer(socket, "a"), await create(socket, input="hi", stream_id="b")]
    assert [event["error"]["code"] for event in refused] == ["too_many_requests"]
    assert [events[-1]["type"] for events in answered] == ["response.completed"] * 2


async def test_what_is_not_stored_is_remembered_up_to_a_size(start_gateway, monkeypatch):
    monkeypatch.setattr(socket_module, "MOST_CHARACTERS", 1000)
    async with start_gateway([say("on")], [say("no")]) as gateway, open_socket(gateway) as socket:
        warm = [await create(socket, input=text * 600, generate=False) for text in "ab"]
        ids = [events[0]["response"]["id"] for events in warm]
        newest = await create(socket, input="hi", previous_response_id=ids[1])
        (oldest,) = await create(socket, input="hi", previous_response_id=ids[0])
    assert newest[-1]["type"] == "response.completed"
    assert oldest["error"]["code"] == "previous_response_not_found"


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
