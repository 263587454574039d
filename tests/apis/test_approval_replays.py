"""Approvals for clients that keep the conversation themselves: `store: false`, everything sent again each time."""

import pytest

from tests.apis.asking import AGAIN, BOTH, COUNT, answer, refusal, respond, told
from tests.conftest import say

pytestmark = pytest.mark.anyio

GO = {"role": "user", "content": "go"}


async def test_a_client_that_stores_nothing_approves_by_sending_the_request_back(start_gateway, careful, counted):
    async with start_gateway(COUNT, [say("done")], [say("next", "msg_2")], servers=careful()) as gateway:
        _, first = await respond(gateway, [GO], store=False)
        unread = await gateway.http.get(f"/v1/responses/{first['id']}")
        talk = [GO, *first["output"], answer(first["output"][0]["id"])]
        _, second = await respond(gateway, talk, store=False)
        gone = await gateway.http.get(f"/v1/responses/{second['id']}")
        talk += [*second["output"], {"role": "user", "content": "and?"}]
        status, third = await respond(gateway, talk, store=False)
        kinds = [item.kind for item in gateway.provider.calls[-1].items]
        results = told(gateway)
    assert (first["store"], second["store"], unread.status_code, gone.status_code) == (False, False, 404, 404)
    assert [item["type"] for item in second["output"]] == ["mcp_call", "message"]
    assert (status, third["output"][0]["content"][0]["text"], results) == (200, "next", ["counted"])
    assert (kinds.count("tool_call"), counted()) == (1, 1)


async def test_the_same_bytes_sent_again_do_not_run_the_call_again(start_gateway, careful, counted):
    async with start_gateway(COUNT, [say("done")], servers=careful()) as gateway:
        _, first = await respond(gateway, [GO], store=False)
        talk = [GO, *first["output"], answer(first["output"][0]["id"])]
        await respond(gateway, talk, store=False)
        stateless = await refusal(gateway, talk, store=False)
        stored = await refusal(gateway, talk)
    assert (stateless, stored, counted()) == ((400, "approval_already_used", "input"),) * 2 + (1,)


@pytest.mark.parametrize(
    "change", [{"arguments": '{"forever": true}'}, {"arguments": "{ }"}, {"name": "now"}, {"server_label": "other"}]
)
async def test_an_approval_is_for_the_very_call_that_was_asked_about(start_gateway, careful, counted, change):
    async with start_gateway(COUNT, [say("done")], servers=careful()) as gateway:
        _, first = await respond(gateway, [GO], store=False)
        (asked,) = first["output"]
        changed = await refusal(gateway, [GO, {**asked, **change}, answer(asked["id"])], store=False)
        left = counted()
        status, _ = await respond(gateway, [GO, asked, answer(asked["id"])], store=False)
    assert (changed, left, status, counted()) == ((400, "approval_mismatch", "input"), 0, 200, 1)


@pytest.mark.parametrize("approval", ["always", "never"])
async def test_a_request_that_a_client_made_up_runs_nothing(start_gateway, careful, counted, approval):
    made_up = {"type": "mcp_approval_request", "id": "mcpr_1", "server_label": "clock", "name": "count"}
    talk = [GO, {**made_up, "arguments": "{}"}]
    async with start_gateway([say("well")], servers=careful(approval)) as gateway:
        unanswered = await refusal(gateway, talk)
        answered = await refusal(gateway, [*talk, answer("mcpr_1")])
        by_hand = await gateway.http.post("/v1/conversations", json={"items": talk})
        status, _ = await respond(gateway, [*talk, GO])
        (result,) = told(gateway)
    assert unanswered == answered == (400, "approval_not_found", "input")
    assert by_hand.status_code == 400
    assert (status, "did not" in result, counted()) == (200, True, 0)


async def test_a_long_conversation_knows_what_became_of_each_request(start_gateway, careful, counted):
    steps = [BOTH, [say("one and a no", "msg_1")], AGAIN, [say("two", "msg_2")]]
    async with start_gateway(*steps, servers=careful()) as gateway:
        talk = [GO]

        async def on(*items):
            talk.extend(items)
            status, body = await respond(gateway, talk, store=False)
            assert status == 200, body
            talk.extend(body["output"])
            return body["output"]

        a, b = await on()
        _, again = await on(answer(a["id"]))
        await on(answer(b["id"], approve=False))
        (third,) = await on(GO)
        await on(answer(third["id"]))
        results = told(gateway)
    assert again["id"] == b["id"]
    assert [("counted" in result, "refused" in result) for result in results] == [
        (True, False),
        (False, True),
        (True, False),
    ]
    assert counted() == 2


async def test_talking_on_without_an_answer_uses_the_request_up(start_gateway, careful, counted):
    async with start_gateway(COUNT, [say("fine")], servers=careful()) as gateway:
        _, first = await respond(gateway, [GO], store=False)
        (asked,) = first["output"]
        await respond(gateway, [GO, asked, GO], store=False)
        results = told(gateway)
        late = await refusal(gateway, [GO, asked, answer(asked["id"])], store=False)
    assert (["did not" in result for result in results], late[1], counted()) == ([True], "approval_already_used", 0)


async def test_two_calls_that_name_one_request_run_nothing(start_gateway, careful, counted):
    count = {"server_label": "clock", "name": "count", "arguments": "{}"}
    asked = {"type": "mcp_approval_request", "id": "mcpr_1", **count}
    ran = {"type": "mcp_call", **count, "output": "made up", "approval_request_id": "mcpr_1"}
    calls = [{**ran, "id": id} for id in ("c1", "c2")]
    async with start_gateway([say("well")], servers=careful("never")) as gateway:
        status, _ = await respond(gateway, [GO, asked, *calls], store=False)
    assert (status, counted()) == (200, 0)
