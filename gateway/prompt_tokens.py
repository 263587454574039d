"""How many tokens each section of a request takes: instructions, tools, history and so on.

Vendors count in their own ways and tell only sums. So the texts are counted as `cl100k_base` counts them, with the file
of it that LiteLLM brings (nothing is downloaded), and the counts scaled to what the provider reported, if it did.
"""

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from gateway.slow_import import import_now

SECTIONS: Sequence[str] = ("instructions", "tools", "response_format", "history", "input", "output", "tool_results")
"""`input` is the newest message of the user, `output` what the model has said after it, `history` what was said before
it. The results of all tools are `tool_results`, wherever they stand."""

CL100K = "litellm_core_utils/tokenizers/9b5ad71b2ce5302211f9c61530b329a4922fc6a4"
PATTERN = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+"
    r"| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
)
BYTES_A_TOKEN = 4
"""Where there is no tokenizer."""
MESSAGE, FILE = 4, 765
"""Tokens of a message beside its text, and of a picture or file, which vendors do not count by its base64."""
BASE64 = re.compile(r"(?:data:[^,\s]*,)?[A-Za-z0-9+/=_-]{500,}")

PLACES: Mapping[str, str] = {
    "instructions": "instructions",
    "system": "instructions",
    "systemInstruction": "instructions",
    "system_instruction": "instructions",
    "tools": "tools",
    "functions": "tools",
    "toolConfig": "tools",
    "response_format": "response_format",
    "text": "response_format",
    "output_format": "response_format",
    "output_config": "response_format",
}
"""Where the bodies of OpenAI, Anthropic, Gemini and Bedrock have what is no message."""
MESSAGES = ("messages", "contents", "input")
RESULTS = ("functionResponse", "function_response", "toolResult", "tool_result", "function_call_output")
NO_TEXT = frozenset(
    {"type", "role", "id", "call_id", "tool_call_id", "tool_use_id", "toolUseId", "detail", "cache_control"}
    | {"signature", "thoughtSignature", "encrypted_content", "mimeType", "media_type", "format"}
)
"""Fields of a message that no model reads as words."""

Json = dict[str, Any]
Count = Callable[[str], int]


@dataclass(frozen=True, slots=True)
class Tokens:
    """`sections` add up to `total`; `scaled` to what the provider reported."""

    sections: Mapping[str, int]
    scaled: bool

    @property
    def total(self) -> int:
        return sum(self.sections.values())


def counter() -> Count:
    """Counts a text, each only once. For a thread: the first one takes a quarter of a second and 40 MB."""
    tokens = encoding()
    known: dict[str, int] = {}

    def count(text: str) -> int:
        if text not in known:
            if BASE64.fullmatch(text):
                known[text] = FILE
            elif tokens is not None:
                known[text] = len(tokens.encode_ordinary(text))
            else:
                known[text] = -(-len(text.encode()) // BYTES_A_TOKEN)
        return known[text]

    return count


@lru_cache(maxsize=1)
def encoding() -> Any:
    """tiktoken's `cl100k_base`, or None where LiteLLM does not bring it any more."""
    found = find_spec("litellm")
    folders = [Path(folder) for folder in found.submodule_search_locations or ()] if found else []
    try:
        lines = (folders[0] / CL100K).read_bytes().splitlines()
        ranks = {base64.b64decode(token): int(rank) for token, rank in map(bytes.split, lines)}
        tiktoken: Any = import_now("tiktoken")
    except (OSError, IndexError, ValueError, ImportError):
        return None
    return tiktoken.Encoding("cl100k_base", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens={})


def tokens_of(body: bytes, reported: int, count: Count) -> Tokens:
    """The tokens of a provider's request. `reported` is what the provider said it had read, 0 if nothing."""
    sections = dict.fromkeys(SECTIONS, 0)
    try:
        for section, amount in (part for request in listed(json.loads(body)) for part in parts(request, count)):
            sections[section] += amount
    except (ValueError, RecursionError):
        # No JSON, or nested deeper than can be read: what was counted so far is an estimate, too.
        pass
    total = sum(sections.values())
    if not reported or not total:
        return Tokens(sections, scaled=False)
    return Tokens(scaled(sections, reported, total), scaled=True)


def scaled(sections: Mapping[str, int], reported: int, total: int) -> dict[str, int]:
    """Whole numbers in the same proportion that add up to `reported`: what is lost in rounding goes to the largest."""
    shares = {name: amount * reported // total for name, amount in sections.items()}
    largest = max(shares, key=lambda name: shares[name])
    return shares | {largest: shares[largest] + reported - sum(shares.values())}


def parts(request: Json, count: Count) -> Iterator[tuple[str, int]]:
    """(section, tokens), again and again."""
    for name, section in PLACES.items():
        if value := request.get(name):
            yield section, sum(map(count, words(value))) if section == "instructions" else count(compact(value))
    messages = [each for name in MESSAGES for each in listed(request.get(name))]
    newest = max((at for at, message in enumerate(messages) if is_question(message)), default=-1)
    first = newest
    while first > 0 and is_question(messages[first - 1]):
        first -= 1
    for at, message in enumerate(messages):
        said = "history" if at < first else "input" if at <= newest else "output"
        yield from parts_of(message, said, count)


def parts_of(message: Json, said: str, count: Count) -> Iterator[tuple[str, int]]:
    """What one message adds; `said` is the section of its words."""
    if message.get("role") in ("system", "developer"):
        said = "instructions"
    elif message.get("role") in ("tool", "function") or is_result(message):
        said = "tool_results"
    yield said, MESSAGE
    for name, value in message.items():
        for part in several(value):
            if name not in NO_TEXT:
                yield "tool_results" if is_result(part) else said, sum(map(count, words(part)))


def is_question(message: Json) -> bool:
    """Whether these are words of the user's, and no results of tools under that name."""
    said = several(message.get("content", message.get("parts")))
    # What has a type and no role is a call, a result or a thought.
    return message.get("role", "" if "type" in message else "user") == "user" and not all(map(is_result, said))


def is_result(part: object) -> bool:
    if not isinstance(part, dict):
        return False
    known = cast(Json, part)
    return known.get("type") in RESULTS or any(name in known for name in RESULTS)


def words(value: object) -> Iterator[str]:
    """The texts in a part of a message."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for each in cast("list[Any]", value):
            yield from words(each)
    elif isinstance(value, dict):
        for name, each in cast(Json, value).items():
            if name not in NO_TEXT:
                yield from words(each)


def listed(value: object) -> list[Json]:
    return [cast(Json, each) for each in several(value) if isinstance(each, dict)]


def several(value: object) -> list[Any]:
    """The elements of a list; what is none is the only one."""
    return cast("list[Any]", value) if isinstance(value, list) else [value]


def compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
