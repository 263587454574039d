"""Rules of OpenAI's about fields of completions, in its words where they are known."""

import re
from collections.abc import Iterable

from gateway.errors import InvalidRequest

MOST_STOPS = 4
TOKEN = re.compile(r"[0-9]+")


def check_stream_options(options: object, stream: bool | None) -> None:
    """Raises InvalidRequest."""
    if options is not None and not stream:
        raise InvalidRequest(
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
            param="stream_options",
            code="invalid_value",
        )


def check_bias(tokens: Iterable[str] | None) -> None:
    """The keys of `logit_bias`. Raises InvalidRequest."""
    for token in tokens or ():
        if not TOKEN.fullmatch(token):
            raise InvalidRequest(
                f"Invalid key in 'logit_bias': {token[:64]}. You should only be submitting non-negative integers.",
                param="logit_bias",
                code="invalid_value",
            )


def check_stop(stop: str | list[str] | None) -> None:
    if isinstance(stop, list) and len(stop) > MOST_STOPS:
        raise InvalidRequest(
            f"Invalid 'stop': array too long. Expected an array with maximum length {MOST_STOPS}, but got an array "
            f"with length {len(stop)} instead.",
            param="stop",
            code="array_above_max_length",
        )
    for where, one in [("stop", stop)] if isinstance(stop, str) else enumerated(stop):
        if not one:
            raise InvalidRequest(
                f"Invalid '{where}': empty string. Expected a string with minimum length 1, but got an empty string "
                "instead.",
                param=where,
                code="empty_string",
            )


def enumerated(stop: list[str] | None) -> list[tuple[str, str]]:
    return [(f"stop[{number}]", one) for number, one in enumerate(stop or ())]
