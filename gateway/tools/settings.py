"""How a tool server is named in the gateway's settings: a module of this process, a command, or a URL."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from gateway.tool_names import SERVER_NAME

ServerName = Annotated[str, Field(pattern=SERVER_NAME)]


class ServerSettings(BaseModel):
    """Exactly one of `module`, `command` and `url`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    module: str = Field(
        default="",
        pattern=r"^(?:[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)?$",
        description="A Python module; its `create_server(settings)` makes an MCP server that runs in this process.",
        examples=["mcp_tools.rag"],
    )
    settings: Mapping[str, Any] = Field(
        default={}, description="What a `module` is given.", examples=[{"data": "/var/lib/homeport/rag"}]
    )
    command: tuple[str, ...] = Field(
        default=(),
        description="A program and its arguments: a child that speaks MCP over stdio.",
        examples=[["npx", "-y", "some-weather-server"]],
    )
    env: Mapping[str, str] = Field(
        default={},
        repr=False,
        description="The variables of a `command`, besides HOME, PATH, SHELL, TERM, USER and LOGNAME; it gets nothing "
        "else of the gateway's.",
        examples=[{"WEATHER_KEY": "{{env.WEATHER_KEY}}"}],
    )
    cwd: Path | None = Field(
        default=None, description="The folder in which a `command` is started.", examples=["/srv/weather"]
    )
    url: str = Field(
        default="",
        pattern=r"^(?:https?://\S+)?$",
        description="A streamable HTTP endpoint.",
        examples=["https://wiki.example.com/mcp"],
    )
    headers: Mapping[str, str] = Field(
        default={},
        repr=False,
        description="Sent to a `url`.",
        examples=[{"Authorization": "Bearer {{env.WIKI_TOKEN}}"}],
    )
    timeout: float = Field(
        default=60.0,
        gt=0,
        description="The most that one call may take.",
        examples=[20],
        json_schema_extra={"unit": "seconds"},
    )
    connect_timeout: float = Field(
        default=15.0,
        gt=0,
        description="The most that one connection attempt may take, start-up and first tool list included.",
        examples=[60],
        json_schema_extra={"unit": "seconds"},
    )

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
    """Which tool servers clients may bring with a request (the Responses tool `mcp` with a `server_url`)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    public: bool = Field(
        default=True,
        description="Whether any may be brought that is at an https URL whose host has public addresses only.",
        examples=[False],
    )
    hosts: tuple[str, ...] = Field(
        default=(),
        description="Hosts that may be used besides, whatever their addresses are, over http too: `name` or "
        "`name:port`, `*` is a wildcard.",
        examples=[["mcp.corp.example", "127.0.0.1:9000"]],
    )
    agents: tuple[str, ...] = Field(
        default=("*",),
        description="Agents that may be given such servers, `*` is a wildcard; a raw model counts as an agent of its "
        "name.",
        examples=[["support-copilot"]],
    )
    timeout: float = Field(
        default=60.0,
        gt=0,
        description="The most that one call may take.",
        examples=[20],
        json_schema_extra={"unit": "seconds"},
    )
    connect_timeout: float = Field(
        default=15.0,
        gt=0,
        description="The most that one connection attempt may take, start-up and first tool list included.",
        examples=[60],
        json_schema_extra={"unit": "seconds"},
    )

    @field_validator("hosts")
    @classmethod
    def _are_names(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            if "/" in host:
                raise ValueError(f"{host!r} is a URL; give the name of the host, or name:port")
        return hosts
