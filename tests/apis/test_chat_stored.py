"""Completions that are stored: found again, listed, and stored once however often a client sends its history."""

import contextlib
import sqlite3

import openai
import pytest

from gateway.errors import ProviderRateLimited
from gateway.providers.settings import ProviderSettings
from gateway.stores.keys import KeyRing
from tests.conftest import call, say
from tests.upstream import upstream

pytestmark = pytest.mark.anyio

HI = [{"role": "user", "content": "hi"}]
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


def user(text):
    return {"role": "user", "content": text}


def stored_items(gateway):
    """(turns, items of input, items of output) in the database."""
    with contextlib.closing(sqlite3.connect(gateway.settings.data / "homeport.db")) as db:
        (turns,) = db.execute("select count(*) from turns").fetchone()
        (given,) = db.execute("select count(*) from items where output = 0").fetchone()
        (made,) = db.execute("select count(*) from items where output = 1").fetchone()
    return turns, given, made


async def ask(gateway, messages, **more):
    """The completion, and the history with its answer in it."""
    completion = await gateway.openai.chat.completions.create(model="helper", messages=messages, store=True, **more)
    return completion, [*messages, completion.choices[0].message.model_dump(exclude_none=True)]


async def test_a_stored_completion_is_retrieved_changed_and_deleted(start_gateway):
    async with start_gateway([say("hello", "a")], [say("bye", "b")]) as gateway:
        completions = gateway.openai.chat.completions
        made = await completions.create(model="helper", messages=HI, store=True, metadata={"a": "1"}, temperature=0.5)
        passing = await completions.create(model="helper", messages=HI)
        kept = await completions.retrieve(made.id)
        changed = await completions.update(made.id, metadata={"b": "2"})
        again = await completions.retrieve(made.id)
        gone = await completions.delete(made.id)
        for id in (made.id, passing.id):
            with pytest.raises(openai.NotFoundError):
                await completions.retrieve(id)
        listed = [completion.id async for completion in completions.list()]
    assert (kept.choices, kept.usage, kept.created) == (made.choices, made.usage, made.created)
    assert (kept.metadata, kept.temperature) == ({"a": "1"}, 0.5)
    assert (changed.metadata, again.metadata) == ({"b": "2"}, {"b": "2"})
    assert (gone.id, gone.deleted, listed) == (made.id, True, [])


async def test_a_streamed_completion_is_stored_as_it_was_shown(start_gateway):
    async with start_gateway([say("I look.", "a"), call("nothing")], [say("hello", "b")]) as gateway:
        stream = await gateway.openai.chat.completions.create(model="helper", messages=HI, store=True, stream=True)
        chunks = [chunk async for chunk in stream]
        kept = await gateway.openai.chat.completions.retrieve(chunks[0].id)
    shown = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert (
        (kept.choices[0].message.content, kept.choices[0].finish_reason)
        == (shown, "stop")
        == ("I look.\n\nhello", "stop")
    )


async def test_choices_of_one_completion_are_stored_as_one(start_gateway):
    async with start_gateway([say("a")], [say("b")]) as gateway:
        completions = gateway.openai.chat.completions
        made = await completions.create(model="helper", messages=HI, store=True, n=2)
        kept = await completions.retrieve(made.id)
        listed = [completion.id async for completion in completions.list()]
        await completions.delete(made.id)
        left = stored_items(gateway)
    assert (kept.choices, kept.usage, listed) == (made.choices, made.usage, [made.id])
    assert left == (0, 0, 0)


async def test_lists_are_paged_and_filtered(start_gateway, home):
    (home / "agents" / "other.yaml").write_text("name: other\nmodel: scripted/one\n")
    async with start_gateway(*[[say("ok")] for _ in range(6)]) as gateway:
        completions = gateway.openai.chat.completions
        made = []
        for number in range(5):
            metadata = {"parity": str(number % 2), 'quo"te': "x"}
            completion = await completions.create(model="helper", messages=HI, store=True, metadata=metadata)
            made.append(completion.id)
        other = await completions.create(model="other", messages=HI, store=True)
        everything = [completion.id async for completion in completions.list(limit=2)]
        backwards = [completion.id async for completion in completions.list(limit=4, order="desc")]
        even = [
            completion.id async for completion in completions.list(metadata={"parity": "0", 'quo"te': "x"}, limit=1)
        ]
        others = [completion.id async for completion in completions.list(model="other")]
        page = (await gateway.http.get("/v1/chat/completions", params={"limit": 2, "after": made[0]})).json()
        earlier = (await gateway.http.get("/v1/chat/completions", params={"limit": 2, "before": made[3]})).json()
        wrong = [
            (await gateway.http.get("/v1/chat/completions", params=params)).json()["error"]["param"]
            for params in ({"limit": 101}, {"order": "up"}, {"after": "chatcmpl-none"}, {"before": "chatcmpl-none"})
        ]
    assert everything == [*made, other.id]
    assert backwards == everything[::-1]
    assert (even, others) == (made[::2], [other.id])
    assert (page["object"], page["first_id"], page["last_id"], page["has_more"]) == ("list", made[1], made[2], True)
    assert ([each["id"] for each in earlier["data"]], earlier["has_more"]) == (made[1:3], True)
    assert wrong == ["limit", "order", "after", "before"]


async def test_a_completion_is_its_owners_alone(start_gateway):
    async with start_gateway([say("hello")], [say("hello")]) as gateway:
        made, _ = await ask(gateway, HI)
        response = await gateway.openai.responses.create(model="helper", input="hi")
        ring = KeyRing(gateway.settings.keys_path)
        other = {"authorization": f"Bearer {ring.create('other')}"}
        path = f"/v1/chat/completions/{made.id}"
        asked = [
            await gateway.http.get(path, headers=other),
            await gateway.http.get(f"{path}/messages", headers=other),
            await gateway.http.post(path, headers=other, json={"metadata": {}}),
            await gateway.http.delete(path, headers=other),
            await gateway.http.get(f"/v1/chat/completions/{response.id}"),
            await gateway.http.get(f"/v1/responses/{made.id}"),
        ]
        listed = (await gateway.http.get("/v1/chat/completions", headers=other)).json()["data"]
        mine = [completion.id async for completion in gateway.openai.chat.completions.list()]
    assert ([answer.status_code for answer in asked], listed, mine) == ([404] * 6, [], [made.id])


async def test_one_without_an_answer_is_not_shown(start_gateway):
    async with start_gateway(ProviderRateLimited()) as gateway:
        with pytest.raises(openai.RateLimitError):
            await ask(gateway, HI)
        assert [completion.id async for completion in gateway.openai.chat.completions.list()] == []


async def test_history_that_is_sent_again_is_stored_once(start_gateway):
    calling = [call("weather", '{"city":"Oslo"}')]
    async with start_gateway([say("hello", "a")], calling, [say("It rains.", "b")], [say("Bye.", "c")]) as gateway:
        system = {"role": "system", "content": "Be kind."}
        _, history = await ask(gateway, [system, *HI])
        _, history = await ask(gateway, [*history, user("weather?")], tools=[WEATHER])
        # Clients make up ids of their own.
        history[-1]["tool_calls"][0]["id"] = "mine"
        result = {"role": "tool", "tool_call_id": "mine", "content": "rain"}
        _, history = await ask(gateway, [*history, result], tools=[WEATHER])
        last, history = await ask(gateway, [*history, user("bye")], tools=[WEATHER])
        assert stored_items(gateway) == (4, 5, 4)
        messages = (await gateway.http.get(f"/v1/chat/completions/{last.id}/messages", params={"limit": 3})).json()
        rest = {"after": messages["last_id"], "order": "asc"}
        others = (await gateway.http.get(f"/v1/chat/completions/{last.id}/messages", params=rest)).json()
        seen = gateway.provider.calls[-1].items
    assert [item.kind for item in seen] == ["message"] * 5 + ["tool_call", "tool_result"] + ["message"] * 2
    assert seen[5].call_id == seen[6].call_id
    assert (messages["has_more"], others["has_more"]) == (True, False)
    listed = [*messages["data"], *others["data"]]
    assert [message["id"] for message in listed] == [f"{last.id}-{n}" for n in range(8)]
    assert [(message["role"], message["content"]) for message in listed] == [
        ("system", "Be kind."),
        ("user", "hi"),
        ("assistant", "hello"),
        ("user", "weather?"),
        ("assistant", None),
        ("tool", "rain"),
        ("assistant", "It rains."),
        ("user", "bye"),
    ]


async def test_an_edit_is_a_branch_from_the_last_turn_that_is_still_so(start_gateway):
    async with start_gateway(*[[say(text, text)] for text in ("one", "two", "three", "other")]) as gateway:
        _, first = await ask(gateway, HI)
        _, second = await ask(gateway, [*first, user("b")])
        await ask(gateway, [*second, user("c")])
        before = stored_items(gateway)
        await ask(gateway, [*first, user("b, but better"), {"role": "assistant", "content": "made up"}, user("c")])
        after = stored_items(gateway)
        seen = [item.text for item in gateway.provider.calls[-1].items]
    assert (before, after) == ((3, 3, 3), (4, 6, 4))
    assert seen == ["You help.", "hi", "one", "b, but better", "made up", "c"]


async def test_a_functions_answer_continues_the_turn_that_called_it(start_gateway):
    functions = [{"name": "weather", "parameters": {"type": "object"}}]
    async with start_gateway([call("weather")], [say("It rains.")]) as gateway:
        _, history = await ask(gateway, HI, functions=functions)
        result = {"role": "function", "name": "weather", "content": "rain"}
        await ask(gateway, [*history, result], functions=functions)
        assert stored_items(gateway) == (2, 2, 2)


async def test_an_answer_that_the_gateways_tools_helped_with_is_known_again(start_gateway):
    """What the client has seen of it is less than what is stored, and the model sees what is stored."""
    async with start_gateway([say("I look.", "a"), call("nothing")], [say("hello", "b")], [say("c", "c")]) as gateway:
        _, history = await ask(gateway, HI)
        await ask(gateway, [*history, user("and?")])
        seen = [item.kind for item in gateway.provider.calls[-1].items]
        assert stored_items(gateway) == (2, 2, 5)
    assert seen == ["message", "message", "message", "tool_call", "tool_result", "message", "message"]


async def test_a_deleted_turn_is_not_continued(start_gateway):
    async with start_gateway([say("a", "a")], [say("b", "b")]) as gateway:
        made, history = await ask(gateway, HI)
        await gateway.openai.chat.completions.delete(made.id)
        await ask(gateway, [*history, user("more")])
        assert stored_items(gateway) == (1, 3, 1)


async def test_a_raw_models_completion_is_stored_here_too(start_gateway):
    async with upstream({"text": "hello"}) as provider:
        lab = ProviderSettings(name="lab", base_url=provider.url, api_key="k")
        async with start_gateway(providers={"lab": lab}, models=("lab/m",)) as gateway:
            made = await gateway.openai.chat.completions.create(model="lab/m", messages=HI, store=True)
            kept = await gateway.openai.chat.completions.retrieve(made.id)
    assert (kept.choices[0].message.content, "store" in provider.requests[0]) == ("hello", False)
