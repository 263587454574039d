"""Images and files that a request names by URL, for providers that cannot read URLs: the gateway reads them for these.

LiteLLM would, too, on the event loop and from anywhere; it is told not to (`litellm_import`).
"""

import asyncio
import base64
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.errors import InvalidRequest, ProviderRefused
from gateway.items import File, Image, Item, Message, Part, Text
from gateway.ports import ModelCall
from gateway.providers.targets import Target
from gateway.slow_import import import_slowly

if TYPE_CHECKING:
    from gateway.guarded_fetch import Fetched

MOST_LINKS = 20
"""URLs of one run, which together have no more bytes than a single one may: they are all in memory at once."""
IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp")
FILES = ("application/pdf", "application/json", "text/")


async def with_contents(call: ModelCall, target: Target, hosts: Collection[str]) -> ModelCall:
    """The call as this provider can be asked it. A URL is read once and is in `call.read` from then on. `hosts` as for
    `fetch`. Raises ProviderRefused."""
    wanted = dict.fromkeys(links(call, target))
    if not wanted:
        return call
    if unread := [link for link in wanted if link not in call.read]:
        call.read.update(await contents(unread, hosts, call.read))
    found = {link: call.read[link] for link in wanted}
    return replace(call, items=[filled(item, found) for item in call.items])


async def contents(
    unread: Sequence[tuple[str, str]], hosts: Collection[str], read: Mapping[tuple[str, str], str]
) -> dict[tuple[str, str], str]:
    """What is at these URLs, within what others that were `read` leave. Raises ProviderRefused."""
    if len(read) + len(unread) > MOST_LINKS:
        raise ProviderRefused(f"More than {MOST_LINKS} URLs are not read.", param="url", code="invalid_url")
    # It brings aiohttp, which a start does without.
    guarded = await import_slowly("gateway.guarded_fetch")
    room = guarded.Room()
    # In base64 three bytes are four characters.
    room.left -= sum(map(len, read.values())) * 3 // 4
    try:
        async with asyncio.TaskGroup() as reading:
            tasks = {
                (url, kind): reading.create_task(guarded.fetch(url, IMAGES if kind == "image" else FILES, hosts, room))
                for url, kind in unread
            }
    except* InvalidRequest as errors:
        first = errors.exceptions[0]
        raise ProviderRefused(str(first), param="url", code="invalid_url") from None
    return await asyncio.to_thread(as_data, {link: task.result() for link, task in tasks.items()})


def as_data(fetched: "dict[tuple[str, str], Fetched]") -> dict[tuple[str, str], str]:
    """As data: URLs. For a thread: they may be megabytes."""
    return {key: f"data:{it.kind};base64,{base64.b64encode(it.content).decode()}" for key, it in fetched.items()}


def links(call: ModelCall, target: Target) -> Iterator[tuple[str, str]]:
    """What must be read: URLs, each with the kind of part that it stands in."""
    for item in call.items:
        if isinstance(item, Message):
            for part in item.content:
                if type(part) is Text:
                    continue
                if isinstance(part, Image) and not is_read_by(target, part.url):
                    yield part.url, part.kind
                elif isinstance(part, File) and part.url and target.lane != "responses":
                    yield part.url, part.kind


def is_read_by(target: Target, url: str) -> bool:
    """Whether the vendor reads an image's URL, or it needs no reading."""
    if url.startswith("data:") or target.lane in ("openai", "responses", "scripted"):
        return True
    return target.lane == "transformed" and target.litellm_provider == "anthropic" and url.startswith("https://")


def filled(item: Item, found: Mapping[tuple[str, str], str]) -> Item:
    if not isinstance(item, Message):
        return item
    return replace(item, content=tuple(filled_part(part, found) for part in item.content))


def filled_part(part: Part, found: Mapping[tuple[str, str], str]) -> Part:
    match part:
        case Image(url=url) if data := found.get((url, part.kind)):
            return replace(part, url=data)
        case File(url=url) if data := found.get((url, part.kind)):
            return File(name=part.name or url.partition("?")[0].rpartition("/")[2], data=data)
        case _:
            return part
