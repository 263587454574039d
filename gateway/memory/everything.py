"""The model sees the whole conversation."""

from collections.abc import Sequence

from gateway.items import Item, Message, Text
from gateway.ports import Turn


class Everything:
    """The agent's instructions, the client's for this turn, then every item. Nothing else is ever added."""

    async def view(self, turn: Turn, history: Sequence[Item]) -> Sequence[Item]:
        said = [text for text in (turn.agent.instructions, turn.instructions) if text]
        head = [Message(id="instructions", role="system", content=(Text(text=text),)) for text in said]
        return [*head, *history]
