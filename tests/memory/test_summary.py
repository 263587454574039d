"""A summary of what is older: when it is made, that it is made once, who sees it, and what happens without it."""

import logging

import openai
import pytest

from gateway.errors import ContextTooLong, ProviderOverloaded
from gateway.providers.settings import ProviderSettings
from tests.conftest import call, say
from tests.memory.conftest import shown, talk
from tests.upstream import upstream

pytestmark = pytest.mark.anyio

LONG = "long " * 80
"""A hundred tokens."""
CONTEXT = "{budget_tokens: 400, keep: [{last: 1}, {summary: {at: 0.75}}]}"
SHOWN = "Summary of the conversation so far:\nThey talked."
SUMMED = say("They talked.", "s")


def answers(*texts):
    return [[say(text, f"m_{text}")] for text in texts]


async def test_the_older_part_is_summarised_once_and_the_summary_used_from_then_on(start_gateway, keeper):
    keeper(CONTEXT)
    before, after = answers("one", "two"), answers("three", "four")
    async with start_gateway(*before, [SUMMED], after[0]) as gateway:
        third = await talk(gateway, LONG + "1", LONG + "2", LONG + "3")
        calls = gateway.provider.calls
    assert shown(calls[1]) == ["You help.", LONG + "1", "one", LONG + "2"]
    asked, transcript = shown(calls[2])
    assert asked.startswith("Summarise the conversation")
    assert transcript == f"user: {LONG}1\n\nassistant: one\n\nuser: {LONG}2\n\nassistant: two"
    assert (calls[2].tools, calls[2].models) == ((), ("scripted/one",))
    assert shown(calls[3]) == ["You help.", SHOWN, LONG + "3"]
    async with start_gateway(after[1]) as restarted:
        create = restarted.openai.responses.create
        await create(model="keeper", input="fourth", previous_response_id=third.id)
        assert shown(restarted.provider.calls[0]) == ["You help.", SHOWN, LONG + "3", "three", "fourth"]


async def test_everybody_can_read_the_summary_and_its_cost_is_counted(start_gateway, keeper):
    keeper(CONTEXT)
    async with start_gateway(*answers("one", "two"), [SUMMED], *answers("three")) as gateway:
        conversation = await gateway.openai.conversations.create()
        for number in (1, 2, 3):
            response = await gateway.openai.responses.create(
                model="keeper", input=f"{LONG}{number}", conversation=conversation.id
            )
        listed = await gateway.openai.conversations.items.list(conversation.id, order="asc")
        kinds = [item.type for item in listed.data]
        read = (await gateway.http.get(f"/v1/responses/{response.id}")).json()["output"]
    assert [item.type for item in response.output] == ["compaction", "message"]
    assert response.output_text == "three"
    assert kinds == ["message"] * 5 + ["compaction", "message"], "nothing was taken from the conversation"
    assert read[0]["summary"] == [{"type": "summary_text", "text": "They talked."}]
    assert response.usage is not None and response.usage.output_tokens == 10, "two calls of five tokens"


async def test_it_is_streamed_as_an_item(start_gateway, keeper):
    keeper(CONTEXT)
    async with start_gateway(*answers("one", "two"), [SUMMED], *answers("three")) as gateway:
        second = await talk(gateway, LONG, LONG)
        stream = await gateway.openai.responses.create(
            model="keeper", input=LONG, previous_response_id=second.id, stream=True
        )
        events = [event async for event in stream]
    done = [event.item.type for event in events if event.type == "response.output_item.done"]
    assert done == ["compaction", "message"]


async def test_a_later_summary_takes_in_the_one_before(start_gateway, keeper):
    keeper(CONTEXT)
    steps = [*answers("one", "two"), [SUMMED], *answers("three", "four"), [say("They talked on.", "t")], [say("five")]]
    async with start_gateway(*steps) as gateway:
        await talk(gateway, *[f"{LONG}{number}" for number in range(1, 6)])
        asked, last = gateway.provider.calls[5:]
    assert shown(asked)[1].startswith(
        f"Summary of what came before:\nThey talked.\n\nuser: {LONG}3\n\nassistant: three"
    )
    assert shown(last) == ["You help.", "Summary of the conversation so far:\nThey talked on.", f"{LONG}5"]


async def test_without_a_summary_the_oldest_goes_and_the_log_says_so(start_gateway, keeper, caplog):
    keeper(CONTEXT.replace("400", "220"))
    steps = [*answers("one", "two"), ProviderOverloaded("Too busy."), *answers("three")]
    with caplog.at_level(logging.WARNING, "gateway.memory"):
        async with start_gateway(*steps) as gateway:
            response = await talk(gateway, "first", LONG, LONG + "3")
            assert shown(gateway.provider.calls[-1]) == ["You help.", LONG, "two", LONG + "3"]
    assert response.output_text == "three"
    assert "goes on without a summary of what is older: Too busy." in caplog.text


async def test_an_empty_summary_is_none(start_gateway, keeper):
    keeper(CONTEXT)
    async with start_gateway(*answers("one", "two"), [say("  ", "s")], *answers("three")) as gateway:
        response = await talk(gateway, LONG, LONG, LONG)
        assert shown(gateway.provider.calls[-1])[1:] == [LONG, "one", LONG, "two", LONG]
    assert [item.type for item in response.output] == ["message"]


async def test_a_summary_is_cut_to_its_share_of_the_budget(start_gateway, keeper):
    keeper(CONTEXT)
    async with start_gateway(*answers("one", "two"), [say("é" * 400, "s")], *answers("three")) as gateway:
        await talk(gateway, LONG, LONG, LONG)
        summary = gateway.provider.calls[-1].items[1]
    assert summary.text.endswith("\n" + "é" * 100), "200 bytes: an eighth of 400 tokens"


async def test_a_conversation_that_was_changed_does_not_have_it_any_more(start_gateway, keeper):
    keeper(CONTEXT)
    steps = [*answers("one", "two"), [SUMMED], *answers("three"), [say("Less.", "s2")], *answers("four")]
    async with start_gateway(*steps) as gateway:
        conversation = await gateway.openai.conversations.create()
        create = gateway.openai.responses.create
        for number in (1, 2, 3):
            await create(model="keeper", input=f"{LONG}{number}", conversation=conversation.id)
        listed = await gateway.openai.conversations.items.list(conversation.id, order="asc")
        await gateway.openai.conversations.items.delete(listed.data[0].id, conversation_id=conversation.id)
        await create(model="keeper", input=f"{LONG}4", conversation=conversation.id)
        asked, last = gateway.provider.calls[4:]
    assert f"{LONG}1" not in shown(asked)[1] and "They talked" not in shown(asked)[1]
    assert "Less." in shown(last)[1]


async def test_who_sends_the_whole_conversation_each_time_pays_for_one_summary(start_gateway, keeper):
    keeper(CONTEXT)
    said = [{"role": role, "content": f"{LONG}{number}"} for number in (1, 2) for role in ("user", "assistant")]
    async with start_gateway([SUMMED], *answers("three", "four")) as gateway:
        create = gateway.openai.chat.completions.create
        first = await create(model="keeper", messages=[*said, {"role": "user", "content": "third"}])
        more = [{"role": "user", "content": "third"}, {"role": "assistant", "content": "three"}]
        await create(model="keeper", messages=[*said, *more, {"role": "user", "content": "fourth"}])
        calls = gateway.provider.calls
    assert first.choices[0].message.content == "three"
    assert len(calls) == 3
    assert shown(calls[1]) == ["You help.", SHOWN, "third"]
    assert shown(calls[2]) == ["You help.", SHOWN, "third", "three", "fourth"]


async def test_a_client_that_keeps_the_conversation_may_send_the_summary_back(start_gateway, keeper):
    keeper(CONTEXT)
    async with start_gateway(*answers("one", "two"), [SUMMED], *answers("three")) as gateway:
        create = gateway.openai.responses.create
        kept = []
        for number in (1, 2, 3):
            kept.append({"role": "user", "content": f"{LONG}{number}"})
            response = await create(model="keeper", input=kept, store=False)
            kept += [item.model_dump(exclude_none=True) for item in response.output]
    async with start_gateway(*answers("four")) as restarted:
        await restarted.openai.responses.create(
            model="keeper", input=[*kept, {"role": "user", "content": "fourth"}], store=False
        )
        view = shown(restarted.provider.calls[0])
    assert view == ["You help.", SHOWN, LONG + "3", "three", "fourth"]


async def test_a_summary_that_is_sent_back_to_another_agent_is_not_shown_to_its_model(start_gateway, keeper):
    keeper(CONTEXT)
    summary = {"type": "compaction", "encrypted_content": "x", "summary": [{"type": "summary_text", "text": "No."}]}
    async with start_gateway(*answers("one")) as gateway:
        await gateway.openai.responses.create(model="keeper", input=[summary, {"role": "user", "content": "first"}])
        assert shown(gateway.provider.calls[0]) == ["You help.", "first"]


async def test_a_run_of_several_steps_makes_it_once(start_gateway, keeper):
    servers = keeper(CONTEXT, tools="[clock.now]")
    steps = [*answers("one", "two"), [SUMMED], [call("clock__now", call_id="a")], *answers("three")]
    async with start_gateway(*steps, servers=servers) as gateway:
        response = await talk(gateway, LONG, LONG, LONG + "3")
        assert shown(gateway.provider.calls[-1])[1:] == [SHOWN, LONG + "3", "call a", "result a"]
    assert [item.type for item in response.output] == ["compaction", "mcp_call", "message"]


async def test_another_agent_does_not_have_the_summary_of_what_is_not_stored(start_gateway, keeper, home):
    keeper(CONTEXT)
    text = (home / "agents" / "keeper.yaml").read_text()
    (home / "agents" / "other.yaml").write_text(text.replace("keeper", "other").replace("You help.", "You judge."))
    said = [{"role": role, "content": f"{LONG}{number}"} for number in (1, 2) for role in ("user", "assistant")]
    said.append({"role": "user", "content": "third"})
    steps = [[SUMMED], *answers("three"), [say("They argued.", "t")], *answers("four", "five")]
    async with start_gateway(*steps) as gateway:
        for model in ("keeper", "other", "keeper"):
            await gateway.openai.chat.completions.create(model=model, messages=said)
        calls = gateway.provider.calls
    assert [shown(calls[number]) for number in (1, 3, 4)] == [
        ["You help.", SHOWN, "third"],
        ["You judge.", SHOWN.replace("talked", "argued"), "third"],
        ["You help.", SHOWN, "third"],
    ]


async def test_what_is_said_decides_which_summary_a_conversation_has(start_gateway, keeper):
    keeper(CONTEXT)
    steps = [[SUMMED], *answers("three"), [say("They argued.", "t")], *answers("four")]
    async with start_gateway(*steps) as gateway:
        for number in (1, 2):
            said = [{"role": role, "content": f"{LONG}{number}"} for role in ("user", "assistant") * 2]
            await gateway.openai.chat.completions.create(
                model="keeper", messages=[*said, {"role": "user", "content": "third"}]
            )
        assert [shown(asked)[1] for asked in gateway.provider.calls[1::2]] == [SHOWN, SHOWN.replace("talked", "argued")]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_run_that_made_a_summary_and_then_failed_is_an_error_like_another(start_gateway, keeper, stream):
    keeper(CONTEXT)
    async with start_gateway(*answers("one", "two"), [SUMMED], ContextTooLong("It is too long.")) as gateway:
        second = await talk(gateway, LONG, LONG)
        with pytest.raises(openai.BadRequestError) as refused:
            await gateway.openai.responses.create(
                model="keeper", input=LONG, previous_response_id=second.id, stream=stream
            )
    assert refused.value.code == "context_length_exceeded"


async def test_an_empty_summary_is_answered_and_paid_for_all_the_same(start_gateway, home):
    agent = f"name: keeper\nmodel: x/m\ninstructions: You help.\ncontext: {CONTEXT}\n"
    (home / "agents" / "keeper.yaml").write_text(agent)
    async with upstream({"text": "one"}, {"text": "two"}, {"text": ""}, {"text": "three"}) as seen:
        provider = ProviderSettings(name="x", base_url=seen.url, api_key="sk-secret-of-the-host")
        async with start_gateway(providers={"x": provider}, models=("x/*",)) as gateway:
            third = await talk(gateway, LONG, LONG, LONG)
            asked = (await gateway.http.get(f"/v1/responses/{third.id}/prompt")).json()["data"]
    assert third.output_text == "three" and [item.type for item in third.output] == ["message"]
    assert [(one["status"], one["usage"]["input_tokens"]) for one in asked] == [("completed", 10)] * 2
    assert third.usage.input_tokens == 20


async def test_a_summary_beside_a_compaction_is_kept_and_paid_for(start_gateway, keeper):
    """The newest question, which a compaction leaves, is too long for the context itself."""
    keeper(CONTEXT)
    function = {"type": "function", "name": "ask", "parameters": {"type": "object", "properties": {}}}
    steps = [[call("ask")], [say("It was compacted.", "c")], [SUMMED], *answers("done")]
    async with start_gateway(*steps) as gateway:
        create = gateway.openai.responses.create
        first = await create(model="keeper", input=LONG * 5, tools=[function])
        response = await create(
            model="keeper",
            input=[{"type": "function_call_output", "call_id": "call_1", "output": LONG * 5}],
            previous_response_id=first.id,
            tools=[function],
            context_management=[{"type": "compaction", "compact_threshold": 500}],
        )
        assert len(gateway.provider.calls) == 4 and shown(gateway.provider.calls[-1])[1] == SHOWN
        stored = await gateway.openai.responses.retrieve(response.id)
    assert [item.type for item in response.output] == ["compaction", "compaction", "message"]
    assert stored.output == response.output
    assert (response.usage.input_tokens, response.usage.output_tokens) == (30, 15)
