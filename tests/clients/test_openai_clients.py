"""The official clients of both major versions drive everything that is served, with strict validation."""

import json

import pytest

from gateway.providers.settings import ProviderSettings
from gateway.tools.settings import ServerSettings
from tests.conftest import call, say
from tests.providers.replay import Answer, Upstream

pytestmark = pytest.mark.anyio


@pytest.mark.requirement("client-openai")
@pytest.mark.parametrize("major", ["2", "3"])
async def test_the_official_client_finds_nothing_amiss(start_gateway, home, drive, major):
    (home / "agents" / "talker.yaml").write_text("name: talker\nmodel: scripted/one\n")
    (home / "agents" / "caller.yaml").write_text("name: caller\nmodel: scripted/one\n")
    (home / "agents" / "keeper.yaml").write_text("name: keeper\nmodel: scripted/one\ntools: [clock.now]\n")
    servers = {"clock": ServerSettings(module="tests.servers.clock")}
    steps = [
        *([say("hello there", f"msg_{number}")] for number in range(4)),
        [call("weather")],
        *(
            [[call("clock__now", "{}", f"call_{number}")], [say("noon", f"noon_{number}")]][step]
            for number in (1, 2)
            for step in (0, 1)
        ),
        [say("hello there", "msg_9")],
        *([say('{"name": "Oslo"}')] for _ in range(2)),
        [call("City", '{"name": "Oslo"}')],
        *([say("hello there")] for _ in range(2)),
    ]
    async with start_gateway(*steps, servers=servers) as gateway:
        seen = await drive("drive.py", major, gateway)
    assert seen == {
        "models": ["caller", "helper", "keeper", "talker"],
        "chat": "hello there",
        "chat stream": "hello there",
        "response": "hello there",
        "response stream": "hello there",
        "retrieved": "hello there",
        "function": "weather",
        "mcp call": ["mcp_call", "message"],
        "mcp call stream": ["response.mcp_call.completed"],
        "conversation": ["message", "message", "message"],
        "deleted": True,
        "chat helpers": [True, [True], True, True],
        "error": [404, "not_found", True],
    }


@pytest.mark.requirement("client-vectors")
@pytest.mark.parametrize("major", ["2", "3"])
async def test_vectors_completions_and_models_are_as_the_client_has_them(start_gateway, home, drive, major):
    (home / "script.yaml").write_text("- {say: Hi.}\n" * 3)
    (home / "agents" / "actor.yaml").write_text(f"model: scripted/{home}/script.yaml\n")
    vectors = {"object": "list", "model": "m", "data": [{"object": "embedding", "index": 0, "embedding": "AAAAPw=="}]}
    async with Upstream(Answer(json.dumps(vectors).encode(), content_type="application/json")) as upstream:
        provider = ProviderSettings(name="x", base_url=upstream.url)
        async with start_gateway(providers={"x": provider}, models=("x/*", "x/m")) as gateway:
            seen = await drive("drive_raw.py", major, gateway)
    assert seen == {
        "vectors": [384, 384],
        "packed": True,
        "usage": 2,
        "tokens": True,
        "of a vendor": [0.5],
        "completion": ["aHi.", "bHi."],
        "completion stream": "Hi.",
        "models": ["actor", "helper", "local/all-minilm-l6-v2", "x/m"],
        "a model": "x/a/b",
        "refused": {
            "agent": [400, "unsupported_model", True],
            "deleted": [403, "insufficient_permissions", True],
            "batches": [404, "unknown_url", True],
            "images": [404, "unknown_url", True],
        },
    }
