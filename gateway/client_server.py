"""A tool server that a client brings with a request: OpenAI's tool of the type `mcp`. Values only."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from gateway.errors import GatewayError


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolFilter:
    """Some of a server's tools: those of these `names` that are, or are not, `read_only`. None for all of them."""

    names: frozenset[str] | None = None
    read_only: bool | None = None

    def fits(self, name: str, *, read_only: bool) -> bool:
        return (self.names is None or name in self.names) and self.read_only in (None, read_only)


EVERY_TOOL = ToolFilter()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientServer:
    """`url` and `headers` hold the client's credentials: they are kept in memory, as long as the run takes. A store
    has the `label` only, which is what a turn that was read back knows.

    `allowed` are the tools that may be used. A person must approve a call of a tool that fits `always`, or does not fit
    `never`; `always` goes first.
    """

    label: str
    url: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    description: str = ""
    allowed: ToolFilter = EVERY_TOOL
    always: ToolFilter | None = EVERY_TOOL
    never: ToolFilter | None = None

    @property
    def address(self) -> str:
        """Stands for the URL where that must not be seen; empty if the URL is not known any more."""
        return hashlib.sha256(self.url.encode()).hexdigest() if self.url else ""

    def asks(self, name: str, *, read_only: bool) -> Literal["always", "never"]:
        """When a person must approve a call of this tool."""
        if self.always is not None and self.always.fits(name, read_only=read_only):
            return "always"
        if self.never is not None:
            return "never" if self.never.fits(name, read_only=read_only) else "always"
        return "always" if self.always is None else "never"


class ServerUnusable(GatewayError):
    """A tool server that the client brought cannot be used."""

    # What OpenAI answers, and no SDK tries again.
    status, type, code = 424, "external_connector_error", "http_error"
