"""The tool `mcp` of a Responses request: a tool server that the client brings, with its credentials.

https://platform.openai.com/docs/guides/tools-connectors-mcp
"""

import re
from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field

from gateway.apis._body import MOST_TOOLS, Several, StrictModel
from gateway.client_server import EVERY_TOOL, ClientServer, ToolFilter
from gateway.errors import InvalidRequest
from gateway.items import NO_SERVER

MOST_SERVERS = 16
"""Servers of one request. Each is a connection and a list of tools before the model is asked."""
MOST_HEADERS = 64
LONGEST_HEADER = 8192
LONGEST_HEADERS = 32768
"""Characters of the values of one, and of all together."""
HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")
HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+")
"""Nothing in which two readers of a URL could see different hosts."""
VISIBLE = re.compile(r"[\x21-\x7e]+")
HEADER_VALUE = re.compile(r"[\x20-\x7e]*")
NOT_THE_CLIENTS = re.compile(
    r"host|connection|keep-alive|te|trailer|transfer-encoding|upgrade|expect|content-.*|accept|accept-encoding|proxy-.*"
    r"|mcp-.*|last-event-id",
    re.IGNORECASE,
)
"""Headers that say how a request is sent. The gateway sends it."""


class Filter(StrictModel):
    tool_names: Several[str] | None = Field(None, max_length=MOST_TOOLS)
    read_only: bool | None = None


class ApprovalFilter(StrictModel):
    always: Filter | None = None
    never: Filter | None = None


class McpTool(StrictModel):
    type: Literal["mcp"]
    server_label: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$")
    server_url: str | None = Field(None, max_length=8192)
    connector_id: str | None = None
    tunnel_id: str | None = None
    server_description: str | None = Field(None, max_length=8192)
    authorization: str | None = None
    headers: dict[str, str] | None = Field(None, max_length=MOST_HEADERS)
    allowed_tools: Several[str] | Filter | None = None
    require_approval: Literal["always", "never"] | ApprovalFilter | None = None


def to_server(tool: McpTool, where: str) -> ClientServer:
    """Raises InvalidRequest, whose message has nothing of the credentials."""
    for name in ("connector_id", "tunnel_id"):
        if getattr(tool, name) is not None:
            raise wrong(f"{where}.{name}", "connectors and tunnels are OpenAI's own; give a 'server_url'.")
    if tool.server_label == NO_SERVER:
        raise wrong(f"{where}.server_label", "this is what calls of unknown tools are shown with. Choose another.")
    names = tool.allowed_tools
    match tool.require_approval:
        case "never":
            always, never = None, EVERY_TOOL
        case ApprovalFilter(always=asked, never=free):
            always, never = to_filter(asked), to_filter(free)
        case _:
            always, never = EVERY_TOOL, None
    return ClientServer(
        label=tool.server_label,
        url=checked_url(tool.server_url, f"{where}.server_url"),
        headers=to_headers(tool, where),
        description=tool.server_description or "",
        allowed=ToolFilter(names=frozenset(names)) if isinstance(names, list) else to_filter(names) or EVERY_TOOL,
        always=always,
        never=never,
    )


def to_filter(given: Filter | None) -> ToolFilter | None:
    if given is None:
        return None
    names = None if given.tool_names is None else frozenset(given.tool_names)
    return ToolFilter(names=names, read_only=given.read_only)


def checked_url(url: str | None, where: str) -> str:
    if not url:
        raise InvalidRequest(f"Missing required parameter: '{where}'.", param=where, code="missing_required_parameter")
    fault = "expected an http(s) URL."
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise wrong(where, fault) from None
    if parts.scheme not in ("http", "https") or not HOST.fullmatch(parts.hostname or "") or not VISIBLE.fullmatch(url):
        raise wrong(where, fault)
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise wrong(where, "credentials go into 'authorization' or 'headers', and a fragment nowhere.")
    return parts.geturl()


def to_headers(tool: McpTool, where: str) -> Mapping[str, str]:
    headers = {name.lower(): value for name, value in (tool.headers or {}).items()}
    for name, value in headers.items():
        if not HEADER_NAME.fullmatch(name) or NOT_THE_CLIENTS.fullmatch(name):
            raise wrong(f"{where}.headers", f"{name[:64]!r} is no header that a client may set.")
        if not HEADER_VALUE.fullmatch(value) or len(value) > LONGEST_HEADER:
            raise wrong(f"{where}.headers", f"the value of {name[:64]!r} is too long, or no printable ASCII.")
    if sum(map(len, headers.values())) > LONGEST_HEADERS:
        raise wrong(f"{where}.headers", f"the values have more than {LONGEST_HEADERS} characters.")
    if tool.authorization is None:
        return headers
    if "authorization" in headers:
        raise wrong(f"{where}.authorization", "it is in 'headers' too. Give it once.")
    if not HEADER_VALUE.fullmatch(tool.authorization) or not 0 < len(tool.authorization) <= LONGEST_HEADER:
        raise wrong(f"{where}.authorization", "expected a token of printable ASCII.")
    return {**headers, "authorization": f"Bearer {tool.authorization}"}


def server_echo(tool: McpTool) -> dict[str, Any]:
    """As the response repeats it: nothing that may be a credential, and a path may be one."""
    parts = urlsplit(tool.server_url or "")
    shown = tool.model_dump(include={"allowed_tools", "require_approval", "server_description"}, exclude_none=True)
    return {
        "type": "mcp",
        "server_label": tool.server_label,
        "server_url": f"{parts.scheme}://{parts.netloc}/<redacted>",
        "allowed_tools": None,
        "require_approval": "always",
        **shown,
        "headers": None,
    }


def wrong(where: str, message: str) -> InvalidRequest:
    return InvalidRequest(f"Invalid value for '{where}': {message}", param=where, code="invalid_value")
