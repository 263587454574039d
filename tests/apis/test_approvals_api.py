"""/v1/approvals: what waits is listed, and answered by somebody who is not the client of the run."""

import pytest

from tests.apis.asking import AGAIN, BOTH, COUNT, MINE, answer, chat, code_in, followed_again, refusal, respond, told
from tests.conftest import call, say

pytestmark = pytest.mark.anyio


async def read(gateway, path):
    return (await gateway.http.get(path)).json()


async def ended(gateway, response_id):
    """The response once its run, which nobody follows, has ended; the next turn of its branch waits for that."""
    await gateway.openai.responses.create(model="helper", input="?", previous_response_id=response_id)
    return await gateway.openai.responses.retrieve(response_id)


async def test_what_waits_is_listed_and_goes_on_when_it_is_approved(start_gateway, careful, counted):
    async with start_gateway(COUNT, [say("done")], [say("bye", "msg_2")], servers=careful()) as gateway:
        _, first = await respond(gateway, "go")
        (asked,) = first["output"]
        listed = await read(gateway, "/v1/approvals")
        told_of = (await gateway.http.post(f"/v1/approvals/{asked['id']}", json={"approve": True})).json()
        again = await gateway.http.post(f"/v1/approvals/{asked['id']}", json={"approve": True})
        late = await refusal(gateway, [answer(asked["id"])], previous_response_id=first["id"])
        went_on = await ended(gateway, told_of["response_id"])
        again_told = await followed_again(gateway, went_on.id)
        left = await read(gateway, "/v1/approvals")
    (waiting,) = listed["data"]
    assert (listed["first_id"], listed["last_id"], listed["has_more"]) == (asked["id"], asked["id"], False)
    assert {key: waiting[key] for key in ("id", "server_label", "name", "arguments", "model", "status")} == {
        **{key: asked[key] for key in ("id", "server_label", "name", "arguments")},
        "model": "careful",
        "status": "pending",
    }
    assert waiting["requested_by"] == first["id"]
    # The turn begins before it asks.
    assert 0 <= waiting["expires_at"] - waiting["created_at"] - 7 * 86400 < 60
    assert (told_of["status"], again.status_code, again.json()["error"]["code"], again.json()["error"]["param"]) == (
        *("approved", 400),
        *("approval_already_used", "id"),
    )
    assert late[1] == "approval_already_used"
    assert (went_on.previous_response_id, went_on.output[0].approval_request_id) == (first["id"], asked["id"])
    assert again_told == [item.to_dict() for item in went_on.output]
    assert (went_on.output_text, left["data"], counted()) == ("done", [], 1)


async def test_a_denial_is_told_to_the_model(start_gateway, careful, counted):
    async with start_gateway(COUNT, [say("as you wish")], [say("bye", "msg_2")], servers=careful()) as gateway:
        _, first = await respond(gateway, "go")
        path = f"/v1/approvals/{first['output'][0]['id']}"
        done = (await gateway.http.post(path, json={"approve": False, "reason": "not now"})).json()
        await ended(gateway, done["response_id"])
        kept = await read(gateway, path)
        (result,) = told(gateway)
    assert (done["status"], kept["reason"], "not now" in result, counted()) == ("denied", "not now", True, 0)


async def test_a_chat_that_waits_goes_on_as_a_response(start_gateway, careful, counted):
    async with start_gateway(COUNT, [say("done")], [say("bye", "msg_2")], servers=careful()) as gateway:
        question = await chat(gateway, "go")
        (waiting,) = (await read(gateway, "/v1/approvals"))["data"]
        done = (await gateway.http.post(f"/v1/approvals/{waiting['id']}", json={"approve": True})).json()
        response = await ended(gateway, done["response_id"])
        messages = [
            {"role": "assistant", "content": question},
            {"role": "user", "content": f"approve {waiting['code']}"},
        ]
        late = await gateway.http.post("/v1/chat/completions", json={"model": "careful", "messages": messages})
    assert waiting["code"] == code_in(question)
    assert (response.model, response.output_text, counted()) == ("careful", "done", 1)
    assert (late.status_code, late.json()["error"]["code"]) == (400, "approval_already_used")


async def test_a_run_of_a_conversation_goes_on_in_it(start_gateway, careful, counted):
    async with start_gateway(COUNT, [say("done")], [say("next", "msg_2")], servers=careful()) as gateway:
        conversation = (await gateway.openai.conversations.create()).id
        _, first = await respond(gateway, "go", conversation=conversation)
        done = await gateway.http.post(f"/v1/approvals/{first['output'][0]['id']}", json={"approve": True})
        _, after = await respond(gateway, "and?", conversation=conversation)
        went_on = await gateway.openai.responses.retrieve(done.json()["response_id"])
        results = told(gateway)
    assert (went_on.conversation.id, went_on.status, results) == (conversation, "completed", ["counted"])
    assert (after["output"][0]["content"][0]["text"], counted()) == ("next", 1)


async def test_a_deleted_response_takes_its_request_along(start_gateway, careful):
    async with start_gateway(COUNT, servers=careful()) as gateway:
        _, first = await respond(gateway, "go")
        await gateway.openai.responses.delete(first["id"])
        path = f"/v1/approvals/{first['output'][0]['id']}"
        done = await gateway.http.post(path, json={"approve": True})
        listed = await read(gateway, "/v1/approvals")
    assert (done.status_code, listed["data"]) == (404, [])


async def test_a_run_that_waits_for_its_client_too_is_answered_by_its_client(start_gateway, careful, counted):
    async with start_gateway([call("mine", call_id="call_m"), *COUNT], servers=careful()) as gateway:
        _, first = await respond(gateway, "go", tools=[MINE])
        path = f"/v1/approvals/{first['output'][-1]['id']}"
        done = await gateway.http.post(path, json={"approve": True})
        kept = await read(gateway, path)
    assert (done.status_code, "call_m" in done.json()["error"]["message"]) == (400, True)
    assert (kept["status"], counted()) == ("pending", 0)


async def test_a_page_says_whether_there_are_more(start_gateway, careful):
    async with start_gateway(BOTH, AGAIN, servers=careful()) as gateway:
        _, first = await respond(gateway, "go")
        _, second = await respond(gateway, "go")
        page = await read(gateway, "/v1/approvals?limit=2")
        whole = await read(gateway, "/v1/approvals")
    ids = [item["id"] for item in (*second["output"], *reversed(first["output"]))]
    assert ([each["id"] for each in whole["data"]], whole["has_more"]) == (ids, False)
    assert ([each["id"] for each in page["data"]], page["has_more"]) == (ids[:2], True)


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_pages_follow_one_another_in_both_orders(start_gateway, careful, order):
    """Also after an entry that was answered meanwhile."""
    async with start_gateway(BOTH, AGAIN, [say("done")], servers=careful()) as gateway:
        await respond(gateway, "go")
        await respond(gateway, "go")
        whole = [each["id"] for each in (await read(gateway, f"/v1/approvals?order={order}"))["data"]]
        first = await read(gateway, f"/v1/approvals?order={order}&limit=1")
        await gateway.http.post(f"/v1/approvals/{whole[0]}", json={"approve": False})
        rest = await read(gateway, f"/v1/approvals?order={order}&limit=2&after={first['last_id']}")
        end = await read(gateway, f"/approvals?order={order}&after={whole[-1]}")
        back = await read(gateway, f"/v1/approvals?order={order}&limit=1&before={whole[-1]}")
        start = await read(gateway, f"/v1/approvals?order={order}&before={whole[2]}")
        newest = [each["id"] for each in (await read(gateway, "/v1/approvals"))["data"]]
    assert [each["id"] for each in (*first["data"], *rest["data"])] == whole
    assert (first["has_more"], rest["has_more"]) == (True, False)
    assert (end["data"], end["has_more"]) == ([], False)
    # One that was answered is not listed any more.
    assert ([each["id"] for each in back["data"]], back["has_more"]) == (whole[-2:-1], len(whole) > 3)
    assert ([each["id"] for each in start["data"]], start["has_more"]) == (whole[1:2], False)
    assert newest == (whole[1:] if order == "desc" else whole[:0:-1])


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "param"),
    [
        ("GET", "/v1/approvals?order=up", None, 400, "order"),
        ("GET", "/v1/approvals?after=mcpr_1", None, 404, "after"),
        ("GET", "/v1/approvals?before=mcpr_1", None, 404, "before"),
        ("GET", "/v1/approvals?limit=0", None, 400, "limit"),
        ("GET", "/v1/approvals/mcpr_", None, 404, "id"),
        ("POST", "/v1/approvals/mcpr_1", {"approve": True}, 404, "id"),
        ("POST", "/v1/approvals/ASKED", {}, 400, "approve"),
        ("POST", "/v1/approvals/ASKED", {"approve": "yes"}, 400, "approve"),
        ("POST", "/v1/approvals/ASKED", {"approve": True, "reason": 1}, 400, "reason"),
    ],
)
async def test_a_mistake_is_answered_as_openai_does(start_gateway, careful, counted, method, path, body, status, param):
    async with start_gateway(COUNT, servers=careful()) as gateway:
        _, first = await respond(gateway, "go")
        path = path.replace("ASKED", first["output"][0]["id"])
        done = await gateway.http.request(method, path, json=body)
    error = done.json()["error"]
    assert (done.status_code, error.keys(), error["param"]) == (status, {"message", "type", "param", "code"}, param)
    assert counted() == 0
