"""What a client keeps for the gateway without being able to read or change it: `encrypted_content`, the state of a
thought or the summary of a compaction.

AES-256-GCM under a key of this installation, made when it is first needed and readable by its user only. The owner's id
is authenticated too: what one key was given is of no use to another. Losing the key loses what clients keep, no more: a
conversation that goes on from a client's compaction must then do without that.
"""

import asyncio
import base64
import binascii
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from gateway.errors import InvalidRequest, StorageFull
from gateway.history import kinds_of
from gateway.items import Compaction, Item, Reasoning
from gateway.slow_import import import_slowly

BEGINNING = "hp1."
"""Tells what was sealed here from what other services have sealed."""
KEY = 32
NONCE = 12
"""Bytes. A nonce is random, which is safe for 2**32 messages under one key (NIST SP 800-38D, 8.3)."""
SEALED = (Reasoning, Compaction)
"""Items that may have sealed content."""


class Sealer:
    """`path` is the file of the key."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ready: tuple[Any, type[Exception]] | None = None

    async def seal(self, state: Mapping[str, Any], owner: str) -> str:
        """The state as text for this owner to keep. Raises StorageFull where no key can be made."""
        cipher, _ = await self._cipher()
        nonce = os.urandom(NONCE)
        sealed: bytes = cipher.encrypt(nonce, orjson.dumps(state), owner.encode())
        return BEGINNING + base64.urlsafe_b64encode(nonce + sealed).decode()

    async def open(self, text: str, owner: str) -> dict[str, Any]:
        """What `seal` was given; empty for what another service has sealed. Raises InvalidRequest for a text that was
        changed, or was sealed for another owner."""
        if not text.startswith(BEGINNING):
            return {}
        cipher, invalid = await self._cipher()
        try:
            sealed = base64.b64decode(text.removeprefix(BEGINNING), altchars=b"-_", validate=True)
            return orjson.loads(cipher.decrypt(sealed[:NONCE], sealed[NONCE:], owner.encode()))
        except (binascii.Error, ValueError, invalid):
            raise unverified("an item") from None

    async def opened(self, items: Sequence[Item], owner: str) -> list[Item]:
        """The items with what their sealed content holds. Raises InvalidRequest for one that was changed or is another
        owner's. Of another service's, a thought is let by as it is; a compaction is refused, because nothing stands for
        what it replaced."""
        if kinds_of(items).isdisjoint(SEALED):
            return list(items)
        return [await self._opened(item, owner) if isinstance(item, Reasoning | Compaction) else item for item in items]

    async def restored(self, history: Sequence[Item], owner: str, param: str) -> list[Item]:
        """A history whose items were all `opened` once, with what a model is shown of their content. A thought whose
        key is lost is let by as it is. Raises InvalidRequest at `param` for the newest compaction, without which the
        history does not go on. What stands before that is not shown, and stays as it is."""
        known = list(history)
        if kinds_of(known).isdisjoint(SEALED):
            return known
        for place in range(len(known) - 1, -1, -1):
            item = known[place]
            if not isinstance(item, Reasoning | Compaction):
                continue
            try:
                known[place] = await self._opened(item, owner)
            except InvalidRequest:
                if isinstance(item, Compaction):
                    raise lost(item, param) from None
            if isinstance(item, Compaction):
                break
        return known

    async def _opened(self, item: Reasoning | Compaction, owner: str) -> Item:
        try:
            match item:
                case Reasoning(sealed=sealed, state=state) if sealed and not state:
                    return replace(item, state=await self.open(sealed, owner))
                case Compaction(sealed=sealed, text=""):
                    held = await self.open(sealed, owner)
                    if not isinstance(held.get("summary"), str):
                        raise unverified("an item")
                    return replace(item, text=held["summary"])
                case _:
                    return item
        except InvalidRequest:
            raise unverified(f"the item '{item.id[:64]}'") from None

    async def sealed(self, items: Sequence[Item], owner: str) -> list[Item]:
        """The items, thoughts among them with their state for this owner to keep."""
        return [
            replace(item, sealed=await self.seal(item.state, owner))
            if isinstance(item, Reasoning) and item.state and not item.sealed
            else item
            for item in items
        ]

    async def compaction(self, item: Compaction, owner: str) -> Compaction:
        """The compaction with its sealed content. Raises StorageFull where no key can be made."""
        return replace(item, sealed=await self.seal({"summary": item.text}, owner))

    async def _cipher(self) -> tuple[Any, type[Exception]]:
        """The cipher with the key, and what it raises for a wrong text. The library is imported when it is needed."""
        if self._ready is None:
            ciphers = await import_slowly("cryptography.hazmat.primitives.ciphers.aead")
            exceptions = await import_slowly("cryptography.exceptions")
            key = await asyncio.to_thread(kept_key, self._path)
            self._ready = ciphers.AESGCM(key), exceptions.InvalidTag
        return self._ready


def unverified(what: str) -> InvalidRequest:
    return InvalidRequest(
        f"The encrypted content of {what} could not be verified. Send it as it was given to you.",
        param="input",
        code="invalid_encrypted_content",
    )


def lost(item: Compaction, param: str) -> InvalidRequest:
    return InvalidRequest(
        f"The conversation goes on from the compaction '{item.id[:64]}', which cannot be read: the gateway no longer "
        "has the key that it was sealed with. Delete this item from the conversation, or begin a new conversation.",
        param=param,
        code="invalid_encrypted_content",
    )


def kept_key(path: Path) -> bytes:
    """The key in the file, which is made if there is none. Raises StorageFull."""
    try:
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            key = path.read_bytes()
        else:
            key = os.urandom(KEY)
            with os.fdopen(descriptor, "wb") as file:
                file.write(key)
                file.flush()
                os.fsync(descriptor)
    except OSError as error:
        raise StorageFull(f"The key for encrypted content cannot be read or written: {error.strerror}.") from error
    if len(key) != KEY:
        raise StorageFull(f"{path} does not hold a key of {KEY} bytes. Remove it, and a new one is made.")
    return key
