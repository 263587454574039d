"""What the toolbox knows of a tool server, free of MCP's own types: its tools, its answers, and how calls fail."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from gateway.items import Part


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedTool:
    """A tool as its server lists it. The flags are MCP's annotations, with MCP's defaults where it says nothing
    (https://modelcontextprotocol.io/specification/2025-11-25/schema#toolannotations)."""

    name: str
    description: str
    schema: dict[str, Any]
    read_only: bool = False
    destructive: bool = True
    idempotent: bool = False
    open_world: bool = True
    annotations: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @classmethod
    def annotated(cls, name: str, description: str, schema: dict[str, Any], notes: Mapping[str, Any]) -> Self:
        """`notes` are the annotations in the shape of MCP's wire."""
        read_only = notes.get("readOnlyHint") is True
        return cls(
            name=name,
            description=description,
            schema=schema,
            read_only=read_only,
            destructive=not read_only and notes.get("destructiveHint") is not False,
            idempotent=notes.get("idempotentHint") is True,
            open_world=notes.get("openWorldHint") is not False,
            annotations=notes,
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """What a tool returned, and the same as its server structures it. `is_error` is the tool's own verdict."""

    content: tuple[Part, ...]
    is_error: bool = False
    structured: Mapping[str, Any] = field(default_factory=dict[str, Any])


class CallFailed(Exception):
    """A call without an answer from the tool. `ran` says whether the tool may have run; the text says why it failed.

    `lost` means that the connection is of no use any more.
    """

    def __init__(self, reason: str, *, ran: bool, lost: bool = False) -> None:
        super().__init__(reason)
        self.ran = ran
        self.lost = lost


class Link(Protocol):
    """One open connection to a tool server. Calls may run at the same time; a cancelled call is cancelled there too."""

    async def tools(self) -> tuple[ListedTool, ...]:
        """The whole list, asked for anew."""
        ...

    async def call(self, tool: str, arguments: Mapping[str, Any], caller: str = "") -> Answer:
        """`caller` is told to the server unless it is empty. Raises `CallFailed`."""
        ...
