"""`response.steer` over a WebSocket: more to say to a response that is under way."""

import asyncio
import json

import pytest
from websockets.asyncio.client import connect

from gateway.errors import ProviderError
from gateway.tools.settings import ServerSettings
from tests.conftest import call, say

pytestmark = pytest.mark.anyio

FUNCTION = {"type": "function", "name": "ask_user", "parameters": {"type": "object", "properties": {}}}
ENDINGS = {"response.completed", "response.incomplete", "response.failed", "error"}
STEERS = {"response.steer.accepted", "response.steer.pending", "response.steer.failed"}


class Connection:
    """A WebSocket whose messages are waited for by their types."""

    def __init__(self, socket):
        self.socket = socket

    async def create(self, **fields):
        await self.socket.send(json.dumps({"type": "response.create", "model": "keeper", **fields}))
        return (await self.until("response.created"))["response"]["id"]

    async def steer(self, id, input, **fields):
        said = {"type": "response.steer", "previous_response_id": id, "input": input, **fields}
        await self.socket.send(json.dumps(said))
        return await self.until(*STEERS)

    async def until(self, *types):
        while True:
            event = json.loads(await self.socket.recv())
            if event["type"] in types:
                return event

    async def ended(self):
        return await self.until(*ENDINGS)


def open_socket(gateway, **more):
    headers = {"authorization": f"Bearer {gateway.key}"}
    return connect(gateway.url.replace("http", "ws") + "/v1/responses", additional_headers=headers, **more)


@pytest.fixture
def keeper(home):
    (home / "agents" / "keeper.yaml").write_text("name: keeper\nmodel: scripted/one\ntools: [clock.now]\n")
    return {"clock": ServerSettings(module="tests.servers.clock", settings={"folder": str(home)})}


class Held:
    """A step that waits until the test has said something; `asked` is set when the model is at it."""

    def __init__(self, *items):
        self.items = items
        self.asked, self.go = asyncio.Event(), asyncio.Event()

    def __call__(self, _):
        self.asked.set()
        return [self.go, *self.items]


def seen(gateway, number=-1):
    return [(item.kind, getattr(item, "text", "")) for item in gateway.provider.calls[number].items]


@pytest.mark.parametrize("store", [True, False])
async def test_a_run_ends_at_its_next_step_and_a_successor_has_what_was_said(start_gateway, keeper, store):
    held = Held(call("clock__now"))
    async with start_gateway(held, [say("13:00.")], servers=keeper) as gateway, open_socket(gateway) as socket:
        connection = Connection(socket)
        first = await connection.create(input="time?", store=store, stream_id="a", metadata={"topic": "time"})
        await held.asked.wait()
        accepted = await connection.steer(first, "In Oslo.")
        second = await connection.steer(first, [{"role": "user", "content": [{"type": "input_text", "text": "Now."}]}])
        held.go.set()
        ended = (await connection.ended())["response"]
        begun = (await connection.until("response.created"))["response"]
        done = await connection.ended()
        shown = seen(gateway)
        after = await connection.steer(first, "Late.")
        kept = await gateway.http.get(f"/v1/responses/{begun['id']}/input_items?order=asc")
    assert (accepted["type"], accepted["steer"]["previous_response_id"]) == ("response.steer.accepted", first)
    assert accepted["steer"]["id"] != second["steer"]["id"]
    assert [each["sequence_number"] for each in (accepted, second, after)] == [0, 1, 2]
    assert {each["stream_id"] for each in (accepted, done, after)} == {"a"}
    assert (ended["status"], ended["incomplete_details"]) == ("incomplete", {"reason": "steered"})
    assert [item["type"] for item in ended["output"]] == ["mcp_call"]
    assert (begun["previous_response_id"], begun["metadata"]) == (first, {"topic": "time"})
    assert [text for _, text in shown if text] == ["time?", "12:00 UTC", "In Oslo.", "Now."]
    assert (done["type"], done["response"]["output"][0]["content"][0]["text"]) == ("response.completed", "13:00.")
    assert after["error"]["code"] == "response_not_active"
    assert [item["content"][0]["text"] for item in kept.json().get("data", ())] == (["In Oslo.", "Now."] * store)


@pytest.mark.parametrize("store", [True, False])
async def test_a_successor_does_not_show_the_images_of_its_prompt_again(start_gateway, home, store):
    document = "name: guide\nmodel: scripted/one\ninstructions: 'Explain {{picture}} in {{language}}.'\n"
    (home / "agents" / "guide.yaml").write_text(document)
    picture = {"type": "input_image", "image_url": "data:image/png;base64,aGk="}
    held, other = Held(say("A cat.")), Held(say("A big cat.", "b"))
    async with start_gateway(held, other, [say("Yes.", "c")]) as gateway, open_socket(gateway) as socket:
        connection = Connection(socket)
        prompt = {"id": "guide", "variables": {"picture": picture, "language": "English"}}
        id = await connection.create(input="what?", prompt=prompt, model="guide", store=store)
        for step, said in ((held, "Bigger."), (other, "Sure?")):
            await step.asked.wait()
            await connection.steer(id, said)
            step.go.set()
            await connection.ended()
            id = (await connection.until("response.created"))["response"]["id"]
        await connection.ended()
        items = gateway.provider.calls[-1].items
    assert [part.kind for item in items for part in item.content].count("image") == 1
    assert [item.text for item in items[2:]] == ["what?", "A cat.", "Bigger.", "A big cat.", "Sure?"]
    assert items[0].text == "Explain [picture] in English."


async def test_a_run_without_another_step_completes_and_is_followed(start_gateway):
    held = Held(say("Hello."))
    async with start_gateway(held, [say("Hei.", "b")], [say("Bye.", "c")]) as gateway, open_socket(gateway) as socket:
        connection = Connection(socket)
        first = await connection.create(model="helper", input="hi")
        await held.asked.wait()
        await connection.steer(first, "In Norwegian.")
        held.go.set()
        ended = await connection.ended()
        done = await connection.ended()
        late = await connection.steer(first, "Too late.")
        await connection.create(model="helper", input="bye", previous_response_id=done["response"]["id"])
        last = await connection.ended()
        texts = [text for _, text in seen(gateway)]
    assert (ended["type"], done["response"]["previous_response_id"]) == ("response.completed", first)
    assert late["error"]["code"] == "response_already_completed"
    assert late["steer"] == {"previous_response_id": first, "input": "Too late."}
    assert texts == ["You help.", "hi", "Hello.", "In Norwegian.", "Hei.", "bye"]
    assert last["type"] == "response.completed"


async def test_where_the_client_has_to_act_the_input_waits_for_it(start_gateway):
    held = Held(call("ask_user"))
    steps = [held, [say("42.")], [say("Bye.", "c")], [say("43.", "d")]]
    async with start_gateway(*steps) as gateway, open_socket(gateway) as socket:
        connection = Connection(socket)
        first = await connection.create(model="helper", input="go", tools=[FUNCTION])
        await held.asked.wait()
        accepted = await connection.steer(first, "Hurry.")
        held.go.set()
        ended = await connection.ended()
        pending = await connection.until(*STEERS)
        (stub,) = pending["required_input"]
        wrong = {"model": "helper", "previous_response_id": first, "input": "no output"}
        await socket.send(json.dumps({"type": "response.create", **wrong}))
        refused = await connection.ended()
        await connection.create(model="helper", previous_response_id=first, input=[{**stub, "output": "42"}])
        done = await connection.ended()
        kinds = seen(gateway)
        await connection.create(model="helper", previous_response_id=done["response"]["id"], input="bye")
        await connection.ended()
        texts = [text for _, text in seen(gateway)]
        await connection.create(model="helper", previous_response_id=first, input=[{**stub, "output": "43"}])
        await connection.ended()
        again = [text for _, text in seen(gateway)]
    assert (ended["type"], pending["type"]) == ("response.completed", "response.steer.pending")
    assert (pending["reason"], pending["steer"]) == ("waiting_for_required_input", accepted["steer"])
    assert stub == {"type": "function_call_output", "call_id": "call_1", "name": "ask_user"}
    assert refused["error"]["message"].startswith("No tool output found")
    assert [kind for kind, _ in kinds] == ["message", "message", "tool_call", "message", "tool_result"]
    assert texts.count("Hurry.") == 1
    assert "Hurry." not in again


async def test_it_waits_for_a_response_that_is_not_stored_too(start_gateway):
    held = Held(call("ask_user"))
    async with start_gateway(held, [say("42.")], [say("Bye.", "c")]) as gateway, open_socket(gateway) as socket:
        connection = Connection(socket)
        first = await connection.create(model="helper", input="go", tools=[FUNCTION], store=False)
        await held.asked.wait()
        await connection.steer(first, "Hurry.")
        held.go.set()
        (stub,) = (await connection.until(*STEERS))["required_input"]
        answer = [{**stub, "output": "42"}]
        await connection.create(model="helper", previous_response_id=first, input=answer, store=False)
        second = (await connection.ended())["response"]["id"]
        await connection.create(model="helper", previous_response_id=second, input="bye", store=False)
        await connection.ended()
        texts = [text for _, text in seen(gateway)]
    assert texts == ["You help.", "go", "", "Hurry.", "42", "42.", "bye"]


async def test_a_run_that_fails_gives_the_input_back(start_gateway):
    failing = Held()
    failing.items = (Failing(),)
    async with start_gateway(failing) as gateway, open_socket(gateway) as socket:
        connection = Connection(socket)
        first = await connection.create(model="helper", input="hi")
        await failing.asked.wait()
        accepted = await connection.steer(first, "Hurry.")
        failing.go.set()
        ended = await connection.ended()
        failed = await connection.until(*STEERS)
    assert (ended["type"], failed["type"]) == ("response.failed", "response.steer.failed")
    assert failed["steer"] == {**accepted["steer"], "input": "Hurry."}
    assert failed["error"]["code"] == "response_not_active"


class Failing(asyncio.Event):
    """What a model is waited for that breaks off."""

    async def wait(self):
        raise ProviderError("It broke.")


async def test_a_response_that_is_deleted_gives_the_input_back(start_gateway):
    held = Held(say("Hello."))
    async with start_gateway(held) as gateway, open_socket(gateway) as socket:
        connection = Connection(socket)
        first = await connection.create(model="helper", input="hi")
        await held.asked.wait()
        await connection.steer(first, "Hurry.")
        await gateway.http.delete(f"/v1/responses/{first}")
        failed = await connection.until(*STEERS, *ENDINGS)
    assert (failed["type"], failed["error"]["code"]) == ("response.steer.failed", "response_not_active")


async def test_a_successor_that_cannot_begin_gives_the_input_back(start_gateway, home):
    held = Held(say("Hello."))
    async with start_gateway(held) as gateway, open_socket(gateway) as socket:
        connection = Connection(socket)
        first = await connection.create(model="helper", input="hi")
        await held.asked.wait()
        accepted = await connection.steer(first, "Hurry.")
        (home / "agents" / "helper.yaml").unlink()
        while "helper" in [model.id async for model in gateway.openai.models.list()]:
            pass
        held.go.set()
        ended = await connection.ended()
        failed = await connection.until(*STEERS)
    assert ended["type"] == "response.completed"
    assert failed["steer"] == {**accepted["steer"], "input": "Hurry."}
    assert failed["error"]["code"] == "successor_creation_failed"


USER = {"role": "user", "content": "Hurry."}


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ({"input": "Hurry."}, "invalid_input"),
        ({"previous_response_id": 1, "input": "Hurry."}, "invalid_input"),
        ({"previous_response_id": "resp_x"}, "invalid_input"),
        ({"previous_response_id": "resp_x", "input": []}, "invalid_input"),
        ({"previous_response_id": "resp_x", "input": {}}, "invalid_input"),
        ({"previous_response_id": "resp_x", "input": [1]}, "invalid_input"),
        ({"previous_response_id": "resp_x", "input": [{"role": "developer", "content": "x"}]}, "invalid_input"),
        ({"previous_response_id": "resp_x", "input": [{**USER, "id": "msg_1"}]}, "invalid_input"),
        ({"previous_response_id": "resp_x", "input": [{"role": "user"}]}, "invalid_input"),
        (
            {"previous_response_id": "resp_x", "input": [{"role": "user", "content": [{"type": "output_text"}]}]},
            "invalid_input",
        ),
        (
            {
                "previous_response_id": "resp_x",
                "input": [{"type": "function_call_output", "call_id": "c", "output": ""}],
            },
            "invalid_input",
        ),
        ({"previous_response_id": "resp_x", "input": "Hurry.", "stream_id": "a"}, "invalid_input"),
        ({"previous_response_id": "resp_x", "input": [USER]}, "response_not_found"),
    ],
)
async def test_what_is_no_submission_is_refused_and_the_connection_stays(start_gateway, frame, code):
    async with start_gateway([say("still here")]) as gateway, open_socket(gateway) as socket:
        connection = Connection(socket)
        await socket.send(json.dumps({"type": "response.steer", **frame}))
        failed = await connection.until(*STEERS)
        await connection.create(model="helper", input="hi")
        done = await connection.ended()
    assert failed["type"] == "response.steer.failed"
    assert (failed["error"]["code"], failed["error"]["type"]) == (code, "invalid_request_error")
    assert "id" not in failed["steer"]
    assert done["type"] == "response.completed"


async def test_what_cannot_be_steered_is_said(start_gateway):
    held, other = Held(say("Hello.")), Held(say("Hello."))
    async with start_gateway(held, other) as gateway, open_socket(gateway) as socket, open_socket(gateway) as second:
        connection = Connection(socket)
        conversation = (await gateway.openai.conversations.create()).id
        bound = await connection.create(model="helper", input="hi", conversation=conversation)
        refused = [await connection.steer(bound, "Hurry.")]
        management = [{"type": "compaction", "compact_threshold": 1000}]
        compacted = await connection.create(model="helper", input="hi", stream_id="b", context_management=management)
        refused.append(await connection.steer(compacted, "Hurry."))
        stranger = await Connection(second).steer(bound, "Hurry.")
        held.go.set()
        other.go.set()
    assert [each["error"]["code"] for each in refused] == ["steering_not_supported"] * 2
    assert stranger["error"]["code"] == "response_not_found"


async def test_only_so_many_submissions_wait(start_gateway):
    held = Held(say("Hello."))
    async with start_gateway(held, [say("Done.")]) as gateway, open_socket(gateway) as socket:
        connection = Connection(socket)
        first = await connection.create(model="helper", input="hi")
        answers = [await connection.steer(first, f"{number}") for number in range(65)]
        held.go.set()
        await connection.ended()
        await connection.ended()
        asked = [text for _, text in seen(gateway)]
    assert [answer["type"] for answer in answers[:64]] == ["response.steer.accepted"] * 64
    assert answers[64]["error"]["code"] == "too_many_pending_steers"
    assert asked[-64:] == [str(number) for number in range(64)]
