"""How long a conversation is, and what of it still fits into a model's context window: `truncation: auto`.

Nobody but the provider knows how much that is, so nothing is dropped before it has refused a request as too long. Then
the older half of what may go is left out, and more with every further refusal, until it fits or nothing may go.
"""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import orjson

from gateway.exchanges import BYTES_PER_TOKEN, FRAME, exchanges, is_instruction, is_question, steps, tokens
from gateway.items import Item
from gateway.ports import ModelCall, Turn


class Window:
    """For one run. `slides` is whether anything may be dropped at all; what was, stays dropped until the run ends."""

    def __init__(self, *, slides: bool) -> None:
        self.slides = slides
        self._dropped: set[str] = set()

    def view(self, items: Sequence[Item]) -> Sequence[Item]:
        """The items without those that were dropped."""
        return [item for item in items if item.id not in self._dropped] if self._dropped else items

    def narrow(self, items: Sequence[Item]) -> bool:
        """Drop some of these, which were too long. False if none may be."""
        oldest: Sequence[Item] = droppable(items) if self.slides else ()
        self._dropped.update(item.id for item in oldest)
        return bool(oldest)


def droppable(items: Sequence[Item]) -> Sequence[Item]:
    """The older half of what is no instruction, up to where a cut leaves a conversation that providers take.

    That is before a question of the user's. When only the newest question is left, it is kept, and the oldest calls
    after it go, each with its results. The newest calls and results always stay.
    """
    said = [item for item in items if not is_instruction(item)]
    begin = 0
    cuts = [place for place in exchanges(said) if place]
    if not cuts:
        questions = [place for place, item in enumerate(said) if is_question(item)]
        begin = questions[0] + 1 if questions else 0
        cuts = [place for place in steps(said) if place > begin]
    if not cuts:
        return ()
    before = [0, *accumulate(map(tokens, said[begin:]))]
    cut = next((place for place in cuts if before[place - begin] >= before[-1] / 2), cuts[-1])
    return said[begin:cut]


def window_of(turn: Turn) -> Window:
    return Window(slides={**turn.agent.params, **turn.options}.get("truncation") == "auto")


def tokens_of(items: Sequence[Item]) -> int:
    """About how many tokens these are for a model; every model counts in its own way."""
    return sum(map(tokens, items))


def tokens_in(call: ModelCall) -> int:
    """About how many tokens a provider is sent with this call: its items, its tools and the schema of the answer."""
    described = [orjson.dumps([tool.name, tool.description, tool.schema]) for tool in call.tools]
    form: Mapping[str, Any] = call.options.get("response_format") or {}
    if form.get("schema"):
        described.append(orjson.dumps(form["schema"]))
    return tokens_of(call.items) + sum(FRAME - (-len(one) // BYTES_PER_TOKEN) for one in described)
