"""How tests ask for a call that needs an approval, and answer."""

import json
import re

import httpx

from gateway.stores.keys import KeyRing
from tests.conftest import call

COUNT = [call("clock__count")]
AGAIN = [call("clock__count", call_id="call_2")]
BOTH = [call("clock__count", call_id="call_a"), call("clock__count", call_id="call_b")]
MINE = {"type": "function", "name": "mine", "parameters": {"type": "object", "properties": {}}}


def answer(request_id, approve=True, **more):
    return {"type": "mcp_approval_response", "approval_request_id": request_id, "approve": approve, **more}


async def respond(gateway, input, **request):
    """A response of the agent; its status and body, whatever they are."""
    body = {"model": "careful", "input": input, **request}
    done = await gateway.http.post("/v1/responses", json=body)
    return done.status_code, done.json()


async def refusal(gateway, input, **request):
    """The status, code and param of an error."""
    status, body = await respond(gateway, input, **request)
    error = body["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    return status, error["code"], error["param"]


async def chat(gateway, *said, **request):
    """What the agent says after this conversation; the messages take turns, a user's first."""
    messages = [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(said)]
    done = await gateway.openai.chat.completions.create(model="careful", messages=messages, **request)
    return done.choices[0].message.content


async def followed_again(gateway, id):
    """The output of a response that is over, as its stream tells it again."""
    events = (await gateway.http.get(f"/v1/responses/{id}?stream=true")).text
    data = [json.loads(line[6:]) for line in events.splitlines() if line.startswith("data: {")]
    assert [each["sequence_number"] for each in data] == list(range(len(data)))
    assert [each["item"] for each in data if each["type"] == "response.output_item.done"] == data[-1]["response"][
        "output"
    ]
    return data[-1]["response"]["output"]


def code_in(text):
    return re.search(r"`approve ([0-9A-F]{4}-[0-9A-F]{4})`", text)[1]


def told(gateway):
    """The results that the model was last shown."""
    return [item.text for item in gateway.provider.calls[-1].items if item.kind == "tool_result"]


def somebody_else(gateway, name="somebody else"):
    """A client with a key of its own."""
    key = KeyRing(gateway.settings.keys_path).create(name)
    return httpx.AsyncClient(base_url=gateway.url, headers={"authorization": f"Bearer {key}"}, timeout=30)
