"""A long conversation made short: POST /v1/responses/compact, and `compaction` items that come back."""

import openai
import pytest
from openai.types.responses import ResponseCompactionItem, ResponseUsage

from gateway.errors import ProviderRateLimited
from gateway.items import Reasoning
from tests.apis.asking import COUNT, respond, somebody_else
from tests.conftest import call, say
from tests.guests import LOCAL

pytestmark = pytest.mark.anyio

FUNCTION = {"type": "function", "name": "ask_user", "parameters": {"type": "object", "properties": {}}}
SAID = [
    {"role": "user", "content": "I am Ada."},
    {"role": "assistant", "content": "Hello Ada."},
    {"role": "user", "content": "Count to three."},
    {"role": "assistant", "content": "One, two, three."},
]
WELL = {"role": "user", "content": "And now?"}


async def compact(gateway, **body):
    """The object, whose items but for the user's messages must be as the SDK's types say: these have no such messages,
    not even for OpenAI's own example."""
    answer = await gateway.http.post("/v1/responses/compact", json={"model": "helper", **body})
    assert answer.status_code == 200, answer.text
    made = answer.json()
    assert made.keys() == {"id", "object", "created_at", "output", "usage"}
    assert (made["object"], made["id"][:5]) == ("response.compaction", "resp_")
    ResponseUsage.model_validate(made["usage"], strict=True)
    ResponseCompactionItem.model_validate(made["output"][-1], strict=True)
    assert made["output"][-1]["id"].startswith("cmp_")
    return made


def seen(gateway, number=-1):
    return [(item.role, item.text) for item in gateway.provider.calls[number].items]


async def test_the_users_messages_stay_and_the_rest_becomes_a_summary(start_gateway):
    async with start_gateway([say("Ada counted.")], [say("Four.")]) as gateway:
        made = await compact(gateway, input=SAID, instructions="Be brief.")
        shown = seen(gateway)
        response = await gateway.openai.responses.create(model="helper", input=[*made["output"], WELL], store=False)
        after = seen(gateway)
        gone = await gateway.http.get(f"/v1/responses/{made['id']}")
    said = [(item["role"], item["content"][0]["text"]) for item in made["output"][:-1]]
    assert said == [("user", "I am Ada."), ("user", "Count to three.")]
    assert "Ada" not in made["output"][-1]["encrypted_content"]
    assert made["usage"]["total_tokens"] == 15
    assert shown[:-1] == [
        ("system", "You help."),
        ("system", "Be brief."),
        *((item["role"], item["content"]) for item in SAID),
    ]
    assert shown[-1][0] == "user" and "summary" in shown[-1][1]
    *stayed, summary, last = after
    assert stayed == [("system", "You help."), *said]
    assert summary[1].endswith("Ada counted.")
    assert (last, response.output_text, gone.status_code) == (("user", "And now?"), "Four.", 404)


async def test_what_a_response_ended_with_is_compacted_by_its_id(start_gateway):
    async with start_gateway([say("Hello Ada.")], [say("Ada was greeted.")], [say("Bye.")]) as gateway:
        first = await gateway.openai.responses.create(model="helper", input="I am Ada.")
        made = await compact(gateway, previous_response_id=first.id)
        again = await gateway.openai.responses.create(model="helper", input=[*made["output"], WELL])
        listed = (await gateway.http.get(f"/v1/responses/{again.id}/input_items?order=asc")).json()["data"]
        later = await gateway.http.post("/responses/compact", json={"model": "helper", "input": []})
    assert [item["type"] for item in made["output"]] == ["message", "compaction"]
    assert listed[:2] == made["output"]
    # The script has no step left: what failed is said as for a response.
    assert (later.status_code, later.json()["error"]["code"]) == (502, "script_ended")


async def test_a_compaction_of_a_compaction_knows_the_first(start_gateway):
    async with start_gateway([say("Ada counted.")], [say("Ada counted and left.")]) as gateway:
        first = await compact(gateway, input=SAID)
        second = await compact(gateway, input=[*first["output"], WELL])
        texts = [text for _, text in seen(gateway)]
    assert any(text.endswith("Ada counted.") for text in texts)
    questions = [item["content"][0]["text"] for item in second["output"][:-1]]
    assert questions == ["I am Ada.", "Count to three.", "And now?"]
    assert [item["type"] for item in second["output"]].count("compaction") == 1


async def test_the_model_is_offered_no_call_and_limits_of_an_answer_do_not_hold(start_gateway, home):
    (home / "agents" / "short.yaml").write_text(
        "name: short\nmodel: {primary: scripted/one, params: {max_output_tokens: 16, temperature: 0.5}}\n"
    )
    async with start_gateway([say("Ada counted.")]) as gateway:
        await compact(gateway, model="short", input=SAID)
        asked = gateway.provider.calls[0]
    assert asked.options == {"temperature": 0.5}


async def test_it_outlives_the_process_and_the_official_client_can_send_it(start_gateway):
    async with start_gateway([say("Ada counted.")]) as gateway:
        # Strict validation refuses the user's messages: the SDK's type has the model's only.
        lenient = openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0)
        made = await lenient.responses.compact(model="helper", input=SAID)
        output = [item.model_dump(exclude_none=True, warnings=False) for item in made.output]
    async with start_gateway([say("Four.")]) as gateway:
        await gateway.openai.responses.create(model="helper", input=[*output, WELL])
        texts = [text for _, text in seen(gateway)]
    assert texts[-2].endswith("Ada counted.")


async def refusal(gateway, item):
    with pytest.raises(openai.BadRequestError) as refused:
        await gateway.openai.responses.create(model="helper", input=[item, WELL])
    return refused.value.param, refused.value.code


async def test_what_was_not_sealed_here_for_this_key_is_refused(start_gateway):
    thought = Reasoning(id="rs_1", text="Hm.", state={"provider": "scripted"})
    async with start_gateway([say("Ada counted.")], [thought, say("So.")]) as gateway:
        kept = (await compact(gateway, input=SAID))["output"][-1]
        response = await gateway.openai.responses.create(
            model="helper", input="Why?", include=["reasoning.encrypted_content"]
        )
        sealed = kept["encrypted_content"]
        others = ["gAAAAABelsewhere", "", sealed[:-6] + "AAAAA=", sealed[:20], response.output[0].encrypted_content]
        refused = [await refusal(gateway, {**kept, "encrypted_content": other}) for other in others]
        bare = await refusal(gateway, {"type": "compaction"})
        async with somebody_else(gateway) as other:
            answer = await other.post("/v1/responses", json={"model": "helper", "input": [kept, WELL]})
        assert len(gateway.provider.calls) == 2
    assert refused == [("input", "invalid_encrypted_content")] * len(others)
    assert bare == ("input[0].encrypted_content", "missing_required_parameter")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_encrypted_content")


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({"input": "hi"}, "model", "missing_required_parameter"),
        ({"model": "nobody", "input": "hi"}, "model", "model_not_found"),
        ({"model": "helper"}, "input", "missing_required_parameter"),
        ({"model": "helper", "input": [1]}, "input[0]", "invalid_type"),
        ({"model": "helper", "input": "hi", "service_tier": "none"}, "service_tier", "invalid_value"),
        ({"model": "helper", "previous_response_id": "resp_x"}, "previous_response_id", "previous_response_not_found"),
    ],
)
async def test_what_is_wrong_is_said(start_gateway, body, param, code):
    async with start_gateway() as gateway:
        answer = await gateway.http.post("/v1/responses/compact", json=body)
        assert gateway.provider.calls == []
    assert (answer.status_code in (400, 404), answer.json()["error"]["param"]) == (True, param)
    assert answer.json()["error"]["code"] == code


async def test_without_a_summary_there_is_an_error(start_gateway):
    async with start_gateway([call("ask_user")], ProviderRateLimited("Slow down.")) as gateway:
        empty = await gateway.http.post("/v1/responses/compact", json={"model": "helper", "input": SAID})
        failed = await gateway.http.post("/v1/responses/compact", json={"model": "helper", "input": SAID})
    assert (empty.status_code, empty.json()["error"]["code"]) == (502, "compaction_failed")
    assert failed.status_code == 429


async def test_a_call_that_waits_is_answered_before(start_gateway):
    async with start_gateway([call("ask_user")], [say("42 it is.")]) as gateway:
        first = await gateway.openai.responses.create(model="helper", input="go", tools=[FUNCTION])
        body = {"model": "helper", "previous_response_id": first.id}
        refused = await gateway.http.post("/v1/responses/compact", json=body)
        output = {"type": "function_call_output", "call_id": "call_1", "output": "42"}
        made = await compact(gateway, previous_response_id=first.id, input=[output])
        kinds = [item.kind for item in gateway.provider.calls[1].items]
    assert "No tool output found for function call call_1" in refused.json()["error"]["message"]
    assert kinds == ["message", "message", "tool_call", "tool_result", "message"]
    assert [item["type"] for item in made["output"]] == ["message", "compaction"]


async def test_a_call_that_waits_for_a_person_goes_on_waiting(start_gateway, careful):
    async with start_gateway(COUNT, servers=careful()) as gateway:
        _, asked = await respond(gateway, "count")
        body = {"model": "careful", "previous_response_id": asked["id"], "input": "never mind"}
        refused = await gateway.http.post("/v1/responses/compact", json=body)
        (waiting,) = (await gateway.http.get("/v1/approvals")).json()["data"]
    assert "No tool output found" in refused.json()["error"]["message"]
    assert waiting["status"] == "pending"


async def test_a_client_that_parts_a_call_from_its_output_is_understood(start_gateway):
    asked = {"type": "function_call", "call_id": "call_1", "name": "ask_user", "arguments": "{}"}
    output = {"type": "function_call_output", "call_id": "call_1", "output": "42"}
    async with start_gateway([say("Ada counted.")], [say("Four.")]) as gateway:
        kept = (await compact(gateway, input=SAID))["output"][-1]
        await gateway.openai.responses.create(model="helper", input=[*SAID, asked, kept, output])
        kinds = [item.kind for item in gateway.provider.calls[1].items]
    assert kinds == ["message", "message", "tool_call", "message", "tool_result"]


async def test_what_cannot_be_opened_does_not_stay_in_a_conversation(start_gateway):
    forged = {"type": "compaction", "encrypted_content": "hp1.forged"}
    async with start_gateway(*[[say(text, text)] for text in ("one", "two", "three")]) as gateway:
        conversation = (await gateway.openai.conversations.create()).id
        body = {"model": "helper", "conversation": conversation}
        await gateway.openai.responses.create(**body, input="hi")
        for more in ({}, {"background": True}, {"stream": True}):
            answer = await gateway.http.post("/v1/responses", json={**body, "input": [forged, SAID[0]], **more})
            assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_encrypted_content")
        noted = await gateway.http.post(f"/v1/conversations/{conversation}/items", json={"items": [forged]})
        assert (noted.status_code, noted.json()["error"]["code"]) == (400, "invalid_encrypted_content")
        later = await gateway.openai.responses.create(**body, input="again")
    assert later.output_text == "two"


TRIGGER = {"type": "compaction_trigger"}


async def test_a_trigger_compacts_and_does_nothing_else(start_gateway):
    steps = [[say("Hello Ada.", "a")], [say("Ada was greeted.", "b")], [say("Well.", "c")]]
    async with start_gateway(*steps) as gateway:
        create = gateway.openai.responses.create
        first = await create(model="helper", input="I am Ada.", tools=[FUNCTION])
        asked = {"model": "helper", "previous_response_id": first.id, "tools": [FUNCTION], "max_output_tokens": 16}
        stream = await create(**asked, input=[{"role": "user", "content": "Hm."}, TRIGGER], stream=True)
        events = [event async for event in stream]
        second = events[-1].response
        summarised = seen(gateway)
        stored = await gateway.openai.responses.retrieve(second.id)
        given = (await gateway.http.get(f"/v1/responses/{second.id}/input_items")).json()["data"]
        await create(model="helper", input="How am I?", previous_response_id=second.id)
        later = [text for _, text in seen(gateway)]
    assert [event.type.removeprefix("response.") for event in events] == [
        "created",
        "in_progress",
        "output_item.added",
        "output_item.done",
        "completed",
    ]
    assert [item.type for item in second.output] == ["compaction"]
    assert (second.status, second.output, stored.output) == ("completed", stored.output, second.output)
    assert [text for _, text in summarised[:-1]] == ["You help.", "I am Ada.", "Hello Ada.", "Hm."]
    assert [item["content"][0]["text"] for item in given] == ["Hm."]
    assert later[:2] == ["You help.", "Hm."] and later[2].endswith("Ada was greeted.") and later[3:] == ["How am I?"]


async def test_a_client_that_keeps_the_conversation_has_it_compacted_by_a_trigger(start_gateway):
    async with start_gateway([say("Ada counted.")], [say("Four.")]) as gateway:
        made = await gateway.openai.responses.create(model="helper", input=[*SAID, TRIGGER], store=False)
        kept = [item.model_dump(exclude_none=True) for item in made.output]
        await gateway.openai.responses.create(model="helper", input=[*SAID, *kept, WELL], store=False)
        texts = [text for _, text in seen(gateway)]
    assert [item["type"] for item in kept] == ["compaction"]
    assert texts[1] == "Count to three." and texts[2].endswith("Ada counted.") and texts[3:] == ["And now?"]


async def test_a_trigger_shows_the_tools_of_a_clients_server(start_gateway, guest):
    """Vendors want the tools of the calls that they are shown."""
    weather = [call("travel__weather", '{"city": "Oslo"}')]
    async with start_gateway(weather, [say("Sunny.")], [say("It is sunny.", "b")], **LOCAL) as gateway:
        body = {"model": "helper", "tools": [guest.tool()]}
        first = await gateway.openai.responses.create(**body, input="How is Oslo?")
        made = await gateway.openai.responses.create(**body, input=[TRIGGER], previous_response_id=first.id)
        asked = gateway.provider.calls[-1]
    assert [item.type for item in made.output] == ["compaction"]
    assert "travel__weather" in [tool.name for tool in asked.tools]
    assert asked.options["tool_choice"] == "none"


async def test_a_trigger_elsewhere_is_refused(start_gateway):
    async with start_gateway([call("ask_user")]) as gateway:
        refused = [await refusal(gateway, TRIGGER)]
        conversation = (await gateway.openai.conversations.create()).id
        noted = await gateway.http.post(f"/v1/conversations/{conversation}/items", json={"items": [TRIGGER]})
        first = await gateway.openai.responses.create(model="helper", input="go", tools=[FUNCTION])
        body = {"model": "helper", "previous_response_id": first.id, "input": [TRIGGER]}
        waiting = await gateway.http.post("/v1/responses", json=body)
        assert len(gateway.provider.calls) == 1
    assert refused == [("input[0].type", "invalid_value")]
    assert (noted.status_code, noted.json()["error"]["param"]) == (400, "items[0].type")
    assert "No tool output found for function call call_1" in waiting.json()["error"]["message"]


async def test_a_lost_key_is_said_to_whom_it_concerns(start_gateway, home):
    thought = Reasoning(id="rs_1", text="Hm.", state={"provider": "scripted"})
    steps = [[say("Ada counted.")], [thought, say("One.", "a")], [say("Two.", "b")]]
    async with start_gateway(*steps) as gateway:
        kept = (await compact(gateway, input=SAID))["output"][-1]
        create = gateway.openai.responses.create
        thinking = await create(model="helper", input="Why?", include=["reasoning.encrypted_content"], store=False)
        sealed = thinking.output[0].model_dump(exclude_none=True)
        conversation = (await gateway.openai.conversations.create(items=[kept])).id
        chain = await create(model="helper", input=[kept, WELL])
        thoughtful = (await gateway.openai.conversations.create(items=[SAID[0], sealed, SAID[1]])).id
    (home / "data" / "sealing.key").unlink()
    steps = [[say("Well.", "c")], [say("I forgot.", "d")], [say("Again.", "e")]]
    async with start_gateway(*steps) as gateway:
        create = gateway.openai.responses.create
        refused = []
        for more in ({"conversation": conversation}, {"previous_response_id": chain.id}):
            for path in ("", "/input_tokens"):
                body = {"model": "helper", "input": "And?", **more}
                refused.append(await gateway.http.post(f"/v1/responses{path}", json=body))
        streamed = {"model": "helper", "input": "And?", "conversation": conversation, "stream": True}
        refused.append(await gateway.http.post("/v1/responses", json=streamed))
        sent = (await gateway.http.post("/v1/responses", json={"model": "helper", "input": [kept, WELL]})).json()
        # Nothing that can do without it is in the way of anybody.
        thought_of = await create(model="helper", input="And?", conversation=thoughtful)
        items = gateway.openai.conversations.items
        listed = [item.id async for item in items.list(conversation)]
        await items.delete(kept["id"], conversation_id=conversation)
        later = await create(model="helper", input="And?", conversation=conversation)
        gone_on = await create(model="helper", input="New.", previous_response_id=later.id)
    errors = [each.json()["error"] for each in refused]
    assert [each.status_code for each in refused] == [400] * 5
    assert {error["code"] for error in errors} == {"invalid_encrypted_content"}
    assert [error["param"] for error in errors] == [
        *["conversation"] * 2,
        *["previous_response_id"] * 2,
        "conversation",
    ]
    assert all(kept["id"] in error["message"] and "Delete this item" in error["message"] for error in errors)
    assert kept["id"] in sent["error"]["message"] and sent["error"]["param"] == "input"
    assert listed == [kept["id"]], "a refused turn is no part of the conversation"
    assert [each.output_text for each in (thought_of, later, gone_on)] == ["Well.", "I forgot.", "Again."]


async def test_what_a_later_compaction_stands_for_needs_no_key(start_gateway, home):
    async with start_gateway([say("Ada counted.")], [say("Ada counted and left.", "b")]) as gateway:
        kept = (await compact(gateway, input=SAID))["output"][-1]
        conversation = (await gateway.openai.conversations.create(items=[kept])).id
        await gateway.openai.responses.create(model="helper", input=[WELL, TRIGGER], conversation=conversation)
    (home / "data" / "sealing.key").unlink()
    async with start_gateway([say("Well.", "c")]) as gateway:
        response = await gateway.openai.responses.create(model="helper", input="And?", conversation=conversation)
        texts = [text for _, text in seen(gateway)]
    assert response.output_text == "Well."
    assert any(text.endswith("Ada counted and left.") for text in texts)
