"""`tools` and `tool_choice` of a Responses request, each kind of tool with what it becomes in a Turn.

https://platform.openai.com/docs/api-reference/responses/create
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from pydantic import BaseModel, Field, ValidationError

from gateway.agents.spec import ToolGrant
from gateway.apis._body import MOST_TOOLS, Several, StrictModel
from gateway.apis._custom_tools import custom_tool
from gateway.apis._requests import Function, JsonObject, to_tool, writable
from gateway.apis._wire import explain
from gateway.apis.responses.mcp_tool import MOST_SERVERS, McpTool, server_echo, to_server
from gateway.client_server import ClientServer
from gateway.errors import InvalidRequest
from gateway.ports import ToolSpec

Json = dict[str, Any]


class FunctionTool(Function):
    type: Literal["function"]


class TextFormat(StrictModel):
    type: Literal["text"]


class GrammarFormat(StrictModel):
    type: Literal["grammar"]
    syntax: Literal["lark", "regex"]
    definition: str = Field(max_length=32_768)


class CustomTool(StrictModel):
    type: Literal["custom"]
    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    description: str | None = None
    format: JsonObject | None = None


class RankingOptions(StrictModel):
    ranker: Literal["auto", "default-2024-11-15"] | None = None
    score_threshold: float | None = Field(None, ge=0, le=0, description="What is found is shown, with its score.")


class FileSearchTool(StrictModel):
    type: Literal["file_search"]
    vector_store_ids: Several[str] = Field(min_length=1, max_length=MOST_TOOLS)
    max_num_results: int | None = Field(None, ge=1, le=50)
    ranking_options: RankingOptions | None = None
    filters: None = Field(None, description="Files have no attributes here.")


SERVED: Mapping[str, type[FunctionTool | CustomTool | FileSearchTool | McpTool]] = {
    "function": FunctionTool,
    "custom": CustomTool,
    "file_search": FileSearchTool,
    "mcp": McpTool,
}
SEARCH = "rag.search"
"""The tool that searches knowledge bases, by server and name."""
FORMATS: Mapping[str, type[TextFormat | GrammarFormat]] = {"text": TextFormat, "grammar": GrammarFormat}


@dataclass(frozen=True, slots=True)
class Tools:
    """The client's own tools, what it wants of the gateway's, the servers it brings, and all of them as the response
    object repeats them."""

    specs: Sequence[ToolSpec]
    grants: Sequence[ToolGrant]
    servers: Sequence[ClientServer]
    echo: Sequence[Json]


def read_tools(raw: Sequence[Json]) -> Tools:
    """Raises InvalidRequest with the place of what is wrong."""
    specs: list[ToolSpec] = []
    grants: list[ToolGrant] = []
    servers: list[ClientServer] = []
    echo: list[Json] = []
    for number, one in enumerate(raw):
        match read(one, SERVED, f"tools[{number}]"):
            case CustomTool() as tool:
                specs.append(to_custom(tool, f"tools[{number}].format"))
                shown = {"name": tool.name, "description": tool.description, "format": tool.format or {"type": "text"}}
                echo.append({"type": "custom", **shown})
            case FunctionTool() as tool:
                refuse_parameters(tool, f"tools[{number}].parameters")
                specs.append(to_tool(tool))
                echo.append(function_echo(tool))
            case FileSearchTool() as tool:
                grants.append(search_grant(tool))
                echo.append(tool.model_dump(exclude_none=True))
            case McpTool() as tool:
                servers.append(to_server(tool, f"tools[{number}]"))
                refuse_label(servers, f"tools[{number}].server_label")
                echo.append(server_echo(tool))
            case _:
                raise AssertionError(type(one))
    return Tools(specs, grants, servers, echo)


def refuse_parameters(tool: FunctionTool, where: str) -> None:
    """Raises InvalidRequest for parameters that are no object."""
    kind: object = (tool.parameters or {}).get("type", "object")
    if kind != "object":
        raise InvalidRequest(
            f"Invalid schema for function '{tool.name}': schema must be a JSON Schema of 'type: \"object\"', "
            f"got 'type: \"{str(kind)[:64]}\"'.",
            param=where,
            code="invalid_function_parameters",
        )


def refuse_label(servers: Sequence[ClientServer], where: str) -> None:
    """Raises InvalidRequest if the newest of these cannot be told apart, or is one too many."""
    *before, newest = servers
    if newest.label in [server.label for server in before]:
        raise InvalidRequest(
            f"Duplicate 'server_label': {newest.label!r}. Each MCP server needs its own.",
            param=where,
            code="invalid_value",
        )
    if len(servers) > MOST_SERVERS:
        raise InvalidRequest(f"At most {MOST_SERVERS} MCP servers in one request.", param="tools", code="invalid_value")


def search_grant(tool: FileSearchTool) -> ToolGrant:
    """A search of these knowledge bases and no others: a vector store's id is a knowledge base's."""
    ids = list(tool.vector_store_ids)
    # There is nothing for the model to choose in a single one.
    properties: Json = {"knowledge_base": {"const": ids[0]} if len(ids) == 1 else {"enum": ids}}
    if tool.max_num_results is not None:
        properties["limit"] = {"maximum": tool.max_num_results, "default": tool.max_num_results}
    return ToolGrant(tool=SEARCH, args={"properties": properties, "required": ["knowledge_base"]}, type="file_search")


def read(raw: Json, kinds: Mapping[str, type[BaseModel]], where: str) -> BaseModel:
    """One of several kinds of objects, told apart by `type`."""
    kind: object = raw.get("type")
    model = kinds.get(kind) if isinstance(kind, str) else None
    if model is None:
        raise not_served(kind, f"{where}.type")
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise explain(error, where) from None


def not_served(kind: object, where: str) -> InvalidRequest:
    if kind is None:
        return InvalidRequest(f"Missing required parameter: '{where}'.", param=where, code="missing_required_parameter")
    return InvalidRequest(
        f"Invalid value for '{where}': {str(kind)[:64]!r} is not served by this gateway.",
        param=where,
        code="invalid_value",
    )


def to_custom(tool: CustomTool, where: str) -> ToolSpec:
    match read(tool.format or {"type": "text"}, FORMATS, where):
        case GrammarFormat(syntax=syntax, definition=definition):
            return custom_tool(tool.name, tool.description, (syntax, definition))
        case _:
            return custom_tool(tool.name, tool.description)


def function_echo(tool: FunctionTool) -> Json:
    return {
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters or {"type": "object", "properties": {}},
        "strict": tool.strict,
    }


class SearchChoice(StrictModel):
    type: Literal["file_search"]


class NamedTool(StrictModel):
    type: Literal["function", "custom"]
    name: str


class ServerTool(StrictModel):
    type: Literal["mcp"]
    server_label: str
    name: str | None = None


class AllowedTools(StrictModel):
    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"]
    tools: Several[Json] = Field(min_length=1, max_length=MOST_TOOLS)


REFERENCES: Mapping[str, type[NamedTool | ServerTool | SearchChoice]] = {
    "file_search": SearchChoice,
    "function": NamedTool,
    "custom": NamedTool,
    "mcp": ServerTool,
}
CHOICES: Mapping[str, type[BaseModel]] = {**REFERENCES, "allowed_tools": AllowedTools}


def read_choice(raw: object) -> Json:
    """`tool_choice` as options of a Turn (see `tool_choice.py`). Raises InvalidRequest."""
    if raw is None:
        return {}
    if isinstance(raw, str):
        if raw not in ("none", "auto", "required"):
            raise InvalidRequest(
                f"Invalid value for 'tool_choice': {raw[:64]!r} is not 'none', 'auto', 'required' or an object.",
                param="tool_choice",
                code="invalid_value",
            )
        return {"tool_choice": raw}
    if not isinstance(raw, dict):
        raise InvalidRequest(
            "Invalid type for 'tool_choice': expected a string or an object.", param="tool_choice", code="invalid_type"
        )
    try:
        choice = read(writable(cast("Json", raw)), CHOICES, "tool_choice")
    except ValueError as error:
        raise InvalidRequest(
            f"Invalid value for 'tool_choice': {error}.", param="tool_choice", code="invalid_value"
        ) from None
    if not isinstance(choice, AllowedTools):
        return {"tool_choice": to_reference(choice)}
    tools = [
        to_reference(read(one, REFERENCES, f"tool_choice.tools[{number}]")) for number, one in enumerate(choice.tools)
    ]
    return {"tool_choice": choice.mode, "allowed_tools": tools}


def to_reference(tool: BaseModel) -> dict[str, str]:
    match tool:
        case ServerTool(server_label=server, name=None):
            return {"server": server}
        case ServerTool(server_label=server, name=str(name)):
            return {"server": server, "tool": name}
        case NamedTool(name=name):
            return {"name": name}
        case SearchChoice():
            server, _, name = SEARCH.partition(".")
            return {"server": server, "tool": name}
        case _:
            raise AssertionError(tool)


def choice_echo(raw: object, used: Mapping[str, Any]) -> Any:
    """What the client sent; else what the agent's document says."""
    if raw is not None:
        return raw
    choice: Any = used.get("tool_choice", "auto")
    return choice if isinstance(choice, str) else {"type": "function", "name": choice["name"]}
