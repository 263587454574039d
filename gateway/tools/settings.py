"""How a tool server is named in the gateway's settings: a module of this process, a command, or a URL."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from gateway.tool_names import SERVER_NAME

ServerName = Annotated[str, Field(pattern=SERVER_NAME)]


class ServerSettings(BaseModel):
    """Exactly one of `module`, `command` and `url`.

    `module` is imported by name and its `create_server(settings)` returns an MCP server object that runs in this
    process. `command` is started as a child that speaks MCP over stdio; it gets `env` on top of HOME, PATH, SHELL,
    TERM, USER and LOGNAME, and nothing else of the gateway's environment. `url` is a streamable HTTP endpoint, to
    which `headers` are sent. `timeout` is the most seconds one call may take, `connect_timeout` the most one
    connection attempt may take, start-up and first tool list included.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    module: str = Field(default="", pattern=r"^(?:[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)?$")
    settings: Mapping[str, Any] = {}
    command: tuple[str, ...] = ()
    env: Mapping[str, str] = Field(default={}, repr=False)
    cwd: Path | None = None
    url: str = Field(default="", pattern=r"^(?:https?://\S+)?$")
    headers: Mapping[str, str] = Field(default={}, repr=False)
    timeout: float = Field(default=60.0, gt=0)
    connect_timeout: float = Field(default=15.0, gt=0)

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        given = [name for name in ("module", "command", "url") if getattr(self, name)]
        if len(given) != 1:
            raise ValueError("give exactly one of `module`, `command` and `url`" + (f", not {given}" if given else ""))
        owner = {"settings": "module", "env": "command", "cwd": "command", "headers": "url"}
        for name, kind in owner.items():
            if getattr(self, name) and kind != given[0]:
                raise ValueError(f"`{name}` goes with `{kind}`, not with `{given[0]}`")
        return self

    @property
    def kind(self) -> Literal["module", "command", "url"]:
        return "module" if self.module else "command" if self.command else "url"


class ClientServerSettings(BaseModel):
    """Which tool servers clients may bring with a request (the Responses tool `mcp` with a `server_url`).

    `public`: any at an https URL whose host has public addresses only. `hosts` may be used besides, whatever their
    addresses are, over http too: names or `name:port`, `*` as wildcard. `agents` may be given such servers, by name,
    `*` as wildcard; a raw model counts as an agent of its name. `timeout` and `connect_timeout` are as of `servers`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    public: bool = True
    hosts: tuple[str, ...] = ()
    agents: tuple[str, ...] = ("*",)
    timeout: float = Field(default=60.0, gt=0)
    connect_timeout: float = Field(default=15.0, gt=0)

    @field_validator("hosts")
    @classmethod
    def _are_names(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            if "/" in host:
                raise ValueError(f"{host!r} is a URL; give the name of the host, or name:port")
        return hosts
