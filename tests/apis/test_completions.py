"""The oldest API: prompts that are continued by a chat underneath."""

import asyncio
import contextlib
import json

import openai
import pytest

from gateway.providers.settings import ProviderSettings
from gateway.tools.settings import ServerSettings
from tests.conftest import call, say
from tests.upstream import upstream

pytestmark = pytest.mark.anyio


async def complete(gateway, **body):
    return await gateway.http.post("/v1/completions", json={"model": "helper", "prompt": "Once", **body})


def chunks(answer):
    frames = answer.text.removesuffix("\n\n").split("\n\n")
    assert all(frame.startswith("data: ") for frame in frames)
    assert frames[-1] == "data: [DONE]"
    return [json.loads(frame.removeprefix("data: ")) for frame in frames[:-1]]


def texts(chunks):
    """What the chunks of each choice add up to, and how each choice ended."""
    said, ended = {}, {}
    for chunk in chunks:
        for choice in chunk["choices"]:
            said[choice["index"]] = said.get(choice["index"], "") + choice["text"]
            ended[choice["index"]] = choice["finish_reason"]
    return said, ended


async def test_a_prompt_is_continued(start_gateway):
    async with start_gateway([say("upon a time")]) as gateway:
        made = await gateway.openai.completions.create(model="helper", prompt="Once")
    assert made.id.startswith("cmpl-")
    assert (made.object, made.model, made.created > 1_700_000_000) == ("text_completion", "helper", True)
    (choice,) = made.choices
    assert (choice.index, choice.text, choice.finish_reason, choice.logprobs) == (0, "upon a time", "stop", None)
    usage = made.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (10, 5, 15)
    (asked,) = gateway.provider.calls
    assert [(item.role, item.text) for item in asked.items] == [("system", "You help."), ("user", "Once")]


async def test_options_reach_the_model(start_gateway):
    options = {"temperature": 0.5, "top_p": 0.9, "seed": 3, "presence_penalty": 1, "frequency_penalty": -1}
    async with start_gateway([say("a")]) as gateway:
        same = {**options, "stop": ["x"], "user": "u", "logit_bias": {"50256": -100}}
        answer = await complete(gateway, max_tokens=7, logprobs=2, of_tomorrow=1, **same)
    assert answer.status_code == 200
    asked = gateway.provider.calls[0].options
    assert asked == {**same, "max_output_tokens": 7, "logprobs": True, "top_logprobs": 2}


async def test_each_prompt_has_n_choices_in_order(start_gateway):
    async with start_gateway(*([say("and on")] for _ in range(4))) as gateway:
        answer = await complete(gateway, prompt=["One", "Two"], n=2, echo=True)
    made = answer.json()
    found = [(choice["index"], choice["text"]) for choice in made["choices"]]
    assert found == [(0, "Oneand on"), (1, "Oneand on"), (2, "Twoand on"), (3, "Twoand on")]
    assert made["usage"] == {"prompt_tokens": 40, "completion_tokens": 20, "total_tokens": 60}


@pytest.mark.parametrize("prompt", [[15339, 1917], [[15339, 1917]]])
async def test_tokens_are_read_as_text(start_gateway, prompt):
    async with start_gateway([say("a")]) as gateway:
        answer = await complete(gateway, prompt=prompt, echo=True)
    assert answer.json()["choices"][0]["text"] == "hello worlda"


@pytest.mark.parametrize("include_usage", [True, False])
async def test_a_stream_adds_up_to_the_same_choices(start_gateway, include_usage):
    steps = [[say("upon a time")] for _ in range(2)]
    async with start_gateway(*steps) as gateway:
        options = {"include_usage": include_usage, "include_obfuscation": False}
        answer = await complete(gateway, prompt=["Once", "Now"], echo=True, stream=True, stream_options=options)
    assert answer.headers["content-type"].startswith("text/event-stream")
    said = chunks(answer)
    assert texts(said) == ({0: "Onceupon a time", 1: "Nowupon a time"}, {0: "stop", 1: "stop"})
    assert len({(chunk["id"], chunk["created"], chunk["model"], chunk["object"]) for chunk in said}) == 1
    assert said[0]["object"] == "text_completion"
    if include_usage:
        assert (said[-1]["choices"], said[-1]["usage"]["total_tokens"]) == ([], 30)
        assert all(chunk["usage"] is None for chunk in said[:-1])
    else:
        assert not any("usage" in chunk for chunk in said)


async def test_the_official_client_reads_the_stream(start_gateway):
    async with start_gateway([say("upon a time")]) as gateway:
        # Its type allows no null as a finish reason, which OpenAI sends with every chunk but the last: not strict.
        async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key) as client:
            stream = await client.completions.create(model="helper", prompt="Once", stream=True)
            said = [chunk.choices[0] async for chunk in stream]
    assert "".join(choice.text for choice in said) == "upon a time"
    assert [choice.finish_reason for choice in said][-2:] == [None, "stop"]


@pytest.mark.parametrize("stream", [True, False])
async def test_what_is_said_around_a_tool_call_is_one_text(start_gateway, home, stream):
    (home / "agents" / "keeper.yaml").write_text("model: scripted/one\ntools: [clock.now]\n")
    servers = {"clock": ServerSettings(module="tests.servers.clock")}
    async with start_gateway(
        [say("Let me see."), call("clock__now")], [say("Noon.", "msg_2")], servers=servers
    ) as gateway:
        answer = await complete(gateway, model="keeper", stream=stream)
    said = texts(chunks(answer))[0][0] if stream else answer.json()["choices"][0]["text"]
    assert said == "Let me see.\n\nNoon."


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({"prompt": None}, "prompt", "invalid_type"),
        ({"prompt": ""}, "prompt", "invalid_value"),
        ({"prompt": []}, "prompt", "empty_array"),
        ({"prompt": ["a", 1]}, "prompt[1]", "invalid_type"),
        ({"prompt": [[999_999]]}, "prompt[0]", "invalid_value"),
        ({"suffix": "the end"}, "suffix", "unsupported_parameter"),
        ({"logprobs": 0, "echo": True}, "logprobs", "unsupported_parameter"),
        ({"logprobs": 6}, "logprobs", "invalid_value"),
        ({"logprobs": True}, "logprobs", "invalid_type"),
        ({"logit_bias": {"abc": 1}}, "logit_bias", "invalid_value"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop", "array_above_max_length"),
        ({"stop": ""}, "stop", "empty_string"),
        ({"stream_options": {"include_usage": True}}, "stream_options", "invalid_value"),
        ({"n": "2"}, "n", "invalid_type"),
        ({"echo": 1}, "echo", "invalid_type"),
        ({"n": 2, "best_of": 3}, "best_of", "unsupported_parameter"),
        ({"n": 0}, "n", "invalid_value"),
        ({"n": 129}, "n", "invalid_value"),
        ({"n": 100, "prompt": ["a", "b"]}, "n", "invalid_request"),
        ({"max_tokens": 0}, "max_tokens", "invalid_value"),
    ],
)
async def test_what_cannot_be_done_is_a_clear_400(start_gateway, body, param, code):
    async with start_gateway() as gateway:
        answer = await complete(gateway, **body)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["code"], gateway.provider.calls) == (400, param, code, [])
    assert sorted(error) == ["code", "message", "param", "type"]


async def test_what_asks_for_nothing_special_is_not_refused(start_gateway):
    async with start_gateway([say("a")]) as gateway:
        answer = await complete(gateway, suffix=None, logprobs=None, best_of=1, echo=False, n=None, logit_bias={})
    assert answer.status_code == 200


async def test_an_unknown_model_is_not_found(start_gateway):
    async with start_gateway() as gateway:
        answer = await complete(gateway, model="nobody")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")


FAILS = {"status": 400, "error": {"error": {"message": "no", "code": "content_filter"}}}


@contextlib.asynccontextmanager
async def vendor(start_gateway, home, *steps):
    (home / "agents" / "writer.yaml").write_text("model: x/m\n")
    async with upstream(*steps) as provider:
        settings = {"x": ProviderSettings(name="x", base_url=provider.url)}
        async with start_gateway(providers=settings) as gateway:
            yield gateway, provider


async def test_a_choice_that_fails_fails_the_request_and_stops_the_others(start_gateway, home):
    steps = [FAILS, {"text": "never", "hold": asyncio.Event()}]
    async with vendor(start_gateway, home, *steps) as (gateway, provider):
        answer = await complete(gateway, model="writer", n=2)
        await provider.gone.wait()
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "content_filter")


async def test_a_choice_that_fails_ends_the_stream_with_an_error(start_gateway, home):
    steps = [{"text": "broken", "cut": True}, {"text": "never", "hold": asyncio.Event()}]
    async with vendor(start_gateway, home, *steps) as (gateway, provider):
        answer = await complete(gateway, model="writer", n=2, stream=True)
        await provider.gone.wait()
    *_, last = answer.text.removesuffix("\n\n").split("\n\n")
    assert "[DONE]" not in answer.text
    assert sorted(json.loads(last.removeprefix("data: "))["error"]) == ["code", "message", "param", "type"]


class SetTwice(asyncio.Event):
    """An event that happens when it has been set a second time."""

    once = False

    def set(self):
        if self.once:
            super().set()
        self.once = True


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_hangs_up_stops_every_choice(start_gateway, home, stream):
    never = asyncio.Event()
    steps = [{"text": "one", "hold": never}, {"text": "two", "hold": never}]
    async with vendor(start_gateway, home, *steps) as (gateway, provider):
        provider.asked, provider.gone = SetTwice(), SetTwice()
        asking = asyncio.create_task(complete(gateway, model="writer", n=2, stream=stream))
        await provider.asked.wait()
        asking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asking
        await provider.gone.wait()


@pytest.mark.parametrize(("most", "likely"), [(1, [{"upon ": -0.5, "a": -1.0}, {}]), (0, None)])
async def test_probabilities_of_tokens_come_in_the_old_shape(start_gateway, most, likely):
    top = [{"token": "upon ", "logprob": -0.5, "bytes": []}, {"token": "a", "logprob": -1.0, "bytes": []}]
    tokens = [{"token": "upon ", "logprob": -0.5, "top_logprobs": top}, {"token": "a", "logprob": -0.25}]
    step = {"text": "upon a", "logprobs": tokens}
    async with upstream(step, step) as provider:
        settings = {"x": ProviderSettings(name="x", base_url=provider.url)}
        async with start_gateway(providers=settings, models=("x/m",)) as gateway:
            made = await gateway.openai.completions.create(model="x/m", prompt="Once", logprobs=most)
            streamed = chunks(await complete(gateway, model="x/m", logprobs=most, stream=True))
    scores = made.choices[0].logprobs.to_dict()
    assert scores == {
        "tokens": ["upon ", "a"],
        "token_logprobs": [-0.5, -0.25],
        "top_logprobs": likely,
        "text_offset": [0, 5],
    }
    pieces = [chunk["choices"][0]["logprobs"] for chunk in streamed if chunk["choices"][0]["logprobs"]]
    assert scores == {
        name: None if pieces[0][name] is None else [one for piece in pieces for one in piece[name]] for name in scores
    }
