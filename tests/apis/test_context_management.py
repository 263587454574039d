"""`context_management`: a conversation that has become too long is compacted before the model is asked."""

import json
from functools import partial

import pytest

from gateway.errors import ProviderRateLimited
from gateway.tools.settings import ServerSettings
from tests.conftest import call, say

pytestmark = pytest.mark.anyio

LONG = "long " * 1000
"""1250 tokens."""
SHORT = [{"type": "compaction", "compact_threshold": 1000}]
FUNCTION = {"type": "function", "name": "ask_user", "parameters": {"type": "object", "properties": {}}}


def texts(gateway, number=-1):
    return [getattr(item, "text", item.kind) for item in gateway.provider.calls[number].items]


async def test_a_stream_begins_with_the_compaction_and_later_turns_go_on_from_it(start_gateway):
    steps = [[say(LONG, "a")], [say("Ada asked.", "b")], [say("Yes.", "c")], [say("Well.", "d")]]
    async with start_gateway(*steps) as gateway:
        create = gateway.openai.responses.create
        first = await create(model="helper", input="I am Ada.")
        stream = await create(
            model="helper", input="And?", previous_response_id=first.id, context_management=SHORT, stream=True
        )
        events = [event async for event in stream]
        asked, shown = texts(gateway, 1), texts(gateway, 2)
        second = events[-1].response
        stored = await gateway.openai.responses.retrieve(second.id)
        await create(model="helper", input="Go on.", previous_response_id=second.id)
        later = texts(gateway)
        replayed = (await gateway.http.get(f"/v1/responses/{second.id}?stream=true")).text
    assert [(event.type, event.output_index) for event in events if hasattr(event, "output_index")][:3] == [
        ("response.output_item.added", 0),
        ("response.output_item.done", 0),
        ("response.output_item.added", 1),
    ]
    assert not [event.type for event in events if "compacting" in event.type]
    assert [item.type for item in second.output] == ["compaction", "message"]
    assert second.output == stored.output
    assert second.output[0].encrypted_content in replayed
    assert asked[:-1] == ["You help.", "I am Ada.", LONG, "And?"]
    assert shown[:2] == ["You help.", "And?"] and shown[2].endswith("Ada asked.") and len(shown) == 3
    assert later == [*shown, "Yes.", "Go on."]
    # Both calls of the model are paid for.
    assert (second.usage.input_tokens, second.usage.output_tokens) == (20, 10)


async def test_a_conversation_goes_on_from_it_and_lists_it(start_gateway):
    steps = [[say(LONG, "a")], [say("Ada asked.", "b")], [say("Yes.", "c")], [say("Well.", "d")]]
    async with start_gateway(*steps) as gateway:
        conversation = (await gateway.openai.conversations.create()).id
        for question in ("I am Ada.", "And?", "Go on."):
            await gateway.openai.responses.create(
                model="helper", input=question, conversation=conversation, context_management=SHORT
            )
        later = texts(gateway)
        items = [item.type async for item in gateway.openai.conversations.items.list(conversation, order="asc")]
    assert later[1] == "And?" and later[2].endswith("Ada asked.") and later[3:] == ["Yes.", "Go on."]
    assert items == ["message", "message", "message", "compaction", "message", "message", "message"]


@pytest.mark.parametrize("dropped", [0, 3])
async def test_a_client_that_keeps_the_conversation_sends_it_back(start_gateway, dropped):
    steps = [[say("Ada asked.", "b")], [say("Yes.", "c")], [say("Well.", "d")]]
    said = [
        {"role": "user", "content": "I am Ada."},
        {"role": "assistant", "content": LONG},
        {"role": "user", "content": "And?"},
    ]
    async with start_gateway(*steps) as gateway:
        request = {"model": "helper", "store": False, "context_management": SHORT}
        first = (await gateway.http.post("/v1/responses", json={**request, "input": said})).json()
        window = [*said[dropped:], *first["output"], {"role": "user", "content": "Go on."}]
        second = (await gateway.http.post("/v1/responses", json={**request, "input": window})).json()
        shown = texts(gateway)
    assert [item["type"] for item in first["output"]] == ["compaction", "message"]
    assert [item["type"] for item in second["output"]] == ["message"]
    question = [] if dropped else ["And?"]
    summary = shown[1 + len(question)]
    assert shown == ["You help.", *question, summary, "Yes.", "Go on."] and summary.endswith("Ada asked.")


async def test_within_a_run_it_happens_between_two_steps_and_no_call_loses_its_result(start_gateway, home):
    (home / "agents" / "keeper.yaml").write_text("name: keeper\nmodel: scripted/one\ntools: [clock.now]\n")
    clock = {"clock": ServerSettings(module="tests.servers.clock", settings={"folder": str(home)})}
    zone = json.dumps({"zone": LONG})
    steps = [[call("clock__now", zone)], [say("It is noon.", "b")], [say("Noon.", "c")]]
    async with start_gateway(*steps, servers=clock) as gateway:
        response = await gateway.openai.responses.create(model="keeper", input="time?", context_management=SHORT)
        asked, shown = [[item.kind for item in each.items] for each in gateway.provider.calls[1:]]
        choice = gateway.provider.calls[1].options
        last = texts(gateway)
    assert [item.type for item in response.output] == ["mcp_call", "compaction", "message"]
    assert (asked, choice) == (["message", "tool_call", "tool_result", "message"], {"tool_choice": "none"})
    assert shown == ["message", "message"] and last[0] == "time?" and last[1].endswith("It is noon.")


async def test_outputs_of_functions_are_summed_up_with_their_calls(start_gateway):
    steps = [[call("ask_user")], [say("They said long.", "b")], [say("Thanks.", "c")]]
    async with start_gateway(*steps) as gateway:
        create = gateway.openai.responses.create
        first = await create(model="helper", input="go", tools=[FUNCTION])
        output = {"type": "function_call_output", "call_id": "call_1", "output": LONG}
        second = await create(
            model="helper", input=[output], tools=[FUNCTION], previous_response_id=first.id, context_management=SHORT
        )
        shown = texts(gateway)
    assert [item.type for item in second.output] == ["compaction", "message"]
    assert shown[:2] == ["You help.", "go"] and shown[2].endswith("They said long.")


async def test_what_is_short_enough_or_cannot_be_made_shorter_is_let_be(start_gateway):
    async with start_gateway([say("Hello.")], [say("Yes.", "b")], [say("Long indeed.", "c")]) as gateway:
        create = gateway.openai.responses.create
        short = await create(model="helper", input="hi", context_management=SHORT)
        by_default = await create(model="helper", input=LONG, context_management=[{"type": "compaction"}])
        alone = await create(model="helper", input=LONG, previous_response_id=short.id, context_management=SHORT)
    assert [[item.type for item in each.output] for each in (short, by_default, alone)] == [["message"]] * 3


async def test_without_a_summary_the_run_fails(start_gateway):
    async with start_gateway([say(LONG)], ProviderRateLimited("Slow down.")) as gateway:
        first = await gateway.openai.responses.create(model="helper", input="hi")
        body = {"model": "helper", "input": "And?", "previous_response_id": first.id, "context_management": SHORT}
        failed = await gateway.http.post("/v1/responses", json=body)
    assert failed.status_code == 429


@pytest.mark.parametrize(
    ("management", "param"),
    [
        ("compaction", "context_management"),
        ([], "context_management"),
        ([{"compact_threshold": 1000}], "context_management[0].type"),
        ([{"type": "clear"}], "context_management[0].type"),
        ([{"type": "compaction", "compact_threshold": "many"}], "context_management[0].compact_threshold"),
        ([{"type": "compaction", "compact_threshold": 0}], "context_management[0].compact_threshold"),
    ],
)
async def test_what_is_wrong_is_said(start_gateway, management, param):
    async with start_gateway() as gateway:
        body = {"model": "helper", "input": "hi", "context_management": management}
        answer = await gateway.http.post("/v1/responses", json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


ASKED = [
    {"role": "user", "content": "I am Ada."},
    {"role": "assistant", "content": LONG},
    {"role": "user", "content": LONG},
]


async def test_a_summary_is_not_summarised_again_however_long_the_conversation_stays(start_gateway):
    async with start_gateway([say(LONG, "a")], [call("ask_user")], [say("Yes.", "c")]) as gateway:
        create = partial(gateway.openai.responses.create, model="helper", context_management=SHORT, tools=[FUNCTION])
        first = await create(input=ASKED)
        output = {"type": "function_call_output", "call_id": "call_1", "output": "42"}
        second = await create(input=[output], previous_response_id=first.id)
        calls = len(gateway.provider.calls)
    assert [item.type for item in first.output] == ["compaction", "function_call"]
    assert (second.output_text, calls) == ("Yes.", 3)


async def test_a_threshold_that_nothing_stays_under_is_one_compaction(start_gateway):
    shorten = [{"type": "compaction", "compact_threshold": 1}]
    async with start_gateway([say(LONG, "a")], [say("Yes.", "b")]) as gateway:
        made = await gateway.openai.responses.create(model="helper", input=ASKED, context_management=shorten)
        calls = len(gateway.provider.calls)
    assert ([item.type for item in made.output], calls) == (["compaction", "message"], 2)
