"""The model sees what the agent's `context` has room for: the newest exchanges, older ones that fit the question, and a
summary of the rest.

Whole exchanges are left out, the oldest first, and so a tool call never without its result. Of the exchange that is
being answered only its oldest calls may go. The new input never does: if that alone is too long, the provider says so.
"""

from collections.abc import Sequence

from gateway.agents.spec import Context
from gateway.embedding import Embedder
from gateway.events import ModelEvent
from gateway.exchanges import is_instruction, tokens
from gateway.items import Item, Message, Summary, Text
from gateway.memory._exchanges import Exchange, divided, question_of
from gateway.memory._nearest import Nearest
from gateway.memory._summaries import Summaries
from gateway.memory.everything import Everything
from gateway.model_requests import RequestLog
from gateway.ports import Provider, Turn

SUMMARY = "Summary of the conversation so far:\n"


class Bounded(Everything):
    """The strategy `context`. Vectors, and summaries of what no store keeps, are remembered here."""

    def __init__(self, provider: Provider, embedder: Embedder) -> None:
        super().__init__(provider, embedder)
        self._nearest = Nearest(embedder)
        self._summaries = Summaries(provider)

    async def view(
        self, turn: Turn, history: Sequence[Item], log: RequestLog | None = None
    ) -> tuple[Sequence[Item], Sequence[ModelEvent]]:
        context, exchanges = turn.agent.context, divided(turn, history)
        summary, covered, made = await self._summaries.of(turn, history, exchanges, log)
        room = Room(context.budget_tokens)
        staying = [exchange for exchange in exchanges if exchange.stays]
        room.put_down(staying)
        shown = shown_summary(summary) if summary else None
        if shown and not room.take(tokens(shown)):
            shown = None
        older = exchanges[: len(exchanges) - len(staying)]
        rest = room.put_newest(older, newest_of(context, older, covered, len(staying)))
        if context.top_k and rest:
            for exchange in await self._nearest.of(question_of(staying), rest, context.top_k):
                if room.take(exchange.tokens):
                    room.places.update(exchange.places)
        kept = [item for place, item in enumerate(history) if is_instruction(item) or place in room.places]
        if shown:
            first = next((n for n, item in enumerate(kept) if not is_instruction(item)), len(kept))
            kept.insert(first, shown)
        view, _ = await super().view(turn, kept)
        return view, made


def newest_of(context: Context, older: Sequence[Exchange], covered: int, staying: int) -> int:
    """How many of the older exchanges are shown for being new. What awaits its summary is shown until it has one."""
    if context.summary_at is not None:
        return len(older) - covered
    if context.last is None:
        return len(older)
    return min(len(older), max(0, context.last - staying))


def shown_summary(summary: Summary) -> Message:
    """For the model a summary is something that a user said: it is made of what users and tools said, so it must not
    have the weight of an instruction."""
    return Message(id=summary.id, role="user", content=(Text(text=SUMMARY + summary.text),))


class Room:
    """How many tokens are left of a budget, None for any number, and the `places` that are kept for what was spent."""

    def __init__(self, budget: int | None) -> None:
        self._left = float("inf") if budget is None else budget
        self.places: set[int] = set()

    def take(self, tokens: int) -> bool:
        """Spend so many, if they are left."""
        if tokens > self._left:
            return False
        self._left -= tokens
        return True

    def put_down(self, staying: Sequence[Exchange]) -> None:
        """What is kept in any case, without its oldest calls where it is too long with them."""
        for exchange in staying:
            self._left -= exchange.tokens
            self.places.update(exchange.places)
        for places, size in (step for exchange in staying for step in exchange.steps()):
            if self._left >= 0:
                return
            self.places.difference_update(places)
            self._left += size

    def put_newest(self, older: Sequence[Exchange], most: int) -> list[Exchange]:
        """Keep at most so many of these, the newest first, up to one that does not fit. Returns the others."""
        begin = len(older)
        while begin > len(older) - most and self.take(older[begin - 1].tokens):
            begin -= 1
            self.places.update(older[begin].places)
        return list(older[:begin])
