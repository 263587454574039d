"""The 17 cases of the Open Responses compliance suite (https://www.openresponses.org/compliance), by their names.

The suite sends these requests and checks the response object against its schema, and the stream against its events.
"""

import json

import pytest
from websockets.asyncio.client import connect

from tests.compat.model import HELLO
from tests.compat.wire import KEYS, USAGE, asks, error_of, events, of, respond, shape

pytestmark = pytest.mark.anyio

IMAGE = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII="
)
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "Get the current weather for a location",
    "parameters": {
        "type": "object",
        "properties": {"location": {"type": "string", "description": "The city and state"}},
        "required": ["location"],
    },
}


def message(content, role="user"):
    return {"type": "message", "role": role, "content": content}


def conforms(response):
    """What the suite's schema of the response object demands, beyond its keys."""
    assert set(response) >= KEYS
    assert response["object"] == "response"
    assert isinstance(response["created_at"], int)
    assert isinstance(response["completed_at"], int)
    assert response["truncation"] in ("auto", "disabled")
    assert response["reasoning"] is None or set(response["reasoning"]) >= {"effort", "summary"}
    for item in response["output"]:
        assert item["id"]
        assert item["status"] in ("in_progress", "completed", "incomplete")
        if item["type"] == "message":
            assert all(set(part) >= {"type", "text", "annotations", "logprobs"} for part in item["content"])
    for tool in response["tools"]:
        assert set(tool) >= {"type", "name", "description", "parameters", "strict"}
    return True


INPUTS = {
    "basic-response": [message("Say hello in exactly 3 words.")],
    "system-prompt": [message("You are a pirate.", "system"), message("Say hello.")],
    "image-input": [
        message([{"type": "input_text", "text": "What is this?"}, {"type": "input_image", "image_url": IMAGE}])
    ],
    "multi-turn": [
        message("My name is Alice."),
        message("Hello Alice! How can I help you today?", "assistant"),
        message("What is my name?"),
    ],
}


@pytest.mark.requirement("open-responses-text")
@pytest.mark.parametrize("name", INPUTS)
async def test_case(gateway, name):
    async with gateway() as running:
        response = await respond(running, asks(INPUTS[name]))
    assert conforms(response)
    assert (response["status"], response["output"][0]["content"][0]["text"]) == ("completed", HELLO)


@pytest.mark.requirement("open-responses-stream")
async def test_case_streaming_response(gateway):
    async with gateway() as running:
        seen = await events(running, asks([message("Count from 1 to 5.")]))
    assert conforms(seen[-1]["response"])
    assert (seen[-1]["type"], seen[-1]["response"]["status"]) == ("response.completed", "completed")
    assert "".join(event["delta"] for event in of(seen, "output_text.delta")) == HELLO


@pytest.mark.requirement("open-responses-tools")
async def test_case_tool_calling(gateway):
    async with gateway() as running:
        response = await respond(running, asks([message("What's the weather like?")], tools=[WEATHER]))
    assert conforms(response)
    assert [item["type"] for item in response["output"]] == ["function_call"]


@pytest.mark.requirement("open-responses-tools")
async def test_case_tool_calling_streaming(gateway):
    async with gateway() as running:
        seen = await events(running, asks([message("What's the weather like?")], tools=[WEATHER]))
    for kind in ("output_item.added", "output_item.done"):
        assert [event["item"]["type"] for event in of(seen, kind)] == ["function_call"]
    (done,) = of(seen, "function_call_arguments.done")
    assert "".join(event["delta"] for event in of(seen, "function_call_arguments.delta")) == done["arguments"]
    assert conforms(seen[-1]["response"])


@pytest.mark.requirement("open-responses-phase")
async def test_case_assistant_phase(gateway):
    """What a message was is kept with it, and given back to who keeps the conversation."""
    said = [{**message("I look it up.", "assistant"), "phase": "commentary"}, message("Four.", "assistant")]
    said[1]["phase"] = "final_answer"
    async with gateway() as running:
        response = await respond(running, asks([message("How many?"), *said, message("Sure?")]))
        listed = (await running.http.get(f"/v1/responses/{response['id']}/input_items?order=asc")).json()["data"]
        conversation = await running.openai.conversations.create(items=said)
        kept = (await running.http.get(f"/v1/conversations/{conversation.id}/items?order=asc")).json()["data"]
        references = [{"type": "item_reference", "id": item["id"]} for item in kept]
        again = await respond(running, asks([*references, message("Sure?")]))
        twice = (await running.http.get(f"/v1/responses/{again['id']}/input_items?order=asc")).json()["data"]
    assert conforms(response) and response["status"] == "completed"
    assert [item.get("phase") for item in listed] == [None, "commentary", "final_answer", None]
    assert [item["phase"] for item in kept] == ["commentary", "final_answer"]
    assert [item.get("phase") for item in twice] == ["commentary", "final_answer", None]


@pytest.mark.requirement("open-responses-phase")
@pytest.mark.parametrize("phase", ["thinking", 1, {}])
async def test_case_response_output_phase_schema(gateway, phase):
    """A message has one of the two phases or none: another is refused, and none is made up."""
    async with gateway() as running:
        response = await respond(running, asks("hi"))
        refused = await respond(running, asks([{**message("hi", "assistant"), "phase": phase}]), 400)
        mine = await respond(running, asks([{**message("hi"), "phase": "commentary"}]))
        listed = (await running.http.get(f"/v1/responses/{mine['id']}/input_items")).json()["data"]
    assert response["output"][0].get("phase") in (None, "commentary", "final_answer")
    assert refused["error"]["param"] == "input[0].phase"
    assert "phase" not in listed[0]


@pytest.mark.requirement("open-responses-compact")
async def test_case_compact_response(gateway):
    said = [
        message("We agreed to launch on Tuesday and notify support first."),
        message("The launch is Tuesday, with support notified beforehand.", "assistant"),
    ]
    async with gateway() as running:
        body = asks(said, prompt_cache_key="launch")
        answer = await running.http.post("/v1/responses/compact", json=body)
    assert answer.status_code == 200
    made = compacted(answer.json())
    assert made[-1]["type"] == "compaction"


@pytest.mark.requirement("open-responses-compact")
async def test_case_compact_missing_model(gateway):
    async with gateway() as running:
        answer = await running.http.post("/v1/responses/compact", json={"input": [message("Compact this.")]})
    assert answer.status_code == 400
    assert error_of(answer)["param"] == "model"


def compacted(made):
    """The output of an object that must be as the suite's schema of a compaction demands."""
    assert set(made) >= {"id", "object", "created_at", "output", "usage"}
    assert made["object"] == "response.compaction"
    assert isinstance(made["created_at"], int)
    assert shape(made["usage"], USAGE)
    for item in made["output"]:
        assert item["id"]
        if item["type"] == "compaction":
            assert isinstance(item["encrypted_content"], str)
        else:
            assert (item["type"], item["role"], item["status"]) == ("message", "user", "completed")
    return made["output"]


def open_socket(running):
    url = running.url.replace("http", "ws") + "/v1/responses"
    return connect(url, additional_headers={"authorization": f"Bearer {running.key}"})


async def turn(socket, input, **more):
    """One request over a WebSocket, and its last event. The others are numbered and of a response."""
    await socket.send(json.dumps({"type": "response.create", **asks(input, **more)}))
    seen = []
    while not seen or seen[-1]["type"] not in ("response.completed", "response.failed", "error"):
        seen.append(json.loads(await socket.recv()))
    if seen[-1]["type"] != "error":
        assert [event["sequence_number"] for event in seen] == list(range(len(seen)))
        assert seen[0]["type"] == "response.created"
    return seen[-1]


def completed(event):
    """The text of the response that this event completes, and its id."""
    assert event["type"] == "response.completed"
    response = event["response"]
    assert conforms(response) and response["status"] == "completed"
    return response["output"][0]["content"][0]["text"], response["id"]


def not_found(event):
    """Whether the response that was to be continued is not there."""
    return (event["type"], event["error"]["code"]) == ("error", "previous_response_not_found")


@pytest.mark.requirement("open-responses-websocket")
async def test_case_websocket_response(gateway):
    async with gateway() as running, open_socket(running) as socket:
        text, _ = completed(await turn(socket, [message("Count from 1 to 3.")]))
    assert text == HELLO


@pytest.mark.requirement("open-responses-websocket")
async def test_case_websocket_sequential_responses(gateway):
    async with gateway() as running, open_socket(running) as socket:
        first, one = completed(await turn(socket, "Reply with: first", store=False))
        second, other = completed(await turn(socket, "Reply with: second", store=False))
    assert (first, second) == (HELLO, HELLO)
    assert one != other


@pytest.mark.requirement("open-responses-websocket")
async def test_case_websocket_continuation(gateway):
    async with gateway() as running, open_socket(running) as socket:
        _, id = completed(await turn(socket, "Remember: cobalt.", store=False))
        text, _ = completed(await turn(socket, "What came before?", store=False, previous_response_id=id))
    assert text == "You said: Remember: cobalt."


@pytest.mark.requirement("open-responses-websocket")
async def test_case_websocket_reconnect_store_false_recovery(gateway):
    async with gateway() as running:
        async with open_socket(running) as socket:
            _, id = completed(await turn(socket, "Remember: copper.", store=False))
        async with open_socket(running) as socket:
            lost = await turn(socket, "Go on.", store=False, previous_response_id=id)
            text, _ = completed(await turn(socket, [message("Start anew.")], store=False))
    assert not_found(lost)
    assert text == HELLO


@pytest.mark.requirement("open-responses-websocket")
async def test_case_websocket_previous_response_not_found(gateway):
    async with gateway() as running, open_socket(running) as socket:
        missing = await turn(socket, "Go on.", store=False, previous_response_id="resp_missing")
    assert not_found(missing)
    assert (missing["status"], missing["error"]["param"]) == (400, "previous_response_id")


@pytest.mark.requirement("open-responses-websocket")
async def test_case_websocket_failed_continuation_evicts_cache(gateway):
    output = {"type": "function_call_output", "call_id": "call_missing", "output": "There was no such call."}
    async with gateway() as running, open_socket(running) as socket:
        _, id = completed(await turn(socket, "Remember: ember.", store=False))
        failed = await turn(socket, [output], store=False, previous_response_id=id)
        retried = await turn(socket, "Try again.", store=False, previous_response_id=id)
    assert (failed["type"], failed["status"]) == ("error", 400)
    assert not_found(retried)


@pytest.mark.requirement("open-responses-compact", "open-responses-websocket")
async def test_case_websocket_compact_new_chain(gateway):
    said = [
        message([{"type": "input_text", "text": "Remember: slate."}]),
        message([{"type": "output_text", "text": "OK."}], "assistant"),
        message([{"type": "input_text", "text": "Make this short."}]),
    ]
    async with gateway() as running:
        output = compacted((await running.http.post("/v1/responses/compact", json=asks(said))).json())
        async with open_socket(running) as socket:
            ended = await turn(socket, [*output, message("What came before?")], store=False, tools=[])
    text, _ = completed(ended)
    assert "Remember: slate." in text and HELLO in text
    assert ended["response"]["previous_response_id"] is None
