"""The identity of content: SHA-256 over canonical JSON (RFC 8785), after every string is brought to Unicode NFC.

RFC 8785 itself does not normalise Unicode, so two spellings of one text would have two digests.
"""

import hashlib
import unicodedata
from collections.abc import Mapping, Sequence
from typing import cast

import rfc8785


def canonical(content: Mapping[str, object]) -> bytes:
    """Canonical JSON. Raises `ValueError` for what JSON cannot carry exactly: huge integers, NaN, infinity."""
    return rfc8785.dumps(cast("dict[str, str]", _composed(content)))


def digest(content: Mapping[str, object]) -> str:
    """`sha256:` and 64 hex digits."""
    return "sha256:" + hashlib.sha256(canonical(content)).hexdigest()


def _composed(value: object) -> object:
    if isinstance(value, str):
        return unicodedata.normalize("NFC", value)
    if isinstance(value, Mapping):
        pairs = cast("Mapping[str, object]", value).items()
        return {unicodedata.normalize("NFC", key): _composed(item) for key, item in pairs}
    if isinstance(value, Sequence):
        return [_composed(item) for item in cast("Sequence[object]", value)]
    return value
