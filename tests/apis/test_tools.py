"""An agent with tools, over a real MCP server, seen through the Responses and Chat dialects."""

import json
import sys
from pathlib import Path

import openai
import pytest

from gateway.tools.settings import ServerSettings
from tests.conftest import call, say

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def clock(home):
    """Settings of an in-process clock server, and an agent `timekeeper` that may use some of its tools."""
    (home / "agents" / "timekeeper.yaml").write_text(
        "name: timekeeper\nmodel: scripted/one\ninstructions: You keep time.\n"
        "tools: [clock.now, clock.fail, clock.meet, {tool: clock.count, limits: {per_run: 1}}]\n"
    )
    return {"clock": ServerSettings(module="tests.servers.clock", settings={"folder": str(home)})}


async def test_a_tool_call_is_answered_and_shown_as_mcp_call(start_gateway, clock):
    async with start_gateway([call("clock__now", '{"zone": "CET"}')], [say("noon")], servers=clock) as gateway:
        response = await gateway.openai.responses.create(model="timekeeper", input="time?")
        offered = [tool.name for tool in gateway.provider.calls[0].tools]
    mcp_call, message = response.output
    assert (mcp_call.type, mcp_call.server_label, mcp_call.name) == ("mcp_call", "clock", "now")
    assert (mcp_call.output, mcp_call.status) == ("12:00 CET", "completed")
    assert message.content[0].text == "noon"
    assert offered == ["clock__count", "clock__fail", "clock__meet", "clock__now"]


async def test_a_streamed_tool_call_opens_and_closes_as_the_sdk_requires(start_gateway, clock):
    async with start_gateway([call("clock__now")], [say("noon")], servers=clock) as gateway:
        async with gateway.openai.responses.stream(model="timekeeper", input="time?") as stream:
            events = [event async for event in stream]
            final = await stream.get_final_response()
        stored = await gateway.openai.responses.retrieve(final.id)
    kinds = [event.type.removeprefix("response.") for event in events if "mcp" in event.type]
    assert kinds == [
        "mcp_call.in_progress",
        "mcp_call_arguments.delta",
        "mcp_call_arguments.done",
        "mcp_call.completed",
    ]
    assert [item.id for item in stored.output] == [item.id for item in final.output]


async def test_a_chat_client_sees_only_the_answer(start_gateway, clock):
    async with start_gateway([say("I look.", "a"), call("clock__now")], [say("noon", "b")], servers=clock) as gateway:
        chat = await gateway.openai.chat.completions.create(
            model="timekeeper", messages=[{"role": "user", "content": "time?"}]
        )
    (choice,) = chat.choices
    assert (choice.message.content, choice.message.tool_calls, choice.finish_reason) == (
        "I look.\n\nnoon",
        None,
        "stop",
    )


async def test_parallel_calls_run_at_once(start_gateway, clock):
    calls = [call("clock__meet", '{"name": "meet-a"}', "call_a"), call("clock__meet", '{"name": "meet-b"}', "call_b")]
    async with start_gateway(calls, [say("done")], servers=clock) as gateway:
        response = await gateway.openai.responses.create(model="timekeeper", input="meet")
    assert {item.output for item in response.output if item.type == "mcp_call"} == {"meet-a met", "meet-b met"}


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [("{", "JSON"), ("[]", "object"), ('{"zone": 5}', "zone"), ('{"zone": "CET"', "JSON")],
)
async def test_bad_arguments_go_back_to_the_model_with_the_reason(start_gateway, clock, arguments, reason):
    async with start_gateway([call("clock__now", arguments)], [say("sorry")], servers=clock) as gateway:
        response = await gateway.openai.responses.create(model="timekeeper", input="time?")
        result = gateway.provider.calls[1].items[-1]
    assert result.is_error
    assert reason in result.text
    assert (response.output[0].status, response.output_text) == ("failed", "sorry")


async def test_a_tool_that_fails_is_a_result_and_the_run_goes_on(start_gateway, clock):
    async with start_gateway([call("clock__fail")], [say("broken")], servers=clock) as gateway:
        response = await gateway.openai.responses.create(model="timekeeper", input="time?")
    assert "the clock is broken" in response.output[0].output
    assert response.output_text == "broken"


@pytest.mark.parametrize("name", ["clock__die", "nonsense", "clock.now", "rag__search"])
async def test_a_tool_that_the_document_does_not_list_cannot_be_called(start_gateway, clock, name):
    async with start_gateway([call(name)], [say("ok")], servers=clock) as gateway:
        response = await gateway.openai.responses.create(model="timekeeper", input="time?")
        result = gateway.provider.calls[1].items[-1]
    assert "There is no tool named" in result.text
    assert response.output_text == "ok"


async def test_a_tool_may_be_called_as_often_as_the_document_says(start_gateway, clock, home):
    twice = [call("clock__count", "{}", "call_a"), call("clock__count", "{}", "call_b")]
    async with start_gateway(twice, [say("ok")], servers=clock) as gateway:
        response = await gateway.openai.responses.create(model="timekeeper", input="count")
    assert sorted(item.status for item in response.output[:2]) == ["completed", "failed"]
    assert (home / "tally").read_text().count("called") == 1


async def test_a_run_ends_at_its_step_limit_and_can_be_continued(start_gateway, clock, home):
    (home / "agents" / "short.yaml").write_text(
        "name: short\nmodel: scripted/one\ntools: [clock.now]\nlimits: {max_steps: 2}\n"
    )
    steps = [[call("clock__now", "{}", f"call_{number}")] for number in range(2)]
    async with start_gateway(*steps, [say("go on")], servers=clock) as gateway:
        response = await gateway.openai.responses.create(model="short", input="time?")
        more = await gateway.openai.responses.create(model="short", input="?", previous_response_id=response.id)
    assert (response.status, response.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert more.output_text == "go on"


async def test_a_server_that_dies_in_a_call_breaks_neither_the_run_nor_the_others(start_gateway, clock, home):
    command = (sys.executable, "-m", "tests.servers.clock", str(home))
    servers = {**clock, "mortal": ServerSettings(command=command, cwd=ROOT), "absent": ServerSettings(command=("/no",))}
    (home / "agents" / "both.yaml").write_text(
        "name: both\nmodel: scripted/one\ntools: [clock.now, mortal.die, mortal.now, absent.x]\n"
    )
    calls = [call("mortal__die", "{}", "call_a"), call("clock__now", "{}", "call_b")]
    async with start_gateway(calls, [say("on")], [call("mortal__now")], [say("back")], servers=servers) as gateway:
        first = await gateway.openai.responses.create(model="both", input="die")
        again = await gateway.openai.responses.create(model="both", input="time?", previous_response_id=first.id)
    assert {item.name: item.status for item in first.output[:2]} == {"die": "failed", "now": "completed"}
    assert (first.output_text, again.output[0].output) == ("on", "12:00 UTC")


async def test_the_same_server_is_served_to_other_hosts_with_the_same_key(start_gateway, clock):
    async with start_gateway(servers=clock) as gateway:
        headers = {"accept": "application/json, text/event-stream", "mcp-protocol-version": "2025-11-25"}
        hello = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "initialize",
            "params": {
                "protocolVersion": "2025-11-25",
                "capabilities": {},
                "clientInfo": {"name": "test", "version": "1"},
            },
        }
        answer = await gateway.http.post("/mcp/clock", json=hello, headers=headers)
        nowhere = await gateway.http.post("/mcp/nowhere", json=hello, headers=headers)
        gateway.http.headers.pop("authorization")
        keyless = await gateway.http.post("/mcp/clock", json=hello, headers=headers)
    data = next(line[6:] for line in answer.text.splitlines() if line.startswith("data: {"))
    assert json.loads(data)["result"]["serverInfo"]["name"] == "clock"
    assert (nowhere.status_code, keyless.status_code) == (404, 401)


FUNCTION = {"type": "function", "name": "ask_user", "parameters": {"type": "object", "properties": {}}}


async def test_a_client_function_with_the_name_of_the_agents_tool_is_refused(start_gateway, clock):
    async with start_gateway(servers=clock) as gateway:
        with pytest.raises(openai.BadRequestError) as refused:
            await gateway.openai.responses.create(
                model="timekeeper", input="go", tools=[FUNCTION, {**FUNCTION, "name": "clock__count"}]
            )
        assert gateway.provider.calls == []
    assert (refused.value.param, "clock__count" in refused.value.message) == ("tools[1].name", True)


async def test_at_the_step_limit_the_clients_own_call_is_still_the_clients(start_gateway, clock, home):
    (home / "agents" / "hasty.yaml").write_text(
        "name: hasty\nmodel: scripted/one\ntools: [clock.now]\nlimits: {max_steps: 1}\n"
    )
    calls = [call("clock__now", call_id="call_a"), call("ask_user", call_id="call_b")]
    async with start_gateway(calls, [say("thanks")], servers=clock) as gateway:
        first = await gateway.openai.responses.create(model="hasty", input="go", tools=[FUNCTION])
        output = {"type": "function_call_output", "call_id": "call_b", "output": "42"}
        await gateway.openai.responses.create(
            model="hasty", input=[output], tools=[FUNCTION], previous_response_id=first.id
        )
        results = [item for item in gateway.provider.calls[1].items if item.kind == "tool_result"]
    assert first.status == "completed"
    assert {item.type for item in first.output} == {"mcp_call", "function_call"}
    assert [(result.call_id, result.text[:20]) for result in results] == [
        ("call_a", "This call was not ru"),
        ("call_b", "42"),
    ]


async def test_an_output_cannot_be_given_twice(start_gateway):
    async with start_gateway([call("ask_user")], [say("thanks")]) as gateway:
        first = await gateway.openai.responses.create(model="helper", input="go", tools=[FUNCTION])
        output = {"type": "function_call_output", "call_id": "call_1", "output": "42"}
        second = await gateway.openai.responses.create(
            model="helper", input=[output], tools=[FUNCTION], previous_response_id=first.id
        )
        with pytest.raises(openai.BadRequestError, match="has its output already"):
            await gateway.openai.responses.create(
                model="helper", input=[output], tools=[FUNCTION], previous_response_id=second.id
            )


async def test_a_tool_that_must_be_called_is_called_once(start_gateway, clock):
    async with start_gateway([call("clock__now")], [say("noon")], servers=clock) as gateway:
        await gateway.openai.responses.create(model="timekeeper", input="time?", tool_choice="required")
        choices = [asked.options.get("tool_choice") for asked in gateway.provider.calls]
    assert choices == ["required", "auto"]


async def test_a_run_that_fails_reports_what_it_spent_and_leaves_nothing_to_answer(start_gateway, clock, home):
    meeting = [call("clock__meet", '{"name": "alone"}', "call_a"), call("ask_user", call_id="call_b")]
    (home / "agents" / "brief.yaml").write_text(
        "name: brief\nmodel: scripted/one\ntools: [clock.meet]\nlimits: {deadline: 2s}\n"
    )
    async with start_gateway([call("clock__now")], [say("up")], meeting, [say("hello")], servers=clock) as gateway:
        # The start of a tool server is waited for within the deadline; here it is over before that begins.
        await gateway.openai.responses.create(model="timekeeper", input="time?")
        failed = await gateway.openai.responses.create(model="brief", input="go", tools=[FUNCTION])
        after = await gateway.openai.responses.create(model="brief", input="?", previous_response_id=failed.id)
    assert (failed.status, failed.usage.total_tokens) == ("failed", 15)
    assert after.output_text == "hello"
