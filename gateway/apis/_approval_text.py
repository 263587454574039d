"""What a person is shown before they approve a call: the whole of it, without tricks."""

from datetime import UTC, datetime
from typing import Any

import orjson

from gateway.items import ApprovalRequest


def legible(arguments: str) -> str:
    """Indented JSON. What would not be seen is spelt out: control characters, and those that turn text around.

    No line begins with a backtick, so a block of Markdown cannot be ended from within.
    """
    try:
        value: Any = orjson.loads(arguments)
    except orjson.JSONDecodeError:
        value = arguments
    text = orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
    return "".join(char if char == "\n" or char.isprintable() else f"\\u{ord(char):04x}" for char in text)


def question(request: ApprovalRequest) -> str:
    """What would be done and how to answer, for a person."""
    until = datetime.fromtimestamp(request.expires_at, UTC).strftime("%Y-%m-%d %H:%M")
    return (
        f"I need your approval to call **{request.server}.{request.tool}** with these arguments:\n\n"
        f"```json\n{legible(request.arguments)}\n```\n\n"
        f"Reply `approve {request.code}` to allow this one call, or `deny {request.code}`, with a reason if you like. "
        f"Any other reply refuses it. It can be answered until {until} UTC."
    )
