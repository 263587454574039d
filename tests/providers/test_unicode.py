"""Half of a surrogate pair, which JSON can spell and UTF-8 cannot: it stops nothing and spoils nothing."""

import json

import pytest

from gateway.providers.litellm_shapes import as_chunk, from_exception
from gateway.providers.settings import Limits, ProviderSettings
from gateway.tools.settings import ServerSettings
from tests.providers.conftest import SEARCH, ask, user
from tests.providers.replay import Answer, Upstream
from tests.upstream import upstream

pytestmark = pytest.mark.anyio

HALF = "\\ud83d"


@pytest.fixture
def clock(home):
    return {"clock": ServerSettings(module="tests.servers.clock", settings={"folder": str(home)})}


async def spoken(asking, text, *items):
    """What a model without tool calling is understood to say, and what it was sent."""
    choice = {"message": {"content": text}, "finish_reason": "stop"}
    answer = Answer(json.dumps({"choices": [choice]}).encode(), content_type="application/json")
    async with Upstream(answer) as server, asking(server.url, native_tools=False) as router:
        return (await router(ask(*(items or (user("Hi."),)), tools=(SEARCH,)))).items, server.requests[0].body


async def test_an_answer_by_schema_has_a_replacement_character_for_it(asking):
    (message,), _ = await spoken(asking, f'{{"tool": "answer", "arguments": {{"text": "hi {HALF}!"}}}}')
    assert message.text == "hi \ufffd!"
    (message,), _ = await spoken(asking, f'{{"tool": "answer", "arguments": {{"text": {{"face": "{HALF}"}}}}}}')
    assert json.loads(message.text) == {"face": "\ufffd"}


async def test_arguments_by_schema_stay_text_that_can_be_kept_and_sent_back(asking):
    (call,), _ = await spoken(asking, f'{{"tool": "search", "arguments": {{"query": "{HALF}"}}}}')
    assert call.arguments.encode() == f'{{"query": "{HALF}"}}'.encode()
    _, body = await spoken(asking, '{"tool": "answer", "arguments": {"text": ""}}', user("Hi."), call)
    assert body["messages"][-1]["content"] == '{"tool": "search", "arguments": {"query": "\ufffd"}}'


async def test_a_tools_name_by_schema_can_be_kept(asking):
    (call,), _ = await spoken(asking, f'{{"tool": "se{HALF}", "arguments": {{}}}}')
    assert call.name == "se\ufffd"


async def test_chunks_of_litellm_are_clean(asking):
    chunk = as_chunk(
        {"text": "a\ud83d", "tool_use": {"function": {"name": "\udc00", "arguments": {"q": "\ud83d\ude00"}}}}
    )
    delta = chunk["choices"][0]["delta"]
    assert delta["content"] == "a\ufffd"
    assert delta["tool_calls"][0]["function"] == {"name": "\ufffd", "arguments": {"q": "\U0001f600"}}


def test_a_message_of_litellm_is_clean():
    assert str(from_exception("x", RuntimeError("bad \ud83d"), ())) == "x failed: RuntimeError: bad \ufffd"


CALL = f'{{"zone": "{HALF}"}}'


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("native", "step"),
    [
        (True, {"call": ("clock__now", CALL)}),
        (False, {"text": f'{{"tool": "clock__now", "arguments": {CALL}}}'}),
    ],
)
async def test_a_call_with_it_is_an_error_that_the_model_hears_of(start_gateway, home, clock, native, step, stream):
    (home / "agents" / "timely.yaml").write_text("name: timely\nmodel: fake/m\ntools: [clock.now]\n")
    done = {"text": '{"tool": "answer", "arguments": {"text": "fine"}}'}
    async with upstream(step, done, done) as provider:
        fake = ProviderSettings(name="fake", base_url=provider.url, native_tools=native)
        settings = {"providers": {"fake": fake}, "limits": Limits(retries=0), "servers": clock}
        async with start_gateway(**settings) as gateway:
            conversation = (await gateway.http.post("/v1/conversations", json={})).json()["id"]
            body = {"model": "timely", "input": "now?", "conversation": conversation}
            answer = await gateway.http.post("/v1/responses", json={**body, "stream": stream})
            assert (answer.status_code, "completed" in answer.text) == (200, True)
            again = await gateway.http.post("/v1/responses", json=body)
    assert again.json()["status"] == "completed"
    told = json.dumps(provider.requests[1]["messages"])
    assert "not valid Unicode" in told
