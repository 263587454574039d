"""Official clients count tokens, compact conversations and steer responses."""

import asyncio
import json
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from tests.conftest import call, say

pytestmark = pytest.mark.anyio

FUNCTION = {"type": "function", "name": "ask_user", "parameters": {"type": "object", "properties": {}}}


@pytest.mark.requirement("client-context")
@pytest.mark.requirement("compacted-messages")
@pytest.mark.parametrize("major", ["2", "3"])
async def test_the_official_client_counts_compacts_and_goes_on(start_gateway, drive, major):
    steps = [
        [say("long " * 1000)],
        *([say("Ada greeted.", f"sum_{number}")] for number in range(2)),
        [say("Hello again.", "msg_2")],
        [say("Ada greeted.", "sum_3")],
        [say("It was long.", "sum_4")],
        [say("Yes.", "msg_3")],
    ]
    async with start_gateway(*steps) as gateway:
        seen = await drive("context_drive.py", major, gateway)
    assert seen == {
        "counted": ["response.input_tokens", True],
        "strict": "refused",
        "compacted": ["response.compaction", ["message", "compaction"], 15],
        "gone on": "Hello again.",
        "strict without questions": ["compaction"],
        "managed": ["compaction", "message"],
        "retrieved": True,
    }


@pytest.mark.requirement("steering")
async def test_what_is_said_of_steering_is_as_the_newer_client_has_it(start_gateway, newer):
    asked, go = asyncio.Event(), asyncio.Event()

    def slowly(_):
        asked.set()
        return [go, call("ask_user")]

    async with start_gateway(slowly) as gateway:
        headers = {"authorization": f"Bearer {gateway.key}"}
        address = gateway.url.replace("http", "ws") + "/v1/responses"
        async with connect(address, additional_headers=headers) as socket:
            create = {"type": "response.create", "model": "helper", "input": "go", "tools": [FUNCTION]}
            await socket.send(json.dumps({**create, "stream_id": "a"}))
            events = [json.loads(await socket.recv())]
            await asked.wait()
            steer = {"type": "response.steer", "previous_response_id": events[0]["response"]["id"], "input": "Hurry."}
            await socket.send(json.dumps({**steer, "previous_response_id": "resp_x"}))
            await socket.send(json.dumps(steer))
            while events[-1]["type"] != "response.steer.accepted":
                events.append(json.loads(await socket.recv()))
            go.set()
            while events[-1]["type"] != "response.steer.pending":
                events.append(json.loads(await socket.recv()))
    script = str(Path(__file__).parent / "events_drive.py")
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(newer, script, stdin=pipe, stdout=pipe)
    output, _ = await process.communicate(json.dumps(events).encode())
    assert process.returncode == 0
    kinds = json.loads(output)
    steers = [kind.removeprefix("response.steer.") for kind in kinds if "steer" in kind]
    assert steers == ["failed", "accepted", "pending"]
    assert kinds[-2] == "response.completed"
