"""`Idempotency-Key`: a request that is sent again is answered again, and nothing is done a second time."""

import asyncio
import gc
import json

import anyio
import pytest

from gateway.apis import _idempotency
from gateway.errors import ProviderOverloaded
from gateway.ports import Turn
from tests.apis.asking import BOTH, somebody_else
from tests.conftest import call, say
from tests.guests import LOCAL, until
from tests.servers.guest import TOKEN

pytestmark = pytest.mark.anyio

ASK = {"model": "helper", "input": "hi"}
CHAT = {"model": "helper", "messages": [{"role": "user", "content": "hi"}]}
BODIES = {
    "/v1/responses": ASK,
    "/v1/responses#unstored": {**ASK, "store": False},
    "/v1/chat/completions": CHAT,
    "/v1/chat/completions#stored": {**CHAT, "store": True},
    "/v1/chat/completions#choices": {**CHAT, "store": True, "n": 2},
    "/v1/chat/completions#unstored-choices": {**CHAT, "n": 2},
}


async def post(gateway, path, body, key="k1", http=None):
    headers = {} if key is None else {"idempotency-key": key}
    return await (http or gateway.http).post(path.partition("#")[0], json=body, headers=headers)


def error(answer):
    said = answer.json()["error"]
    assert said.keys() == {"message", "type", "param", "code"}
    return answer.status_code, said["code"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", BODIES)
async def test_the_same_answer_is_given_again_without_a_second_run(start_gateway, path, stream):
    body = {**BODIES[path], "stream": stream}
    async with start_gateway([say("one two")], [say("three four", "msg_2")], [say("five")]) as gateway:
        first = await post(gateway, path, body)
        again = await post(gateway, path.replace("/v1", ""), body)
        calls = len(gateway.provider.calls)
    # Choices that are streamed side by side may take turns in another order.
    assert (first.status_code, sorted(first.text.split("\n\n"))) == (200, sorted(again.text.split("\n\n")))
    assert calls == body.get("n", 1)
    assert (first.headers.get("idempotent-replayed"), again.headers["idempotent-replayed"]) == (None, "true")


@pytest.mark.parametrize("stream", [False, True])
async def test_the_same_answer_is_given_after_a_restart(start_gateway, stream):
    body = {**ASK, "stream": stream}
    async with start_gateway([say("one two three")]) as gateway:
        first = await post(gateway, "/v1/responses", body)
    async with start_gateway([say("another")]) as gateway:
        again = await post(gateway, "/v1/responses", body)
        assert gateway.provider.calls == []
    assert first.content == again.content


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/chat/completions"])
@pytest.mark.parametrize("store", [False, True])
async def test_a_run_that_is_still_going_on_is_joined(start_gateway, path, store):
    hold = asyncio.Event()
    body = {**BODIES[path], "store": store}
    async with start_gateway([hold, say("done")], [say("second")]) as gateway:
        answers = []

        async def ask():
            answers.append(await post(gateway, path, body))

        async with anyio.create_task_group() as asking:
            asking.start_soon(ask)
            while not gateway.provider.calls:
                await anyio.lowlevel.checkpoint()
            asking.start_soon(ask)
            # A third, which streams nothing: refused while the first two wait, so the key is known by then.
            other = await post(gateway, path, {**body, "user": "else"})
            hold.set()
        assert len(gateway.provider.calls) == 1
    assert error(other) == (400, "idempotency_key_reused")
    assert answers[0].content == answers[1].content


@pytest.mark.parametrize("path", BODIES)
async def test_another_body_is_refused_and_another_key_or_owner_asks_anew(start_gateway, path):
    body = {**BODIES[path]}
    once = [[say("a")]] * body.get("n", 1)
    async with start_gateway(*once, *once, *once) as gateway:
        await post(gateway, path, body)
        other = await post(gateway, path, {**body, "temperature": 1})
        assert error(other) == (400, "idempotency_key_reused")
        await post(gateway, path, body, key="k2")
        assert len(gateway.provider.calls) == 2 * len(once)
        async with somebody_else(gateway) as stranger:
            theirs = await post(gateway, path, body, http=stranger)
    assert "idempotent-replayed" not in theirs.headers


async def test_a_key_of_more_than_255_characters_or_none_is_refused(start_gateway):
    async with start_gateway() as gateway:
        for key in ("k" * 256, ""):
            assert error(await post(gateway, "/v1/responses", ASK, key=key)) == (400, "invalid_idempotency_key")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", ["/v1/responses", "/v1/chat/completions#stored", "/v1/chat/completions"])
async def test_what_failed_before_it_did_anything_is_tried_again(start_gateway, path, stream):
    """It is what a client sends a request again for."""
    async with start_gateway(ProviderOverloaded(), [say("better")]) as gateway:
        body = {**BODIES[path], "stream": stream}
        assert (await post(gateway, path, body)).status_code == 503
        again = await post(gateway, path, body)
    assert again.status_code == 200
    assert "idempotent-replayed" not in again.headers


@pytest.mark.parametrize("store", [False, True])
async def test_what_failed_after_a_tool_ran_is_not(start_gateway, careful, counted, store):
    careful(approval="never")
    async with start_gateway([call("clock__count")], ProviderOverloaded(), servers=careful("never")) as gateway:
        body = {"model": "careful", "messages": [{"role": "user", "content": "count"}], "store": store}
        first, again = [await post(gateway, "/v1/chat/completions", body) for _ in range(2)]
        assert len(gateway.provider.calls) == 2
    assert (first.status_code, first.content) == (again.status_code, again.content) == (503, first.content)
    assert (first.headers["x-should-retry"], again.headers["x-should-retry"]) == ("false", "false")
    assert counted() == 1


async def test_a_client_that_hangs_up_finds_its_answer_when_it_comes_back(start_gateway):
    hold = asyncio.Event()
    body = {**ASK, "store": False}
    async with start_gateway([hold, say("done")], [say("second")]) as gateway:
        async with anyio.create_task_group() as asking:
            asking.start_soon(post, gateway, "/v1/responses", body)
            while not gateway.provider.calls:
                await anyio.lowlevel.checkpoint()
            asking.cancel_scope.cancel()
        hold.set()
        again = (await post(gateway, "/v1/responses", body)).json()
    assert again["output"][0]["content"][0]["text"] == "done"


async def test_a_response_in_the_background_is_queued_once(start_gateway):
    async with start_gateway([say("done")]) as gateway:
        first, again = [(await post(gateway, "/v1/responses", {**ASK, "background": True})).json() for _ in range(2)]
        gone = await gateway.http.delete(f"/v1/responses/{first['id']}")
    assert (first, gone.status_code) == (again, 200)


async def test_conversations_and_their_items_are_made_once(start_gateway):
    item = {"type": "message", "role": "user", "content": "hi"}
    async with start_gateway() as gateway:
        for body in ({}, {"items": [item]}):
            made = [(await post(gateway, "/v1/conversations", body, key=str(body))).json() for _ in range(2)]
            assert made[0] == made[1]
        assert (
            error(await post(gateway, "/v1/conversations", {"metadata": {}}, key="{}"))[1] == "idempotency_key_reused"
        )
        url = f"/v1/conversations/{made[0]['id']}/items"
        added = [(await post(gateway, url, {"items": [item, item]})).json() for _ in range(2)]
        listed = (await gateway.http.get(url)).json()["data"]
    assert added[0] == added[1]
    assert len(listed) == 3


async def test_conversations_are_still_known_after_a_restart(start_gateway):
    async with start_gateway() as gateway:
        made = (await post(gateway, "/v1/conversations", {})).json()
    async with start_gateway() as gateway:
        assert (await post(gateway, "/v1/conversations", {})).json() == made
        await gateway.http.delete(f"/v1/conversations/{made['id']}")
        assert (await post(gateway, "/v1/conversations", {})).json()["id"] != made["id"]


async def test_an_approval_is_answered_once_and_told_again(start_gateway, careful, counted):
    async with start_gateway(BOTH[:1], [say("done")], servers=careful()) as gateway:
        asked = (await post(gateway, "/v1/responses", {"model": "careful", "input": "count"}, key=None)).json()
        url = f"/v1/approvals/{asked['output'][0]['id']}"
        said = [await post(gateway, url, {"approve": True}) for _ in range(2)]
        other = await post(gateway, url, {"approve": False})
        followed = await gateway.http.get(f"/v1/responses/{said[0].json()['response_id']}?stream=true")
    assert [answer.json()["status"] for answer in said] == ["approved", "approved"]
    assert said[0].json() == said[1].json()
    assert error(other) == (400, "idempotency_key_reused")
    assert json.loads(followed.text.split("data: ")[-2])["response"]["status"] == "completed"
    assert counted() == 1


@pytest.fixture
def small(monkeypatch):
    """Memory for three answers, of which one owner may have two."""
    for name, size in {"MOST_HELD": 3000, "MOST_OF_ONE": 2000, "LEAST": 1000, "EVENT": 1}.items():
        monkeypatch.setattr(_idempotency, name, size)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("path", ["/v1/responses#unstored", "/v1/chat/completions"])
async def test_an_owner_loses_the_oldest_answers_and_nobody_elses(start_gateway, path):
    steps = [[say(text)] for text in ("theirs", "one", "two", "three", "one again")]
    async with start_gateway(*steps) as gateway, somebody_else(gateway) as stranger:
        theirs = await post(gateway, path, BODIES[path], http=stranger)
        for key in ("k1", "k2", "k3"):
            await post(gateway, path, BODIES[path], key)
        again = [await post(gateway, path, BODIES[path], key) for key in ("k3", "k2", "k1")]
        told = await post(gateway, path, BODIES[path], http=stranger)
    assert [answer.headers.get("idempotent-replayed") for answer in again] == ["true", "true", None]
    assert (told.content, told.headers["idempotent-replayed"]) == (theirs.content, "true")


@pytest.mark.usefixtures("small")
async def test_what_is_short_for_all_is_taken_from_who_holds_most(start_gateway):
    path, body = "/v1/chat/completions", CHAT
    steps = [[say(text)] for text in ("first", "one", "two", "another", "one again")]
    async with start_gateway(*steps) as gateway, somebody_else(gateway) as second, somebody_else(gateway, "c") as third:
        await post(gateway, path, body, http=second)
        for key in ("k1", "k2"):
            await post(gateway, path, body, key)
        await post(gateway, path, body, http=third)
        told = [await post(gateway, path, body, http=http) for http in (second, third)]
        again = [await post(gateway, path, body, key) for key in ("k2", "k1")]
    assert [answer.headers.get("idempotent-replayed") for answer in told + again] == ["true", "true", "true", None]


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("path", ["/v1/responses#unstored", "/v1/chat/completions"])
async def test_a_run_that_goes_on_is_not_forgotten_and_one_without_room_does_not_begin(start_gateway, path):
    hold = asyncio.Event()
    steps = [[hold, say("one")], [hold, say("one")], [say("theirs")], [say("three")]]
    async with start_gateway(*steps) as gateway, somebody_else(gateway) as stranger:
        answers = []

        async def ask(key):
            answers.append(await post(gateway, path, BODIES[path], key))

        async with anyio.create_task_group() as asking:
            for key in ("k1", "k2"):
                asking.start_soon(ask, key)
            while len(gateway.provider.calls) < 2:
                await anyio.lowlevel.checkpoint()
            refused = await post(gateway, path, BODIES[path], "k3")
            theirs = await post(gateway, path, BODIES[path], http=stranger)
            assert len(gateway.provider.calls) == 3
            hold.set()
        told = [await post(gateway, path, BODIES[path], key) for key in ("k1", "k2", "k3")]
    assert error(refused) == (429, "too_many_idempotency_keys")
    assert (refused.json()["error"]["type"], refused.headers["retry-after"]) == ("rate_limit_error", "1")
    assert theirs.status_code == 200
    assert sorted(answer.content for answer in told[:2]) == sorted(answer.content for answer in answers)
    assert (told[2].status_code, told[2].headers.get("idempotent-replayed")) == (200, None)


@pytest.mark.usefixtures("small")
async def test_a_request_that_does_not_begin_takes_no_room(start_gateway):
    """Nor does one that is larger than what an owner may have, when it is the only one."""
    unknown = {**CHAT, "messages": [{"role": "tool", "tool_call_id": "c", "content": "?"}]}
    async with start_gateway([say("one")], [say("two")]) as gateway:
        for key in ("k1", "k2", "k3"):
            assert (await post(gateway, "/v1/chat/completions", unknown, key)).status_code == 400
        large = {**CHAT, "user": "x" * 2500}
        answers = [await post(gateway, "/v1/chat/completions", large) for _ in range(2)]
    assert [answer.headers.get("idempotent-replayed") for answer in answers] == [None, "true"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_a_run_that_is_held_has_no_credentials_any_more(start_gateway, guest):
    body = {**ASK, "store": False, "tools": [guest.tool()]}
    async with start_gateway([say("one")], **LOCAL) as gateway:
        await post(gateway, "/v1/responses", body)
        again = await post(gateway, "/v1/responses", body)
        # The connections of a run end in the background.
        await until(lambda: not servers())
        assert [turn for turn in turns() if turn.key]
    assert again.headers["idempotent-replayed"] == "true" and TOKEN not in again.text


def turns():
    gc.collect()
    return [one for one in gc.get_objects() if isinstance(one, Turn)]


def servers():
    return [server for turn in turns() for server in turn.servers]


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("named", [True, False])
async def test_what_a_request_names_and_is_told_counts_as_what_it_sends(start_gateway, named):
    large = {"type": "message", "role": "user", "id": "msg_large", "content": "x" * 2500}
    first = {**ASK, "store": False, "input": [{"type": "item_reference", "id": "msg_large"}] if named else "hi"}
    steps = [[say("ok")], [say("one" if named else "y" * 2500, "b")], [say("two", "c")], [say("one again", "d")]]
    async with start_gateway(*steps) as gateway:
        await post(gateway, "/v1/responses", {**ASK, "input": [large]}, key=None)
        await post(gateway, "/v1/responses", first, "k1")
        held = await post(gateway, "/v1/responses", first, "k1")
        await post(gateway, "/v1/responses", {**ASK, "store": False}, "k2")
        gone = await post(gateway, "/v1/responses", first, "k1")
    assert [answer.headers.get("idempotent-replayed") for answer in (held, gone)] == ["true", None]
