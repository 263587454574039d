"""The provider that ships for tests and docs."""

import asyncio

import pytest

from gateway.errors import ProviderError, ProviderRateLimited, ProviderRefused
from gateway.events import ItemDone, StepDone, TextDelta
from gateway.items import Message, Reasoning, Text, ToolCall, ToolResult
from gateway.providers.scripted import ScriptedProvider
from tests.providers.conftest import ask, user

pytestmark = pytest.mark.anyio

HELLO = Message(id="m", role="assistant", content=(Text(text="Hello  there, you."),))
CALL = ToolCall(id="fc", call_id="call_1", name="search", arguments='{"query":"a"}')


async def play(provider, call=None):
    return [event async for event in provider.stream(call or ask())]


async def test_steps_are_played_in_order_and_calls_are_remembered():
    provider = ScriptedProvider([Reasoning(id="rs", text="Hm."), HELLO], [CALL])
    first, second = await play(provider), await play(provider, ask(user("Again.")))
    assert [event.item for event in first if isinstance(event, ItemDone)] == [Reasoning(id="rs", text="Hm."), HELLO]
    assert "".join(event.text for event in first if isinstance(event, TextDelta)) == HELLO.text
    assert [event.finish for event in (first[-1], second[-1])] == ["stop", "tool_calls"]
    assert [call.items[0].text for call in provider.calls] == ["Hi.", "Again."]


async def test_a_step_may_be_an_error_or_depend_on_the_call():
    provider = ScriptedProvider(ProviderRateLimited(), lambda call: [HELLO] if call.items else ProviderError())
    with pytest.raises(ProviderRateLimited):
        await play(provider)
    assert isinstance((await play(provider))[-1], StepDone)
    with pytest.raises(ProviderError, match="no step"):
        await play(provider)


async def test_an_event_among_the_items_is_waited_for():
    gate = asyncio.Event()
    events = ScriptedProvider([HELLO, gate, CALL]).stream(ask())
    async for event in events:
        if isinstance(event, ItemDone):
            break
    waiting = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0)
    assert not waiting.done()
    gate.set()
    assert (await waiting).item.kind == "tool_call"
    await events.aclose()


SCRIPT = """
- {when: refund, think: "Let me look.", call: {name: rag__search, arguments: {query: refund}}}
- {when: rag__search, say: "Refunds take five days."}
- {say: "Once."}
- {error: {status: 429, code: rate_limit_exceeded, message: "Slow down."}}
"""


async def test_a_script_is_chosen_by_the_question_the_tool_or_its_turn(tmp_path):
    (tmp_path / "script.yaml").write_text(SCRIPT)
    provider = ScriptedProvider.from_yaml(tmp_path / "script.yaml")
    for _ in range(2):
        asked = await play(provider, ask(user("What about a Refund?")))
        thought, call = (event.item for event in asked if isinstance(event, ItemDone))
        assert (thought.text, call.name, call.arguments) == ("Let me look.", "rag__search", '{"query":"refund"}')
        result = ToolResult(id="o", call_id=call.call_id, content=(Text(text="refund"),))
        answered = await play(provider, ask(user("What about a Refund?"), call, result))
        assert answered[-2].item.text == "Refunds take five days."
    assert (await play(provider))[-2].item.text == "Once."
    with pytest.raises(ProviderRateLimited, match="Slow down"):
        await play(provider)
    with pytest.raises(ProviderError, match="no step"):
        await play(provider)


@pytest.mark.parametrize("text", ["{say: hi}", "- hi", "[", None])
async def test_a_file_that_is_no_script_is_refused(tmp_path, text):
    path = tmp_path / "script.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ProviderRefused):
        ScriptedProvider.from_yaml(path)
    with pytest.raises(ProviderRefused):
        ScriptedProvider.from_yaml(tmp_path / "secrets.txt")
