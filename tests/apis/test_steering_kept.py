"""What was accepted of `response.steer` is used, whatever becomes of the connection and of the gateway."""

import sqlite3
from contextlib import closing

import pytest

from tests.apis.test_steering import FUNCTION, Connection, Held, keeper, open_socket, seen
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
        await ask(gateway, previous_response_id=first, input="Well?")
        shown = said(gateway)
    assert accepted["type"] == "response.steer.accepted"
    assert refused.status_code == 400
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
