"""How a conversation may be taken apart, and how long its parts are: the one place that knows either.

A tool call is never parted from its result, nor from the calls beside it and the thought before it: a provider refuses
one without the other. Whoever leaves something out of what a model sees cuts here and nowhere else.
"""

from collections.abc import Sequence

from gateway.items import (
    File,
    Image,
    Item,
    Message,
    Reasoning,
    Refusal,
    Summary,
    Text,
    ToolCall,
    ToolResult,
)

BYTES_PER_TOKEN = 4
"""What a token is taken to be, of UTF-8. Only the provider knows; English has a little more, code a little less."""
MEDIA = 1000
"""Tokens that an image or a file is taken to be."""
FRAME = 4
"""Tokens that an item takes beside its text: a role, a name, marks around it."""


def is_instruction(item: Item) -> bool:
    return isinstance(item, Message) and item.role in ("system", "developer")


def is_question(item: Item) -> bool:
    return isinstance(item, Message) and item.role == "user"


def cuts(items: Sequence[Item]) -> list[int]:
    """The places, in order, where a cut parts no call from its result. The first place of all is one."""
    reach = spans(items)
    places: list[int] = []
    end = -1
    for place in range(len(items)):
        if place > end:
            places.append(place)
        end = max(end, reach.get(place, -1))
    return places


def spans(items: Sequence[Item]) -> dict[int, int]:
    """From the place of each answered call to the place of its last result. An id may be used again once answered."""
    reach: dict[int, int] = {}
    called: dict[str, int] = {}
    for place, item in enumerate(items):
        if isinstance(item, ToolCall):
            begin = called.get(item.call_id)
            if begin is None or begin in reach:
                called[item.call_id] = place
        elif isinstance(item, ToolResult) and (begin := called.get(item.call_id)) is not None:
            reach[begin] = place
    return reach


def exchanges(items: Sequence[Item]) -> list[int]:
    """The places where an exchange begins: a question of the user's and all that follows up to the next.

    What comes before the first question is an exchange of its own.
    """
    return [place for place in cuts(items) if not place or is_question(items[place])]


def steps(items: Sequence[Item]) -> list[int]:
    """The places where the model begins a step after its calls were answered."""
    return [
        place
        for place in cuts(items)
        if place and isinstance(items[place - 1], ToolResult) and not isinstance(items[place], ToolResult)
    ]


def tokens(item: Item) -> int:
    """Roughly how many tokens a model reads this item as. Counts a text of ASCII without looking at it."""
    match item:
        case Message(content=parts):
            return FRAME + sum(MEDIA if isinstance(part, Image | File) else length(part.text) for part in parts)
        case ToolResult(content=parts):
            return FRAME + sum(MEDIA if isinstance(part, Image | File) else length(part.text) for part in parts)
        case ToolCall(name=name, arguments=arguments):
            return FRAME + length(name) + length(arguments)
        case Reasoning(text=text) | Summary(text=text):
            return FRAME + length(text)
        case _:
            return 0


def length(text: str) -> int:
    """A text in tokens, rounded up."""
    size = len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))
    return -(-size // BYTES_PER_TOKEN)


def transcript(item: Item) -> str:
    """One item as a line of text that says who said it; empty for what a reader does not need."""
    match item:
        case Message(role=role, content=parts):
            said = "".join(part.text for part in parts if isinstance(part, Text | Refusal))
            return f"{item.name or role}: {said or '(an image or a file)'}"
        case ToolCall(name=name, arguments=arguments):
            return f"call of {name}: {arguments}"
        case ToolResult():
            return f"result{' (failed)' if item.is_error else ''}: {item.text}"
        case _:
            return ""
