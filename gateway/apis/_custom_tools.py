"""Tools of the client's that take one free text, for models that know functions only."""

from typing import Any

from gateway.ports import ToolSpec

INPUT: dict[str, Any] = {
    "type": "object",
    "properties": {"input": {"type": "string", "description": "The whole input of the tool, as plain text."}},
    "required": ["input"],
    "additionalProperties": False,
}
"""The schema of such a tool."""


def custom_tool(name: str, description: str | None, grammar: tuple[str, str] | None = None) -> ToolSpec:
    """`grammar` is a syntax, "lark" or "regex", and a definition in it; the model is told, and nothing enforces it."""
    told = description or ""
    if grammar is not None:
        syntax, definition = grammar
        form = "regular expression" if syntax == "regex" else "Lark grammar"
        told = f"{told}\n\nThe input must match this {form}:\n{definition}".strip()
    return ToolSpec(name=name, description=told, schema=INPUT, type="custom")
