"""Small turns to put into a store."""

from gateway.agents.spec import AgentSpec, ToolGrant
from gateway.items import Approval, Image, Item, Message, Reasoning, Refusal, Text, ToolCall, ToolResult, new_id
from gateway.model_requests import ModelRequest
from gateway.ports import Turn
from gateway.storage import Store, TurnEnd

AGENT = AgentSpec(
    name="careful",
    model="openai/gpt-4o-mini",
    instructions="Ask first. ÄÖ 日本",
    fallbacks=("anthropic/claude",),
    params={"temperature": 0.5, "stop": ["END"]},
    tools=(ToolGrant(tool="files.*", effect="read", args={"required": ["path"]}, per_run=3),),
    deadline=30.0,
    labels={"team": "a"},
    digest="d1",
)
DONE = TurnEnd(status="completed", reason="stop", ended_at=2.5)
EVERY_ITEM: tuple[Item, ...] = (
    Message(id="m", role="user", content=(Text(text="hi", annotations=({"a": [1]},)), Image(url="data:,"))),
    Message(id="n", role="assistant", content=(Refusal(text="no"),), complete=False),
    Reasoning(id="r", text="hm", summary="s", state={"signature": "x", "n": 1.0}),
    ToolCall(id="c", call_id="1", name="look", arguments="{not json", server="files", tool="look", state={"t": None}),
    ToolResult(id="t", call_id="1", content=(Text(text="\x00 \u2028 𝄞"),), is_error=True),
    Approval(id="a", call_id="1", approved=False, reason="why"),
)


def said(text: str, role: str = "user") -> Message:
    return Message(id=new_id("msg"), role="user" if role == "user" else "assistant", content=(Text(text=text),))


def asked(*items: Item, parent: str | None = None, conversation: str | None = None) -> Turn:
    return Turn(id=new_id("resp"), agent=AGENT, input=items, parent=parent, conversation=conversation, created_at=1.5)


def sent(*messages: str) -> ModelRequest:
    """A request with these messages in its body."""
    body = f'{{"messages":[{",".join(messages)}],"tools":[]}}'.encode()
    return ModelRequest(model="x/m", url="https://x/v1", body=body, created_at=1.5, status="completed")


async def exchange(
    store: Store, question: Item, answer: Item, parent: str | None = None, conversation: str | None = None
) -> str:
    """One finished turn; its id."""
    turn = asked(question, parent=parent, conversation=conversation)
    await store.begin(turn)
    await store.end(turn.id, DONE, answer)
    return turn.id
