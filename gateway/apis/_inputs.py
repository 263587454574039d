"""Inputs that are texts or OpenAI's tokens: `prompt` of completions and `input` of embeddings.

Tokens are `cl100k_base`, the encoding of OpenAI's embedding models and of the last completion models, and so what
clients send to models that they do not know. The table of it comes with LiteLLM, which is not imported for it.
"""

import asyncio
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from gateway.errors import InvalidRequest

MOST_INPUTS = 2048
"""OpenAI's limit."""
MOST_INPUT_VALUES = 600_000
"""Values in a body of inputs: OpenAI takes 300,000 tokens in one request."""
TABLE = Path("litellm_core_utils", "tokenizers", "9b5ad71b2ce5302211f9c61530b329a4922fc6a4")
"""`cl100k_base.tiktoken` under the name that tiktoken keeps it: the SHA-1 of its address."""
SPECIAL = {
    100257: b"<|endoftext|>",
    100258: b"<|fim_prefix|>",
    100259: b"<|fim_middle|>",
    100260: b"<|fim_suffix|>",
    100276: b"<|endofprompt|>",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """`texts` always; `tokens` where the client sent these, one list for each text."""

    texts: Sequence[str]
    tokens: Sequence[Sequence[int]] | None = None


async def read_inputs(value: Any, param: str, most: int = MOST_INPUTS) -> Inputs:
    """A string, strings, tokens or lists of tokens. Raises InvalidRequest for anything else, and for what is empty."""
    if isinstance(value, str):
        return Inputs(texts=[checked_text(value, param)])
    if not isinstance(value, list) or not value:
        raise InvalidRequest(
            f"Invalid '{param}': expected a string, a non-empty array of strings, or tokens.",
            param=param,
            code="invalid_type" if not isinstance(value, list) else "empty_array",
        )
    values = cast("list[Any]", value)
    if is_token(values[0]):
        return await asyncio.to_thread(decoded, [values], [param])
    if len(values) > most:
        raise InvalidRequest(
            f"Invalid '{param}': array too long. Expected an array with maximum length {most}, but got an array with "
            f"length {len(values)} instead.",
            param=param,
            code="array_above_max_length",
        )
    places = [f"{param}[{number}]" for number in range(len(values))]
    if isinstance(values[0], list):
        return await asyncio.to_thread(decoded, values, places)
    return Inputs(texts=[checked_text(text, place) for text, place in zip(values, places, strict=True)])


def checked_text(value: Any, place: str) -> str:
    if not isinstance(value, str):
        raise InvalidRequest(f"Invalid value for '{place}': expected a string.", param=place, code="invalid_type")
    if not value:
        raise InvalidRequest(f"Invalid '{place}': it cannot be an empty string.", param=place, code="invalid_value")
    return value


def is_token(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def decoded(lists: Sequence[Any], places: Sequence[str]) -> Inputs:
    """Blocks for 0.1 s the first time."""
    known = table()
    texts: list[str] = []
    for tokens, place in zip(lists, places, strict=True):
        if not isinstance(tokens, list) or not tokens or not all(map(is_token, cast("list[Any]", tokens))):
            raise InvalidRequest(
                f"Invalid value for '{place}': expected a non-empty array of tokens.", param=place, code="invalid_type"
            )
        try:
            data = b"".join([known[token] for token in cast("list[int]", tokens)])
        except KeyError as error:
            raise InvalidRequest(
                f"Invalid value for '{place}': {error.args[0]} is no token of cl100k_base. Send text instead.",
                param=place,
                code="invalid_value",
            ) from None
        # A list may begin or end inside a character.
        texts.append(data.decode("utf-8", "replace"))
    return Inputs(texts=texts, tokens=lists)


@lru_cache(maxsize=1)
def table() -> Mapping[int, bytes]:
    """The bytes of each token. Raises InvalidRequest if this installation has no table."""
    found = find_spec("litellm")
    path = Path((found.submodule_search_locations or [""])[0], TABLE) if found else TABLE
    if not path.is_file():
        raise InvalidRequest("This gateway cannot read tokens. Send text instead.", code="unsupported_value")
    # One token a line: its bytes in base64, a blank, its number.
    pairs = (line.split() for line in path.read_bytes().splitlines() if line)
    return {int(number): b64decode(text) for text, number in pairs} | SPECIAL
