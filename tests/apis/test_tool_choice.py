"""`tool_choice`: none, auto, required, one function, a server's tools, or some of all tools."""

import openai
import pytest

from gateway.tools.settings import ServerSettings
from tests.conftest import call, say

pytestmark = pytest.mark.anyio

WEATHER = {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}}
CLOCK = ["clock__count", "clock__now"]


@pytest.fixture
def clock(home):
    (home / "agents" / "timekeeper.yaml").write_text(
        "name: timekeeper\nmodel: scripted/one\ntools: [clock.now, clock.count]\n"
    )
    return {"clock": ServerSettings(module="tests.servers.clock", settings={"folder": str(home)})}


async def asked(start_gateway, clock, choice, **fields):
    """The response; and of each model call the choice and the tools it was offered. The model calls one tool first."""
    async with start_gateway([call("clock__now")], [say("noon")], servers=clock) as gateway:
        response = await gateway.openai.responses.create(
            model="timekeeper", input="time?", tools=[WEATHER], tool_choice=choice, **fields
        )
        calls = gateway.provider.calls
        return response, [(one.options.get("tool_choice"), [tool.name for tool in one.tools]) for one in calls]


async def test_one_tool_of_a_server_must_be_called_once(start_gateway, clock):
    choice = {"type": "mcp", "server_label": "clock", "name": "now"}
    response, calls = await asked(start_gateway, clock, choice)
    assert calls == [({"name": "clock__now"}, [*CLOCK, "weather"]), ("auto", [*CLOCK, "weather"])]
    assert response.tool_choice.model_dump() == choice


async def test_any_tool_of_a_server_must_be_called_and_then_all_may_be(start_gateway, clock):
    _, calls = await asked(start_gateway, clock, {"type": "mcp", "server_label": "clock"})
    assert calls == [("required", CLOCK), ("auto", [*CLOCK, "weather"])]


async def test_a_function_is_chosen_by_its_name(start_gateway, clock):
    response, calls = await asked(start_gateway, clock, {"type": "function", "name": "weather"})
    assert [choice for choice, _ in calls] == [{"name": "weather"}, "auto"]
    assert response.tool_choice.name == "weather"


@pytest.mark.parametrize("mode", ["auto", "required"])
async def test_only_the_allowed_tools_are_offered_in_the_whole_run(start_gateway, clock, mode):
    tools = [{"type": "mcp", "server_label": "clock", "name": "now"}, {"type": "function", "name": "weather"}]
    response, calls = await asked(start_gateway, clock, {"type": "allowed_tools", "mode": mode, "tools": tools})
    assert calls == [(mode, ["clock__now", "weather"]), ("auto", ["clock__now", "weather"])]
    assert response.tool_choice.mode == mode


async def test_a_tool_that_is_not_allowed_does_not_run_though_the_model_calls_it(start_gateway, clock, home):
    tools = [{"type": "function", "name": "weather"}]
    calls = [call("clock__count", call_id="a"), call("ask_user", call_id="b")]
    asking = {**WEATHER, "name": "ask_user"}
    async with start_gateway(calls, [say("sorry")], servers=clock) as gateway:
        response = await gateway.openai.responses.create(
            model="timekeeper",
            input="go",
            tools=[WEATHER, asking],
            tool_choice={"type": "allowed_tools", "mode": "auto", "tools": tools},
        )
        results = [item.text for item in gateway.provider.calls[1].items if item.kind == "tool_result"]
    assert ["There is no tool named" in text for text in results] == [True, True]
    assert response.output_text == "sorry"
    assert not (home / "tally").exists()


@pytest.mark.parametrize(
    ("choice", "param"),
    [
        ("sometimes", "tool_choice"),
        (5, "tool_choice"),
        ({"name": "weather"}, "tool_choice.type"),
        ({"type": "web_search_preview"}, "tool_choice.type"),
        ({"type": "function"}, "tool_choice.name"),
        ({"type": "function", "name": "nonsense"}, "tool_choice"),
        ({"type": "mcp", "server_label": "nowhere"}, "tool_choice"),
        ({"type": "allowed_tools", "mode": "never", "tools": [WEATHER]}, "tool_choice.mode"),
        ({"type": "allowed_tools", "mode": "auto", "tools": [{"type": "shell"}]}, "tool_choice.tools[0].type"),
        ({"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "x"}]}, "tool_choice"),
    ],
)
async def test_a_choice_that_means_nothing_is_refused(start_gateway, clock, choice, param):
    async with start_gateway(servers=clock) as gateway:
        with pytest.raises(openai.BadRequestError) as refused:
            await gateway.openai.responses.create(model="timekeeper", input="?", tools=[WEATHER], tool_choice=choice)
        assert gateway.provider.calls == []
    assert refused.value.param == param
