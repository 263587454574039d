"""Ids of the calls that a model makes. Clients know by the beginning what a call is, as they do with OpenAI's ids."""

from collections.abc import Sequence

from gateway.items import new_id
from gateway.ports import ToolSpec

PREFIXES = {"custom": "ctc", "file_search": "fs"}


def call_item_id(name: str, tools: Sequence[ToolSpec]) -> str:
    """A fresh id for a call of the tool of this name among those that are offered. A call of a tool that nobody has is
    the gateway's to answer, like one of a server's tool."""
    spec = next((tool for tool in tools if tool.name == name), None)
    if spec is None:
        return new_id("mcp" if tools else "fc")
    return new_id(PREFIXES.get(spec.type) or ("mcp" if spec.server else "fc"))
