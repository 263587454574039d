"""Small turns to put into a store."""

from gateway.agents.spec import AgentSpec, ToolGrant
from gateway.items import Item, Message, Text, new_id
from gateway.model_requests import ModelRequest
from gateway.ports import Store, Turn, TurnEnd

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
