"""The rules of the Open Responses compliance suite that are about HTTP (https://www.openresponses.org/compliance).

The suite sends these requests and checks the response object against its schema, and the stream against its events.
"""

import pytest

from tests.compat.model import HELLO
from tests.compat.wire import KEYS, asks, events, of, respond

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
async def test_case_assistant_message_phase(gateway):
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
