"""`tools`, `functions` and `tool_choice` of a chat completion, and what they become in a Turn."""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field, ValidationError

from gateway.apis._body import StrictModel
from gateway.apis._custom_tools import custom_tool
from gateway.apis._requests import FunctionName, missing, to_choice, to_tool
from gateway.apis._wire import explain
from gateway.apis.chat.messages import wrong
from gateway.apis.chat.schema import AllowedTools, ChatRequest, CustomTool, NamedTool
from gateway.ports import ToolSpec

KINDS = "only 'function' and 'custom' are."


class Grammar(StrictModel):
    syntax: Literal["lark", "regex"]
    definition: str = Field(max_length=32_768)


class Format(StrictModel):
    type: Literal["text", "grammar"]
    grammar: Grammar | None = None


def is_legacy(body: ChatRequest) -> bool:
    """Whether the client speaks of functions and not of tools, and so wants to be answered."""
    return body.functions is not None and not body.tools


def to_tools(body: ChatRequest) -> list[ToolSpec]:
    """The client's own tools; of those, the ones that `tool_choice` allows. Raises InvalidRequest."""
    if body.tools is body.functions is body.tool_choice is None:
        return []
    if is_legacy(body):
        return [to_tool(function) for function in body.functions or ()]
    tools: list[ToolSpec] = []
    for number, tool in enumerate(body.tools or ()):
        where = f"tools[{number}]"
        match tool.type:
            case "function":
                if tool.function is None:
                    raise missing(f"{where}.function")
                tools.append(to_tool(tool.function))
            case "custom":
                if tool.custom is None:
                    raise missing(f"{where}.custom")
                tools.append(to_custom(tool.custom, f"{where}.custom"))
            case kind:
                raise wrong(f"{where}.type", f"{kind!r} is not supported; {KINDS}")
    if (allowed := allowed_tools(body)) is None:
        return tools
    names = {named(tool, f"tool_choice.allowed_tools.tools[{n}]", tools) for n, tool in enumerate(allowed.tools)}
    return [tool for tool in tools if tool.name in names]


def to_custom(tool: CustomTool, where: str) -> ToolSpec:
    if tool.format is None:
        return custom_tool(tool.name, tool.description)
    try:
        form = Format.model_validate(tool.format)
    except ValidationError as error:
        raise explain(error, f"{where}.format") from None
    if form.type == "text":
        return custom_tool(tool.name, tool.description)
    if form.grammar is None:
        raise missing(f"{where}.format.grammar")
    return custom_tool(tool.name, tool.description, (form.grammar.syntax, form.grammar.definition))


def allowed_tools(body: ChatRequest) -> AllowedTools | None:
    choice = body.tool_choice
    if choice is None or isinstance(choice, str) or choice.type != "allowed_tools":
        return None
    if choice.allowed_tools is None:
        raise missing("tool_choice.allowed_tools")
    return choice.allowed_tools


def named(tool: NamedTool, where: str, known: Sequence[ToolSpec] | None = None) -> str:
    """The name of the tool that is meant; one of those `known`, if they are given. Raises InvalidRequest."""
    given: FunctionName | None
    match tool.type:
        case "function":
            given = tool.function
        case "custom":
            given = tool.custom
        case kind:
            raise wrong(f"{where}.type", f"{kind!r} is not supported; {KINDS}")
    if given is None:
        raise missing(f"{where}.{tool.type}")
    if known is not None and all((given.name, tool.type) != (one.name, one.type) for one in known):
        raise wrong(where, f"there is no {tool.type} tool {given.name!r} in 'tools'.")
    return given.name


def choice_of(body: ChatRequest) -> Any:
    """`tool_choice` in the vocabulary of `ModelCall.options`; None where nothing was said. Raises InvalidRequest."""
    if body.tool_choice is body.function_call is None:
        return None
    if is_legacy(body):
        return None if body.function_call is None else to_choice(body.function_call)
    if (allowed := allowed_tools(body)) is not None:
        return allowed.mode
    choice = body.tool_choice
    return choice if choice is None or isinstance(choice, str) else {"name": named(choice, "tool_choice")}
