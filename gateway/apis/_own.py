"""What a key may see of the store: its own. Another's is not found, as if it did not exist."""

from gateway.errors import NotFound
from gateway.storage import Store, StoredTurn


async def own_turn(store: Store, id: str, owner: str, kind: str, missing: NotFound) -> StoredTurn:
    """The stored turn of this id, if it is the owner's and of the kind that its id begins with. Else raises `missing`.

    Items that were added to a conversation without a model are turns too; and one that is kept only until a person has
    answered is not the client's to read.
    """
    if not id.startswith(kind):
        raise missing
    try:
        stored = await store.get(id)
    except NotFound:
        raise missing from None
    if stored.turn.owner != owner or not stored.turn.stored:
        raise missing
    return stored
