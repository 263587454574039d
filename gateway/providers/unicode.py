"""Text that every part of the gateway can encode: JSON may spell half of a surrogate pair (`"\\ud83d"`), UTF-8 cannot.

Python's own JSON reader lets such halves through, orjson does not. So this is for what was read by the former.
"""

from typing import Any, cast


def clean(text: str) -> str:
    """The text with U+FFFD for every half of a pair, and the character for a pair that came as two halves."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def cleaned(value: Any) -> Any:
    """A JSON value with every text in it clean."""
    match value:
        case str():
            return clean(value)
        case dict():
            return {cleaned(key): cleaned(inner) for key, inner in cast(dict[Any, Any], value).items()}
        case list():
            return [cleaned(inner) for inner in cast(list[Any], value)]
        case _:
            return value
