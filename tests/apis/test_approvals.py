"""A call that a person must approve, in the Responses API: asked once, answered once, run once."""

import asyncio

import pytest

from tests.apis.asking import AGAIN, BOTH, COUNT, MINE, answer, followed_again, refusal, respond, somebody_else, told
from tests.conftest import call, say

pytestmark = pytest.mark.anyio


async def test_an_approved_call_runs_and_a_response_shows_it(start_gateway, careful, counted):
    async with start_gateway(COUNT, [say("done")], servers=careful()) as gateway:
        first = await gateway.openai.responses.create(model="careful", input="go")
        (asked,) = first.output
        before = counted()
        second = await gateway.openai.responses.create(
            model="careful", input=[answer(asked.id)], previous_response_id=first.id
        )
        stored = await gateway.openai.responses.retrieve(second.id)
        again = [await followed_again(gateway, id) for id in (first.id, second.id)]
    assert again == [[item.to_dict() for item in response.output] for response in (first, second)]
    assert (first.status, asked.type, asked.server_label, asked.name, asked.arguments, before) == (
        *("completed", "mcp_approval_request", "clock", "count", "{}"),
        0,
    )
    ran, said = second.output
    assert (ran.type, ran.output, ran.approval_request_id, said.type) == ("mcp_call", "counted", asked.id, "message")
    assert (stored.output, counted()) == (second.output, 1)


async def test_a_stream_asks_and_goes_on_as_the_stored_response_says(start_gateway, careful, counted):
    async with start_gateway(COUNT, [say("done")], servers=careful()) as gateway:
        finals, given, parent = [], "go", None
        for _ in range(2):
            stream = await gateway.openai.responses.create(
                model="careful", input=given, previous_response_id=parent, stream=True
            )
            events = [event async for event in stream]
            final = events[-1].response
            done = [event.item for event in events if event.type == "response.output_item.done"]
            finals.append((final, done, await gateway.openai.responses.retrieve(final.id)))
            given, parent = [answer(final.output[0].id)], final.id
    assert all(final.output == done == stored.output for final, done, stored in finals)
    assert [[item.type for item in done] for _, done, _ in finals] == [
        ["mcp_approval_request"],
        ["mcp_call", "message"],
    ]
    assert counted() == 1


async def test_a_denial_reaches_the_model_with_its_reason_and_nothing_runs(start_gateway, careful, counted):
    async with start_gateway(COUNT, [say("as you wish")], servers=careful()) as gateway:
        _, first = await respond(gateway, "go")
        no = answer(first["output"][0]["id"], approve=False, reason="too soon")
        _, second = await respond(gateway, [no], previous_response_id=first["id"])
        (result,) = told(gateway)
    assert [item["type"] for item in second["output"]] == ["message"]
    assert ("refused" in result, "too soon" in result, counted()) == (True, True, 0)


async def test_talking_on_is_a_no_that_cannot_be_taken_back(start_gateway, careful, counted):
    async with start_gateway(COUNT, [say("fine")], servers=careful()) as gateway:
        _, first = await respond(gateway, "go")
        request = first["output"][0]["id"]
        await respond(gateway, "never mind", previous_response_id=first["id"])
        results = told(gateway)
        late = await refusal(gateway, [answer(request)], previous_response_id=first["id"])
        status = (await gateway.http.get(f"/v1/approvals/{request}")).json()["status"]
    assert ["did not" in result for result in results] == [True]
    assert (late, status, counted()) == ((400, "approval_already_used", "input"), "denied", 0)


async def test_an_approval_is_used_once_however_often_and_wherever_it_is_sent(start_gateway, careful, counted):
    async with start_gateway(COUNT, *([say("done", f"msg_{n}")] for n in range(9)), servers=careful()) as gateway:
        _, first = await respond(gateway, "go")
        yes = answer(first["output"][0]["id"])
        race = await asyncio.gather(*(respond(gateway, [yes], previous_response_id=first["id"]) for _ in range(5)))
        again = await refusal(gateway, [yes], previous_response_id=first["id"])
        winner = next(body["id"] for status, body in race if status == 200)
        behind = await refusal(gateway, [yes], previous_response_id=winner)
    assert sorted(status for status, _ in race) == [200, 400, 400, 400, 400]
    assert (again, behind) == ((400, "approval_already_used", "input"),) * 2
    assert counted() == 1


async def test_an_approval_names_a_request_of_its_own_conversation(start_gateway, careful, counted):
    async with start_gateway(COUNT, AGAIN, [say("no")], servers=careful()) as gateway:
        _, one = await respond(gateway, "go")
        _, other = await respond(gateway, "go")
        crossed = await refusal(gateway, [answer(one["output"][0]["id"])], previous_response_id=other["id"])
        unknown = await refusal(gateway, [answer("mcpr_0")], previous_response_id=one["id"])
        twice = [answer(one["output"][0]["id"]), answer(one["output"][0]["id"], approve=False)]
        both = await refusal(gateway, twice, previous_response_id=one["id"])
        alone = await refusal(gateway, [answer(one["output"][0]["id"])])
        unsaid = await refusal(
            gateway,
            [{"type": "mcp_approval_response", "approval_request_id": one["output"][0]["id"], "approve": "yes"}],
            previous_response_id=one["id"],
        )
    assert crossed == unknown == alone == (400, "approval_not_found", "input")
    assert both == (400, "invalid_request", "input")
    assert unsaid == (400, "invalid_type", "input[0].approve")
    assert counted() == 0


async def test_another_key_cannot_answer(start_gateway, careful, counted):
    async with start_gateway(COUNT, [say("no")], servers=careful()) as gateway:
        _, first = await respond(gateway, "go", store=False)
        async with somebody_else(gateway) as other:
            input = [{"role": "user", "content": "go"}, first["output"][0], answer(first["output"][0]["id"])]
            replayed = await other.post("/v1/responses", json={"model": "careful", "input": input, "store": False})
            by_id = await other.get(f"/v1/approvals/{first['output'][0]['id']}")
            answered = await other.post(f"/v1/approvals/{first['output'][0]['id']}", json={"approve": True})
            listed = (await other.get("/v1/approvals")).json()["data"]
    assert (replayed.status_code, replayed.json()["error"]["code"]) == (400, "approval_not_found")
    assert (by_id.status_code, answered.status_code, listed, counted()) == (404, 404, [], 0)


async def test_a_request_lapses(start_gateway, careful, counted):
    asks = "{when: always, timeout: 0.000001s, on_timeout: deny}"
    async with start_gateway(COUNT, [say("too late")], servers=careful(asks)) as gateway:
        _, first = await respond(gateway, "go")
        late = await refusal(gateway, [answer(first["output"][0]["id"])], previous_response_id=first["id"])
        listed = (await gateway.http.get("/v1/approvals")).json()["data"]
        one = (await gateway.http.get(f"/v1/approvals/{first['output'][0]['id']}")).json()
        _, second = await respond(gateway, "well?", previous_response_id=first["id"])
    assert (late, listed, one["status"]) == ((400, "approval_expired", "input"), [], "expired")
    assert (second["output"][0]["type"], counted()) == ("message", 0)


async def test_of_two_calls_each_has_its_own_answer(start_gateway, careful, counted):
    async with start_gateway(BOTH, [say("one of them")], servers=careful()) as gateway:
        _, first = await respond(gateway, "go")
        a, b = (item["id"] for item in first["output"])
        _, second = await respond(gateway, [answer(a)], previous_response_id=first["id"])
        half = counted()
        _, third = await respond(gateway, [answer(b, approve=False)], previous_response_id=second["id"])
    assert [(item["type"], item["id"]) for item in second["output"]][1:] == [("mcp_approval_request", b)]
    assert [item["type"] for item in third["output"]] == ["message"]
    assert (half, counted()) == (1, 1)


async def test_a_call_of_the_clients_beside_it_is_answered_too(start_gateway, careful, counted):
    calls = [call("mine", call_id="call_m"), *COUNT]
    output = {"type": "function_call_output", "call_id": "call_m", "output": "ok"}
    async with start_gateway(calls, [say("both")], servers=careful()) as gateway:
        _, first = await respond(gateway, "go", tools=[MINE])
        request = first["output"][-1]["id"]
        alone = await refusal(gateway, [answer(request)], previous_response_id=first["id"], tools=[MINE])
        more = {"previous_response_id": first["id"], "tools": [MINE]}
        _, second = await respond(gateway, [output, answer(request)], **more)
    assert [item["type"] for item in first["output"]] == ["function_call", "mcp_approval_request"]
    assert (alone[0], second["output"][-1]["type"], counted()) == (400, "message", 1)


async def test_a_conversation_shows_the_request_the_answer_and_the_call(start_gateway, careful, counted):
    async with start_gateway(COUNT, [say("done")], servers=careful()) as gateway:
        conversation = (await gateway.openai.conversations.create()).id

        async def kinds():
            listed = gateway.openai.conversations.items.list(conversation, order="asc", limit=2)
            return [item.type async for item in listed]

        _, first = await respond(gateway, "go", conversation=conversation)
        request = first["output"][0]["id"]
        waiting = await kinds()
        by_hand = await gateway.http.post(f"/v1/conversations/{conversation}/items", json={"items": [answer(request)]})
        await respond(gateway, [answer(request)], conversation=conversation)
        done = await kinds()
    assert waiting == ["message", "mcp_approval_request"]
    assert (by_hand.status_code, by_hand.json()["error"]["param"]) == (400, "items")
    assert done == ["message", "mcp_approval_request", "mcp_approval_response", "mcp_call", "message"]
    assert counted() == 1


@pytest.mark.parametrize(("when", "asks"), [("always", True), ("destructive", True), ("never", False)])
async def test_the_document_says_when_a_call_is_asked_about(start_gateway, careful, counted, when, asks):
    async with start_gateway(COUNT, [say("done")], servers=careful(when)) as gateway:
        _, response = await respond(gateway, "go")
    assert (response["output"][0]["type"] == "mcp_approval_request", counted()) == (asks, 0 if asks else 1)


async def test_what_is_not_destructive_is_not_asked_about(start_gateway, careful, home, counted):
    servers = careful()
    (home / "agents" / "careful.yaml").write_text(
        "model: scripted/one\ntools: [{tool: clock.count, effect: write, approval: destructive}]\n"
    )
    async with start_gateway(COUNT, [say("done")], servers=servers) as gateway:
        await respond(gateway, "go")
    assert counted() == 1


async def test_nobody_is_asked_about_a_call_that_cannot_run(start_gateway, careful, counted):
    wrong = [call("clock__count", '{"forever": "perhaps"}')]
    async with start_gateway(wrong, [say("sorry")], servers=careful()) as gateway:
        _, response = await respond(gateway, "go")
    assert [item["type"] for item in response["output"]] == ["mcp_call", "message"]
    assert counted() == 0


async def test_what_the_person_said_holds_for_an_agent_that_would_not_have_asked(start_gateway, careful, home, counted):
    servers = careful("never")
    (home / "agents" / "careless.yaml").write_text(
        (home / "agents" / "careful.yaml").read_text()[len("name: careful") :]
    )
    careful()
    async with start_gateway(COUNT, [say("no")], COUNT, [say("yes")], servers=servers) as gateway:
        for approve in (False, True):
            _, first = await respond(gateway, "go")
            input = [answer(first["output"][0]["id"], approve=approve)]
            await respond(gateway, input, previous_response_id=first["id"], model="careless")
            assert counted() == int(approve)
