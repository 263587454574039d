"""An agent with a context, and what its model was shown."""

import pytest

from gateway.items import ToolCall, ToolResult
from gateway.tools.settings import ServerSettings


@pytest.fixture
def keeper(home):
    """`keeper("{keep: [{last: 2}]}")` writes the agent `keeper`; the settings of its tool server."""

    def written(context, tools="[]"):
        (home / "agents" / "keeper.yaml").write_text(
            f"name: keeper\nmodel: scripted/one\ninstructions: You help.\ntools: {tools}\ncontext: {context}\n"
        )
        return {"clock": ServerSettings(module="tests.servers.clock", settings={"folder": str(home)})}

    return written


def shown(call):
    """What a model was shown: texts, and calls and results by their ids."""
    return [said(item) for item in call.items]


def said(item):
    match item:
        case ToolCall(call_id=id):
            return f"call {id}"
        case ToolResult(call_id=id):
            return f"result {id}"
        case _:
            return item.text


async def talk(gateway, *questions, model="keeper", **fields):
    """Ask one after the other, each after the answer before it. The last response."""
    last = None
    for question in questions:
        last = await gateway.openai.responses.create(
            model=model, input=question, previous_response_id=last and last.id, **fields
        )
    return last
