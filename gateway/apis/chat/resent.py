"""What a client sends again is stored once.

A client of this dialect sends the whole conversation each time. A turn that is stored is kept under the digest of all
messages it was asked with. A later request whose first messages have that digest, and which goes on with the answer
that the turn gave, continues the turn: only what comes after is new. The last such turn is taken, so an edit in the
middle is a branch. Ids are not part of a digest; clients make up new ones.
"""

import asyncio
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from gateway.apis._calls import free_text
from gateway.apis.chat.messages import answer_of, said_in
from gateway.errors import NotFound
from gateway.item_sizes import size_of
from gateway.items import File, Image, Item, Message, Part, Refusal, Text, ToolCall, ToolResult
from gateway.ports import Turn
from gateway.storage import Store

LOOKED_UP = 64
"""Digests of one look-up: most often the newest turn is meant."""

FEW, SHORT = 32, 16 * 1024
"""Items and characters that are read at once: the way to a thread and back takes longer."""

Plain = tuple[object, ...]


async def continued(turn: Turn, store: Store) -> Turn:
    """The turn with its digest, and if its history is known with its parent and only what is new as its input."""
    # Else on a thread: it may be 20 MB.
    few = len(turn.input) <= FEW and sum(map(size_of, turn.input)) <= SHORT
    plain, digests = read(turn) if few else await asyncio.to_thread(read, turn)
    turn = replace(turn, digest=digests[-1])
    places = [place for place, item in enumerate(turn.input) if place and is_answer(item)]
    while places:
        newest, places = places[-LOOKED_UP:], places[:-LOOKED_UP]
        found: dict[str, list[str]] = {}
        for digest, id in await store.by_digest(turn.owner, [digests[place] for place in newest]):
            found.setdefault(digest, []).append(id)
        for place in reversed(newest):
            for id in found.get(digests[place], ()):
                if end := await after_answer(store, id, plain, place):
                    return await new_part(turn, store, id, end)
    return turn


async def after_answer(store: Store, id: str, said: Sequence[Plain], place: int) -> int:
    """Where the answer of this turn ends in what was said, if it stands there; else 0."""
    try:
        stored = await store.get(id)
    except NotFound:
        return 0
    answer = list(to_plain(as_resent(stored.output)))
    return place + len(answer) if answer and list(said[place : place + len(answer)]) == answer else 0


async def new_part(turn: Turn, store: Store, parent: str, start: int) -> Turn:
    """The turn as the continuation of `parent`. Outputs are for the calls as they are stored, which the client may know
    by other ids."""
    new = list(turn.input[start:])
    if any(isinstance(item, ToolResult) for item in new):
        given = [item.call_id for item in turn.input[:start] if isinstance(item, ToolCall)]
        history = await store.history(parent)
        kept = [item.call_id for item in history if isinstance(item, ToolCall) and not item.server]
        ids = dict(zip(given, kept, strict=True)) if len(given) == len(kept) else {}
        new = [
            replace(item, call_id=ids.get(item.call_id, item.call_id)) if isinstance(item, ToolResult) else item
            for item in new
        ]
    return replace(turn, parent=parent, input=new)


def as_resent(output: Iterable[Item]) -> list[Item]:
    """An answer as its client got it, and sends it again."""
    messages, calls = answer_of(output)
    text, refusal = said_in(messages)
    parts = (*([Text(text=text)] if text else ()), *([Refusal(text=refusal)] if refusal else ()))
    said = [Message(id="", role="assistant", content=parts)] if parts else []
    return [*said, *calls]


def is_answer(item: Item) -> bool:
    return isinstance(item, ToolCall) or (isinstance(item, Message) and item.role == "assistant")


def read(turn: Turn) -> tuple[list[Plain], list[str]]:
    """Each item without its ids, and the digests of what is before each of them and of all."""
    plain = list(to_plain(turn.input))
    state = hashlib.sha256(repr(turn.agent.name).encode())
    digests = [state.hexdigest()]
    for one in plain:
        state.update(repr(one).encode(errors="surrogatepass"))
        digests.append(state.hexdigest())
    return plain, digests


def to_plain(items: Iterable[Item]) -> Iterator[Plain]:
    """What the items say, equal for equal things. A result says which call it is for by the call's number."""
    numbers: dict[str, int] = {}
    for item in items:
        match item:
            case Message():
                yield "message", item.role, item.name, *map(plain_part, item.content)
            case ToolCall():
                numbers[item.call_id] = len(numbers)
                yield "call", item.name, free_text(item) if item.type == "custom" else item.arguments
            case ToolResult():
                yield "result", numbers.get(item.call_id, item.call_id), *map(plain_part, item.content)
            case _:
                pass


def plain_part(part: Part) -> Plain:
    match part:
        case Text() | Refusal():
            return part.kind, part.text
        case Image():
            return part.kind, part.url, part.detail
        case File():
            return part.kind, part.name, part.data, part.url, part.file_id
