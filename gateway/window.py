"""How long a conversation is, and what of it still fits into a model's context window: `truncation: auto`.

Nobody but the provider knows how much that is, so nothing is dropped before it has refused a request as too long. Then
the older half of what may go is left out, and more with every further refusal, until it fits or nothing may go.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from gateway.items import File, Image, Item, Message, Reasoning, ToolCall, ToolResult
from gateway.ports import ModelCall

MEDIA = 4000
"""Bytes of text that an image or a file is taken to be worth."""
PER_TOKEN = 4
"""Bytes of text in UTF-8 that are taken to be one token."""
PER_ITEM = 4
"""Tokens that each message, call, result and tool is taken to cost besides what it says."""


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
    questions = [place for place, item in enumerate(said) if isinstance(item, Message) and item.role == "user"]
    begin = 0
    cuts = [place for place in questions if place]
    if not cuts:
        begin = questions[0] + 1 if questions else 0
        cuts = [place for place in steps(said) if place > begin]
    if not cuts:
        return ()
    half = sum(map(size, said[begin:])) / 2
    cut = next((place for place in cuts if sum(map(size, said[begin:place])) >= half), cuts[-1])
    return said[begin:cut]


def steps(items: Sequence[Item]) -> list[int]:
    """The places where the model begins a step, every call before it answered."""
    places: list[int] = []
    pending: set[str] = set()
    for place, item in enumerate(items):
        after_result = place > 0 and isinstance(items[place - 1], ToolResult)
        if not pending and after_result and not isinstance(item, ToolResult):
            places.append(place)
        if isinstance(item, ToolCall):
            pending.add(item.call_id)
        elif isinstance(item, ToolResult):
            pending.discard(item.call_id)
    return places


def is_instruction(item: Item) -> bool:
    return isinstance(item, Message) and item.role in ("system", "developer")


def size(item: Item) -> int:
    """Bytes of its text in UTF-8, roughly."""
    match item:
        case Message(content=parts) | ToolResult(content=parts):
            return sum(MEDIA if isinstance(part, Image | File) else length(part.text) for part in parts)
        case ToolCall(name=name, arguments=arguments):
            return length(name) + length(arguments)
        case Reasoning(text=text):
            return length(text)
        case _:
            return 0


def length(text: str) -> int:
    # Bytes and not characters: a Chinese character is about a token, as four Latin letters are.
    return len(text) if text.isascii() else len(text.encode(errors="replace"))


def tokens_of(items: Sequence[Item]) -> int:
    """About how many tokens these are for a model; every model counts in its own way."""
    return -(-sum(map(size, items)) // PER_TOKEN) + PER_ITEM * len(items)


def tokens_in(call: ModelCall) -> int:
    """About how many tokens a provider is sent with this call: its items, its tools and the schema of the answer."""
    tools = [orjson.dumps([tool.name, tool.description, tool.schema]) for tool in call.tools]
    form: Mapping[str, Any] = call.options.get("response_format") or {}
    described = sum(map(len, tools)) + (len(orjson.dumps(form["schema"])) if form.get("schema") else 0)
    return tokens_of(call.items) - (-described // PER_TOKEN) + PER_ITEM * len(tools)
