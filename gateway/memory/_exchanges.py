"""A history as exchanges, for what is kept of it: their places, their length, and what of them must stay."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from gateway.exchanges import exchanges, is_instruction, is_question, steps, tokens
from gateway.history import told
from gateway.items import Item, Message, Reasoning, Summary, ToolCall
from gateway.ports import Turn


@dataclass(slots=True)
class Exchange:
    """Never changed; frozen it would take twice as long to make, and there is one for each of a long history.

    `items` with their `places` in the history, and their length in tokens.

    `stays`: it is being answered, or holds new input. `new` are the places of the turn's new input, here or in
    another exchange.
    """

    items: Sequence[Item]
    places: Sequence[int]
    tokens: int
    stays: bool
    new: frozenset[int]

    def steps(self) -> Iterator[tuple[Sequence[int], int]]:
        """The places and the length of each step that may be left out, oldest first: a call goes with its result. The
        question stays, the new input, and the newest step."""
        begin = int(is_question(self.items[0]))
        for start, end in pairwise([begin, *(place for place in steps(self.items) if place > begin)]):
            if self.new.isdisjoint(self.places[start:end]):
                yield self.places[start:end], sum(map(tokens, self.items[start:end]))


def divided(turn: Turn, history: Sequence[Item]) -> list[Exchange]:
    """The exchanges of a history, oldest first; instructions and summaries belong to none."""
    places = [place for place, item in enumerate(history) if not is_instruction(item) and not isinstance(item, Summary)]
    said = [history[place] for place in places]
    if not said:
        return []
    new = new_input(turn, said)
    starts = exchanges(said)
    last = next((n for n in reversed(range(len(starts))) if starts[n] <= new.start), 0)
    fresh, sizes = frozenset(places[new.start : new.stop]), [*map(tokens, said)]
    return [
        Exchange(said[start:end], places[start:end], sum(sizes[start:end]), number >= last, fresh)
        for number, (start, end) in enumerate(pairwise([*starts, len(said)]))
    ]


def new_input(turn: Turn, said: Sequence[Item]) -> range:
    """Where in `said` the new input stands: what the client sent after what the model said last.

    A client that sends the whole conversation each time sends old things as well.
    """
    new = [item for item in told(turn.input) if not is_instruction(item) and not isinstance(item, Summary)]
    spoken = [place for place, item in enumerate(new) if is_answer(item)]
    new = new[spoken[-1] + 1 :] if spoken else new
    if new:
        for place in reversed(range(len(said))):
            if said[place] == new[0]:
                return range(place, place + len(new))
    return range(len(said), len(said))


def is_answer(item: Item) -> bool:
    return isinstance(item, ToolCall | Reasoning) or (isinstance(item, Message) and item.role == "assistant")


def question_of(exchanges: Sequence[Exchange]) -> str:
    """The text of the newest message of the user's; empty if it has none."""
    said = (item for exchange in reversed(exchanges) for item in reversed(exchange.items))
    return next((item.text for item in said if isinstance(item, Message) and item.role == "user"), "")
