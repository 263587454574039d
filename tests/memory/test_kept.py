"""What an agent's context keeps: the newest exchanges, those that fit a budget, older ones that fit the question."""

import openai
import pytest

from gateway.errors import ContextTooLong
from gateway.items import Reasoning
from tests.conftest import call, say
from tests.memory.conftest import shown, talk

pytestmark = pytest.mark.anyio

LONG = "long " * 80
"""A hundred tokens."""


async def test_the_last_exchanges_are_shown_and_the_instructions(start_gateway, keeper):
    keeper("{keep: [{last: 2}]}")
    steps = [[say("one", "a")], [say("two", "b")], [say("three", "c")], [say("four", "d")]]
    async with start_gateway(*steps) as gateway:
        last = await talk(gateway, "first", "second", "third")
        assert shown(gateway.provider.calls[1]) == ["You help.", "first", "one", "second"]
        assert shown(gateway.provider.calls[2]) == ["You help.", "second", "two", "third"]
        await gateway.openai.responses.create(model="helper", input="all?", previous_response_id=last.id)
    everything = ["first", "one", "second", "two", "third", "three", "all?"]
    assert shown(gateway.provider.calls[3])[1:] == everything, "what a model is not shown is not lost"


async def test_instructions_among_the_messages_are_no_part_of_it(start_gateway, keeper):
    keeper("{keep: [{last: 1}]}")
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "one"},
        {"role": "user", "content": "second"},
    ]
    async with start_gateway([say("two")]) as gateway:
        await gateway.openai.chat.completions.create(model="keeper", messages=messages)
    assert shown(gateway.provider.calls[0]) == ["You help.", "Be brief.", "second"]


async def test_a_budget_drops_whole_exchanges_the_oldest_first(start_gateway, keeper):
    keeper("{budget_tokens: 220}")
    async with start_gateway([say("one", "a")], [say("two", "b")], [say("three", "c")]) as gateway:
        await talk(gateway, LONG, LONG + "2", "third")
        assert shown(gateway.provider.calls[1]) == ["You help.", LONG, "one", LONG + "2"]
        assert shown(gateway.provider.calls[2]) == ["You help.", LONG + "2", "two", "third"]


@pytest.mark.parametrize("truncation", ["auto", "disabled"])
async def test_new_input_is_never_dropped_and_what_is_too_long_for_the_model_is_said(start_gateway, keeper, truncation):
    keeper("{budget_tokens: 50}")
    async with start_gateway([say("one", "a")], ContextTooLong("It is too long.")) as gateway:
        first = await talk(gateway, "first")
        with pytest.raises(openai.BadRequestError) as refused:
            await gateway.openai.responses.create(
                model="keeper", input=LONG, previous_response_id=first.id, truncation=truncation
            )
    assert refused.value.code == "context_length_exceeded"
    assert shown(gateway.provider.calls[1]) == ["You help.", LONG]


async def test_truncation_drops_more_of_what_the_context_left(start_gateway, keeper):
    keeper("{keep: [{last: 3}]}")
    steps = [[say("one", "a")], [say("two", "b")], [say("three", "c")], ContextTooLong(), [say("four", "d")]]
    async with start_gateway(*steps) as gateway:
        await talk(gateway, "first", LONG, "third", "fourth", truncation="auto")
        assert shown(gateway.provider.calls[3]) == ["You help.", LONG, "two", "third", "three", "fourth"]
        assert shown(gateway.provider.calls[4]) == ["You help.", "third", "three", "fourth"]


async def test_of_one_exchange_the_oldest_calls_go_with_their_results_and_thoughts(start_gateway, keeper):
    servers = keeper("{budget_tokens: 60}", tools="[clock.now]")

    def asked(*ids):
        return [Reasoning(id=f"rs_{ids[0]}", text="hm"), *(call("clock__now", call_id=id) for id in ids)]

    steps = [asked("a", "b"), asked("c"), asked("d"), [say("noon")]]
    async with start_gateway(*steps, servers=servers) as gateway:
        await talk(gateway, "time?")
        assert shown(gateway.provider.calls[1])[1:4] == ["time?", "hm", "call a"]
        last = shown(gateway.provider.calls[3])
    assert last[:2] == ["You help.", "time?"] and last[-3:] == ["hm", "call d", "result d"]
    assert "call a" not in last and "result b" not in last


async def test_a_call_of_the_clients_stays_with_the_output_that_answers_it(start_gateway, keeper):
    keeper("{budget_tokens: 40, keep: [{last: 1}]}")
    tool = {"type": "function", "name": "look", "parameters": {"type": "object"}, "strict": False}
    steps = [[say("one", "a")], [call("look", call_id="x"), call("look", call_id="y")], [say("two")]]
    async with start_gateway(*steps) as gateway:
        first = await talk(gateway, LONG)
        create = gateway.openai.responses.create
        asked = await create(model="keeper", input="second", previous_response_id=first.id, tools=[tool])
        outputs = [{"type": "function_call_output", "call_id": id, "output": LONG} for id in ("y", "x")]
        await create(model="keeper", input=outputs, previous_response_id=asked.id, tools=[tool])
    assert shown(gateway.provider.calls[2]) == ["You help.", "second", "call x", "call y", "result y", "result x"]


TALK = {
    "What is the capital of France?": "Paris is the capital of France.",
    "How do I bake bread?": "Mix flour, water, salt and yeast, let it rise, and bake it.",
    "Who wrote Hamlet?": "William Shakespeare wrote Hamlet.",
    "How are tyres changed on a car?": "Loosen the nuts, lift the car with a jack, and swap the wheel.",
    "Thanks.": "You are welcome.",
}


async def test_older_exchanges_that_fit_the_question_are_shown_in_their_order(start_gateway, keeper):
    keeper("{keep: [{last: 2}, {semantic: {top_k: 2}}]}")
    answers = [[say(text, f"m{number}")] for number, text in enumerate([*TALK.values(), "Knead it longer."])]
    async with start_gateway(*answers) as gateway:
        await talk(gateway, *TALK, "My dough with flour and yeast does not rise, and which city rules the French?")
    view = shown(gateway.provider.calls[-1])
    pairs = list(TALK.items())
    assert view[1:-1] == [*pairs[0], *pairs[1], *pairs[4]]


async def test_an_older_exchange_that_fits_comes_with_its_calls_and_their_results(start_gateway, keeper):
    servers = keeper("{keep: [{last: 1}, {semantic: {top_k: 1}}]}", tools="[clock.now]")
    steps = [
        [call("clock__now", call_id="a")],
        [say("It is noon in Lisbon.", "m1")],
        [say("Shakespeare.", "m2")],
        [say("Noon.", "m3")],
    ]
    async with start_gateway(*steps, servers=servers) as gateway:
        await talk(gateway, "What time is it in Lisbon?", "Who wrote Hamlet?", "Tell me the time in Lisbon again.")
    view = shown(gateway.provider.calls[-1])
    assert view[1:] == [
        "What time is it in Lisbon?",
        "call a",
        "result a",
        "It is noon in Lisbon.",
        "Tell me the time in Lisbon again.",
    ]


async def test_what_fits_the_question_but_not_the_budget_is_left_out(start_gateway, keeper):
    keeper("{budget_tokens: 60, keep: [{last: 1}, {semantic: {top_k: 1}}]}")
    bread = "How do I bake bread at home from flour, water, salt and yeast? " * 5
    answers = [[say("Slowly.", f"m{number}")] for number in range(4)]
    async with start_gateway(*answers) as gateway:
        await talk(gateway, bread, "Who wrote Hamlet?", "Which flour for the bread I bake at home?")
    assert shown(gateway.provider.calls[2]) == ["You help.", "Which flour for the bread I bake at home?"]
