"""`item_reference`: an item of the input that the client has only the id of, because the gateway keeps it."""

from collections.abc import Mapping
from dataclasses import replace

from gateway.apis._items import Wire, to_wire
from gateway.errors import NotFound
from gateway.items import Item, Reasoning, ToolCall
from gateway.storage import Store


async def dereferenced(raw: list[Wire], store: Store, owner: str) -> tuple[list[Wire], Mapping[str, Item]]:
    """The input with every reference replaced by the item it means, and those items by their ids: what a provider
    wants back of them is not shown. Raises NotFound for one that this owner has not.

    OpenAI's SDKs may leave out the `type` of a reference.
    """
    if not (ids := {id for one in raw if (id := referred(one))}):
        return raw, {}
    found = await store.items(ids, owner)
    wires = [to_wire(kept(id, found))[0] if (id := referred(one)) else one for one in raw]
    return wires, {item.id: item for items in found.values() for item in items}


def with_states(items: list[Item], known: Mapping[str, Item]) -> list[Item]:
    """The items with the provider's state of those that were referred to."""
    return [with_state(item, known.get(item.id)) for item in items]


def with_state(item: Item, known: Item | None) -> Item:
    match item, known:
        case (Reasoning(), Reasoning(state=state)) | (ToolCall(), ToolCall(state=state)) if state:
            return replace(item, state=state)
        case _:
            return item


def referred(raw: Wire) -> str:
    """The id that the item refers to; empty if it is an item of its own."""
    id: object = raw.get("id")
    if not isinstance(id, str):
        return ""
    bare = raw.get("type") is None and "role" not in raw
    return id if bare or raw.get("type") == "item_reference" else ""


def kept(id: str, found: Mapping[str, list[Item]]) -> list[Item]:
    if id not in found:
        raise NotFound(
            f"Item with id '{id}' not found. Items are not persisted when `store` is set to false. Try again with "
            "`store` set to true, or remove this item from your input.",
            param="input",
        )
    return found[id]
