"""What was accepted of `response.steer` is used, whatever becomes of the connection and of the gateway."""

import asyncio
import json
import socket
import sqlite3
from contextlib import closing

import pytest

from gateway.errors import ProviderError
from tests.apis.asking import BOTH, COUNT, somebody_else
from tests.apis.test_steering import FUNCTION, STEERS, Connection, Held, keeper, open_socket, seen
from tests.conftest import call, say

pytestmark = pytest.mark.anyio

__all__ = ["keeper"]


async def ask(gateway, **body):
    answer = await gateway.http.post("/v1/responses", json={"model": "keeper", **body})
    assert answer.status_code == 200, answer.text
    return answer.json()


def said(gateway):
    return [text for _, text in seen(gateway) if text]


async def test_what_a_closed_connection_left_stands_before_the_next_request(start_gateway, keeper):
    held = Held(call("clock__now"))
    steps = [held, [say("13:00.")], [say("14:00.", "b")]]
    async with start_gateway(*steps, servers=keeper) as gateway:
        async with open_socket(gateway) as socket:
            connection = Connection(socket)
            first = await connection.create(input="time?")
            await held.asked.wait()
            for input in ("In Oslo.", [{"role": "user", "content": "Now."}]):
                assert (await connection.steer(first, input))["type"] == "response.steer.accepted"
        held.go.set()
        await ask(gateway, previous_response_id=first, input="Well?")
        once = said(gateway)
        ended = (await gateway.http.get(f"/v1/responses/{first}")).json()
        await ask(gateway, previous_response_id=first, input="Well?")
        again = said(gateway)
    assert once == ["time?", "12:00 UTC", "In Oslo.", "Now.", "Well?"]
    assert again == ["time?", "12:00 UTC", "Well?"]
    assert ended["incomplete_details"] == {"reason": "steered"}


async def test_it_outlives_the_gateway(start_gateway, keeper):
    held = Held(call("clock__now"))
    async with start_gateway(held, servers=keeper) as gateway, open_socket(gateway) as socket:
        connection = Connection(socket)
        first = await connection.create(input="time?")
        await held.asked.wait()
        accepted = await connection.steer(first, "In Oslo.")
    async with start_gateway([say("12:00.", "a")], [say("13:00.", "b")], servers=keeper) as gateway:
        # A request that is refused uses nothing.
        body = {"model": "keeper", "previous_response_id": first, "input": [{"role": "nobody", "content": ""}]}
        refused = await gateway.http.post("/v1/responses", json=body)
        async with somebody_else(gateway) as stranger:
            stolen = await stranger.post("/v1/responses", json={**body, "input": "Well?"})
        await ask(gateway, previous_response_id=first, input="Well?")
        shown = said(gateway)
    assert accepted["type"] == "response.steer.accepted"
    # Nor is it part of what the request is told about its own input.
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "input[0].role")
    assert (stolen.status_code, stolen.json()["error"]["code"]) == (400, "previous_response_not_found")
    assert shown == ["time?", "12:00.", "In Oslo.", "Well?"]


@pytest.mark.parametrize("by_socket", [True, False])
async def test_what_waits_for_the_client_to_act_is_there_when_it_does(start_gateway, by_socket):
    held = Held(call("ask_user"))
    async with start_gateway(held) as gateway, open_socket(gateway) as socket:
        connection = Connection(socket)
        first = await connection.create(model="helper", input="go", tools=[FUNCTION])
        await held.asked.wait()
        await connection.steer(first, "Hurry.")
        held.go.set()
        await connection.until("response.steer.pending")
    output = {"type": "function_call_output", "call_id": "call_1", "output": "42"}
    body = {"model": "helper", "previous_response_id": first, "input": [output]}
    async with start_gateway([say("42.")], [say("43.", "b")]) as gateway:
        if by_socket:
            async with open_socket(gateway) as socket:
                connection = Connection(socket)
                await connection.create(**body)
                await connection.ended()
        else:
            await ask(gateway, **body)
        shown = said(gateway)
        await ask(gateway, **body)
        again = said(gateway)
    assert shown == ["You help.", "go", "Hurry.", "42"]
    assert again == ["You help.", "go", "42"]


async def left_behind(gateway, held, *inputs, **fields):
    """A response that was steered with these inputs, and whose connection has closed; its id."""
    async with open_socket(gateway) as socket:
        connection = Connection(socket)
        id = await connection.create(**{"model": "helper", "input": "time?", **fields})
        await held.asked.wait()
        for input in inputs:
            assert (await connection.steer(id, input))["type"] == "response.steer.accepted"
    held.go.set()
    return id


async def test_of_many_requests_at_once_one_is_told(start_gateway):
    held = Held(say("Hello."))
    answers = [[say("Well.", f"msg_{number}")] for number in range(12)]
    async with start_gateway(held, *answers) as gateway:
        first = await left_behind(gateway, held, "In Oslo.", "Now.")
        ids = {"model": "helper", "previous_response_id": first}
        await asyncio.gather(*(ask(gateway, **ids, input="Well?", store=number % 2 == 0) for number in range(12)))
        heard = [seen(gateway, number)[3:] for number in range(1, 13)]
    told = [("message", "In Oslo."), ("message", "Now."), ("message", "Well?")]
    assert sorted(heard, key=len) == [[("message", "Well?")]] * 11 + [told]


@pytest.mark.parametrize("store", [True, False])
async def test_who_fails_leaves_it_to_who_asks_again(start_gateway, store):
    held = Held(say("Hello."))
    async with start_gateway(held, ProviderError("no"), [say("Well.", "b")], [say("Bye.", "c")]) as gateway:
        first = await left_behind(gateway, held, "In Oslo.", "Now.")
        body = {"model": "helper", "previous_response_id": first, "input": "Well?", "store": store}
        nothing = {"type": "function", "name": "nothing"}
        # Refused before the model is asked, then failed by the provider.
        bad = await gateway.http.post("/v1/responses", json={**body, "tools": [FUNCTION], "tool_choice": nothing})
        failed = await gateway.http.post("/v1/responses", json=body)
        heard = [said(gateway)]
        await ask(gateway, **body)
        heard.append(said(gateway))
        left = kept(gateway)
        await ask(gateway, **body)
        again = said(gateway)
    assert (bad.status_code, failed.status_code) == (400, 502)
    assert heard == [["You help.", "time?", "Hello.", "In Oslo.", "Now.", "Well?"]] * 2
    assert (left, again) == (0, ["You help.", "time?", "Hello.", "Well?"])


class Failing(Held):
    """A step that fails once the test has said so."""

    def __call__(self, _):
        self.asked.set()
        yield self.go
        raise ProviderError("no")


@pytest.mark.parametrize("store", [True, False])
async def test_while_one_is_told_no_other_is_unless_it_fails(start_gateway, store):
    held, telling = Held(say("Hello.")), Failing()
    answers = [[say("Well.", "b")], [say("Bye.", "c")]]
    async with start_gateway(held, telling, *answers) as gateway:
        first = await left_behind(gateway, held, "In Oslo.")
        body = {"model": "helper", "previous_response_id": first, "input": "Well?"}
        failing = asyncio.create_task(gateway.http.post("/v1/responses", json={**body, "store": store}))
        await telling.asked.wait()
        await ask(gateway, **body)
        meanwhile = said(gateway)
        telling.go.set()
        failed = (await failing).status_code
        await ask(gateway, **body)
        after = said(gateway)
    assert (failed, meanwhile[3:], after[3:]) == (502, ["Well?"], ["In Oslo.", "Well?"])


async def test_a_stop_of_the_gateway_leaves_what_was_told_to_nobody(start_gateway):
    held, telling = Held(say("Hello.")), Held(say("never"))
    async with start_gateway(held, telling) as gateway:
        first = await left_behind(gateway, held, "In Oslo.")
        body = {"model": "helper", "previous_response_id": first, "input": "Well?"}
        broken = asyncio.create_task(gateway.http.post("/v1/responses", json={**body, "store": False}))
        await telling.asked.wait()
    await asyncio.gather(broken, return_exceptions=True)
    async with start_gateway([say("Well.", "b")]) as gateway:
        await ask(gateway, **body)
        shown = said(gateway)
    assert shown[3:] == ["In Oslo.", "Well?"]


def narrow(gateway):
    """A connected socket that takes little before it is read."""
    connected = socket.socket()
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    connected.connect(("127.0.0.1", int(gateway.url.rpartition(":")[2])))
    return connected


async def test_where_a_request_comes_first_there_is_no_successor(start_gateway):
    """The client does not read what its connection tells of the end, so the successor cannot begin before."""
    held = Held(say("Hello. " * 50_000))
    async with start_gateway(held, [say("Well.", "b")], [say("Bye.", "c")]) as gateway:
        async with open_socket(gateway, sock=narrow(gateway), max_queue=1, compression=None) as messages:
            connection = Connection(messages)
            first = await connection.create(model="helper", input="time?")
            await held.asked.wait()
            await connection.steer(first, "In Oslo.")
            held.go.set()
            await ask(gateway, model="helper", previous_response_id=first, input="Well?")
            told = said(gateway)[-2:]
            await connection.ended()
            await messages.send(json.dumps({"type": "response.create", "model": "helper", "input": "bye"}))
            after = json.loads(await messages.recv())
            await connection.ended()
    assert told == ["In Oslo.", "Well?"]
    assert (after["type"], after["response"]["previous_response_id"]) == ("response.created", None)


async def test_who_looks_takes_nothing(start_gateway):
    held = Held(say("Hello."))
    async with start_gateway(held, [say("Short.", "a")], [say("Well.", "b")]) as gateway:
        first = await left_behind(gateway, held, "In Oslo.")
        body = {"model": "helper", "previous_response_id": first}
        # Waits until the response has ended.
        counted = [(await gateway.http.post("/v1/responses/input_tokens", json={**body, "input": "Well?"})).json()]
        window = (await gateway.http.post("/v1/responses/compact", json=body)).json()["output"]
        await ask(gateway, **body, input="Well?")
        told = said(gateway)
        counted.append((await gateway.http.post("/v1/responses/input_tokens", json={**body, "input": "Well?"})).json())
    assert [item["content"][0]["text"] for item in window[:-1]] == ["time?", "In Oslo."]
    assert told == ["You help.", "time?", "Hello.", "In Oslo.", "Well?"]
    assert counted[0]["input_tokens"] > counted[1]["input_tokens"]


async def approve(gateway, request):
    """The response that goes on after the approval, once it has ended."""
    answered = await gateway.http.post(f"/v1/approvals/{request}", json={"approve": True})
    id = answered.json()["response_id"]
    while (answer := (await gateway.http.get(f"/v1/responses/{id}")).json())["status"] in ("queued", "in_progress"):
        pass
    return answer


async def test_who_approves_a_call_elsewhere_lets_it_be_told(start_gateway, careful, counted):
    held = Held(*COUNT)
    async with start_gateway(held, [say("done")], servers=careful()) as gateway, open_socket(gateway) as socket:
        connection = Connection(socket)
        first = await connection.create(model="careful", input="go")
        await held.asked.wait()
        await connection.steer(first, "Hurry.")
        held.go.set()
        (stub,) = (await connection.until(*STEERS))["required_input"]
        done = await approve(gateway, stub["approval_request_id"])
        given = (await gateway.http.get(f"/v1/responses/{done['id']}/input_items?order=asc")).json()["data"]
        shown = said(gateway)
    assert (done["status"], counted(), kept(gateway)) == ("completed", 1, 0)
    assert shown[:2] == ["go", "Hurry."]
    assert [item["type"] for item in given] == ["message", "mcp_approval_response"]


async def test_it_is_no_answer_to_a_request_that_came_later(start_gateway, careful, counted):
    held = Held(*BOTH)
    async with start_gateway(held, [say("done")], servers=careful()) as gateway, open_socket(gateway) as socket:
        connection = Connection(socket)
        first = await connection.create(model="careful", input="go")
        await held.asked.wait()
        await connection.steer(first, "Hurry.")
        held.go.set()
        requests = [each["approval_request_id"] for each in (await connection.until(*STEERS))["required_input"]]
        partly = await approve(gateway, requests[0])
        done = await approve(gateway, requests[1])
        shown = said(gateway)
    assert (counted(), kept(gateway)) == (2, 0)
    assert [done["status"], done["previous_response_id"]] == ["completed", partly["id"]]
    assert shown.count("Hurry.") == 1


async def test_what_has_no_room_is_refused_or_given_back(start_gateway):
    held = Held(say("x" * 600))
    async with start_gateway(held, max_history=1000) as gateway, open_socket(gateway) as socket:
        connection = Connection(socket)
        first = await connection.create(model="helper", input="y" * 300)
        await held.asked.wait()
        fits = await connection.steer(first, "a" * 700)
        refused = [await connection.steer(first, "b"), await connection.steer(first, [{"role": "user"}] * 10_001)]
        held.go.set()
        failed = await connection.until("response.steer.failed")
        left = kept(gateway)
    assert fits["type"] == "response.steer.accepted"
    assert [each["error"]["code"] for each in refused] == ["invalid_input"] * 2
    assert (failed["error"]["code"], failed["steer"]) == (
        "successor_creation_failed",
        {**fits["steer"], "input": "a" * 700},
    )
    assert left == 0


async def test_what_has_no_room_is_not_in_the_way(start_gateway, caplog):
    held = Held(say("x" * 600))
    async with start_gateway(held, [say("ok", "b")], max_history=1000) as gateway:
        first = await left_behind(gateway, held, "a" * 400, "b" * 99, input="y" * 300)
        await ask(gateway, model="helper", previous_response_id=first, input="?")
        told, left = said(gateway), kept(gateway)
    assert (told[3:], left) == (["b" * 99, "?"], 0)
    assert [record.levelname for record in caplog.records if "no room" in record.message] == ["WARNING"]


async def test_it_goes_with_the_response(start_gateway):
    held = Held(call("ask_user"))
    async with start_gateway(held, [say("Bye.")]) as gateway, open_socket(gateway) as socket:
        connection = Connection(socket)
        first = await connection.create(model="helper", input="go", tools=[FUNCTION])
        await held.asked.wait()
        await connection.steer(first, "Hurry, Rumpelstiltskin.")
        held.go.set()
        await connection.until("response.steer.pending")
        before = kept(gateway)
        await gateway.http.delete(f"/v1/responses/{first}")
        after = kept(gateway)
    assert (before, after) == (1, 0)


def kept(gateway):
    with closing(sqlite3.connect(gateway.settings.data / "homeport.db")) as store:
        return store.execute("select count(*) from steers").fetchone()[0]
