"""The model sees the whole conversation."""

from collections.abc import Sequence

from gateway.embedding import Embedder
from gateway.events import ModelEvent
from gateway.items import Item, Message, Text
from gateway.model_requests import RequestLog
from gateway.ports import Provider, Turn


class Everything:
    """The agent's instructions, the client's for this turn, then every item. Nothing else is ever added.

    `provider` and `embedder` are there for strategies that ask a model.
    """

    def __init__(self, provider: Provider, embedder: Embedder) -> None:
        self.provider = provider
        self.embedder = embedder

    async def view(
        self, turn: Turn, history: Sequence[Item], log: RequestLog | None = None
    ) -> tuple[Sequence[Item], Sequence[ModelEvent]]:
        head = [
            Message(id="instructions", role="system", content=(Text(text=text),))
            for text in (turn.agent.instructions, turn.instructions)
            if text
        ]
        return [*head, *history], ()
