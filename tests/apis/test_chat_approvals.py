"""Approvals in Chat Completions, whose clients know nothing of them: the question and the answer are words."""

import re

import pytest

from gateway.apis.chat.approvals import answer_in
from tests.apis.asking import BOTH, COUNT, MINE, chat, code_in, somebody_else, told
from tests.conftest import call, say

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("words", ["approve {}", "Approve {}.", " `approve {}` ", "please APPROVE {} thanks"])
@pytest.mark.parametrize(
    "written", [str, str.lower, lambda code: code.replace("-", ""), lambda code: code[:4] + " " + code[5:]]
)
async def test_an_approval_in_words_runs_the_call_that_was_shown(start_gateway, careful, counted, words, written):
    shown = [say("I will count."), call("clock__count", '{"forever": false}')]
    async with start_gateway(shown, [say("done")], servers=careful()) as gateway:
        question = await chat(gateway, "go")
        before = counted()
        said = await chat(gateway, "go", question, words.format(written(code_in(question))))
        seen = [item.text for item in gateway.provider.calls[-1].items if item.kind == "message"]
    assert ("I will count." in question, "clock.count" in question, '"forever": false' in question) == (True,) * 3
    assert (before, said, counted(), seen) == (0, "done", 1, ["go", "I will count."])


async def test_a_stream_asks_and_answers_the_same(start_gateway, careful, counted):
    async with start_gateway(COUNT, COUNT, [say("done")], servers=careful()) as gateway:
        whole = await chat(gateway, "go")

        async def streamed(*said):
            roles = ("user", "assistant")
            stream = await gateway.openai.chat.completions.create(
                model="careful",
                messages=[{"role": roles[n % 2], "content": text} for n, text in enumerate(said)],
                stream=True,
            )
            chunks = [chunk async for chunk in stream]
            return "".join(chunk.choices[0].delta.content or "" for chunk in chunks), chunks[-1].choices[
                0
            ].finish_reason

        question, finish = await streamed("go")
        done = await streamed("go", question, f"approve {code_in(question)}")
    assert shown_of(question) == shown_of(whole)
    assert (finish, done, counted()) == ("stop", ("done", "stop"), 1)


def shown_of(question):
    """A question without what is different in each."""
    return re.sub(r"[0-9-]+ [0-9:]+ UTC", "", question.replace(code_in(question), ""))


async def test_a_denial_in_words_brings_its_reason_to_the_model(start_gateway, careful, counted):
    async with start_gateway(COUNT, [say("as you wish")], servers=careful()) as gateway:
        question = await chat(gateway, "go")
        said = await chat(gateway, "go", question, f"Deny {code_in(question)}: far too early")
        (result,) = told(gateway)
    assert (said, "far too early" in result, counted()) == ("as you wish", True, 0)


@pytest.mark.parametrize("words", ["yes", "approve {} but for tomorrow", "What would that do?", "approve"])
async def test_anything_else_is_a_no_and_the_model_is_told(start_gateway, careful, counted, words):
    async with start_gateway(COUNT, [say("I see")], servers=careful()) as gateway:
        question = await chat(gateway, "go")
        code = code_in(question)
        said = await chat(gateway, "go", question, words.format(code))
        (result,) = told(gateway)
        late = await gateway.http.post(
            "/v1/chat/completions",
            json={"model": "careful", "messages": [{"role": "user", "content": f"approve {code}"}]},
        )
    assert (said, "did not" in result, counted()) == ("I see", True, 0)
    assert (late.status_code, late.json()["error"]["code"]) == (400, "approval_already_used")


async def test_a_code_is_good_for_one_run_of_one_call_of_one_owner(start_gateway, careful, counted):
    async with start_gateway(COUNT, [say("done")], [say("what?")], servers=careful()) as gateway:
        question = await chat(gateway, "go")
        code = code_in(question)
        roles = ("user", "assistant")
        talk = [{"role": roles[n % 2], "content": text} for n, text in enumerate(("go", question, f"approve {code}"))]
        body = {"model": "careful", "messages": talk}
        async with somebody_else(gateway) as other:
            strange = await other.post("/v1/chat/completions", json=body)
        assert counted() == 0
        first = await gateway.http.post("/v1/chat/completions", json=body)
        again = await gateway.http.post("/v1/chat/completions", json=body)
        # Edited by the client: what runs is what was asked about.
        talk[1]["content"] = question.replace("{}", '{"forever": true}')
        edited = await gateway.http.post("/v1/chat/completions", json=body)
    assert (strange.status_code, strange.json()["error"]["code"]) == (404, "approval_not_found")
    assert first.json()["choices"][0]["message"]["content"] == "done"
    refused = [
        (each.status_code, each.json()["error"]["code"], each.json()["error"]["param"]) for each in (again, edited)
    ]
    assert (refused, counted()) == ([(400, "approval_already_used", "messages")] * 2, 1)


async def test_words_that_only_look_like_an_answer_are_for_the_model(start_gateway, careful):
    async with start_gateway([say("approved what?")], servers=careful()) as gateway:
        assert await chat(gateway, "approve 2024-2025") == "approved what?"


async def test_two_questions_can_be_answered_one_by_one_or_together(start_gateway, careful, counted):
    async with start_gateway(BOTH, [say("one")], BOTH, [say("two")], servers=careful()) as gateway:
        question = await chat(gateway, "go")
        a, b = (code_in(part) for part in question.split("Any other reply")[:2])
        rest = await chat(gateway, "go", question, f"approve {a}")
        half = counted()
        one = await chat(gateway, "go", question, f"approve {a}", rest, f"deny {b}")
        question = await chat(gateway, "go")
        a, c = (code_in(part) for part in question.split("Any other reply")[:2])
        two = await chat(gateway, "go", question, f"approve {a} and {c}")
    assert (code_in(rest), half, one, two, counted()) == (b, 1, "one", "two", 3)


async def test_a_function_of_the_clients_beside_it_does_not_answer_for_the_person(start_gateway, careful, counted):
    calls = [call("mine", call_id="call_m"), *COUNT]
    tools = [{"type": "function", "function": {key: MINE[key] for key in ("name", "parameters")}}]
    async with start_gateway(calls, [say("done")], servers=careful()) as gateway:
        create = gateway.openai.chat.completions.create
        talk = [{"role": "user", "content": "go"}]
        for step in range(3):
            choice = (await create(model="careful", messages=talk, tools=tools)).choices[0]
            talk.append(choice.message.model_dump(exclude_none=True, exclude={"annotations"}))
            if step == 0:
                talk.append({"role": "tool", "tool_call_id": "call_m", "content": "ok"})
                assert choice.finish_reason == "tool_calls"
            elif step == 1:
                talk.append({"role": "user", "content": f"approve {code_in(choice.message.content)}"})
    assert (choice.message.content, counted()) == ("done", 1)


async def test_each_choice_asks_for_itself(start_gateway, careful, counted):
    async with start_gateway(COUNT, COUNT, [say("done")], servers=careful()) as gateway:
        messages = [{"role": "user", "content": "go"}]
        asked = await gateway.openai.chat.completions.create(model="careful", messages=messages, n=2)
        first, second = (choice.message.content for choice in asked.choices)
        messages += [
            {"role": "assistant", "content": second},
            {"role": "user", "content": f"approve {code_in(second)}"},
        ]
        done = await gateway.openai.chat.completions.create(model="careful", messages=messages, n=2)
        waiting = (await gateway.http.get("/v1/approvals")).json()["data"]
    assert [choice.message.content for choice in done.choices] == ["done"]
    assert ([each["code"] for each in waiting], counted()) == ([code_in(first)], 1)


async def test_what_is_stored_shows_the_question_and_the_answer_and_goes_on(start_gateway, careful, counted):
    async with start_gateway(COUNT, [say("done")], [say("next", "msg_2")], servers=careful()) as gateway:
        completions = gateway.openai.chat.completions
        question = await chat(gateway, "go", store=True)
        said = ["go", question, f"approve {code_in(question)}"]
        said.append(await chat(gateway, *said, store=True))
        await chat(gateway, *said, "and?", store=True)
        kinds = [item.kind for item in gateway.provider.calls[-1].items]
        listed = [completion async for completion in completions.list(order="asc")]
        history = (await gateway.http.get(f"/v1/chat/completions/{listed[-1].id}/messages")).json()["data"]
    assert [completion.choices[0].message.content for completion in listed] == [question, "done", "next"]
    assert [message["content"] for message in history] == [*said, "and?"]
    assert (kinds.count("tool_result"), counted()) == (1, 1)


async def test_what_is_kept_for_an_answer_only_is_not_listed(start_gateway, careful):
    async with start_gateway(COUNT, servers=careful()) as gateway:
        messages = [{"role": "user", "content": "go"}]
        asked = await gateway.openai.chat.completions.create(model="careful", messages=messages)
        listed = (await gateway.http.get("/v1/chat/completions")).json()["data"]
        one = await gateway.http.get(f"/v1/chat/completions/{asked.id}")
    assert (listed, one.status_code) == ([], 404)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("approve 3f9a-c21b", (True, ["3f9ac21b"], "")),
        ("Yes, approve 3F9A\u2013C21B!", (True, ["3f9ac21b"], "")),
        ("approved: **3F9AC21B**", (True, ["3f9ac21b"], "")),
        ("deny 3f9a-c21b not today, thanks", (False, ["3f9ac21b"], "not today, thanks")),
        ("I reject 3f9a c21b", (False, ["3f9ac21b"], "")),
        ("approve 3f9a-c21b unless it is late", None),
        ("approve 3f9a-c21", None),
        ("do not approve 3f9a-c21b", None),
        ("Could you approve 3f9a-c21b", None),
        ("approve packages", None),
        ("", None),
        ("approve 3f9a-c21b" + " " * 5000, None),
    ],
)
def test_what_counts_as_an_answer(text, said):
    found = answer_in(text)
    assert (found and (found.approved, list(found.codes), found.reason)) == said
