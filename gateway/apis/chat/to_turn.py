"""A chat completion request as a Turn."""

import time
from typing import Any

from gateway.agents.spec import AgentSpec
from gateway.apis._items import metadata_of
from gateway.apis._requests import to_choice, to_format, to_tool
from gateway.apis.chat.messages import Reader, missing, wrong
from gateway.apis.chat.schema import AllowedTools, ChatRequest, NamedTool
from gateway.errors import InvalidRequest
from gateway.items import new_id
from gateway.ports import ToolSpec, Turn

SAME_NAME = (
    "temperature",
    "top_p",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "top_logprobs",
    "parallel_tool_calls",
    "reasoning_effort",
    "verbosity",
    "user",
    "stop",
    "service_tier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "prediction",
)
"""Fields whose name and meaning are the same in `ModelCall.options`."""
ECHOED = (
    "temperature",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "seed",
    "tool_choice",
    "tools",
    "response_format",
)
"""Fields that a stored completion shows again."""


def to_turn(body: ChatRequest, agent: AgentSpec, owner: str) -> Turn:
    """The whole request as one turn, whatever of it is known from earlier ones. Raises InvalidRequest."""
    refuse(body)
    tools = to_tools(body)
    return Turn(
        id=new_id("chatcmpl").replace("_", "-", 1),
        agent=agent,
        input=Reader().items(body.messages),
        client_tools=tools,
        options=to_options(body, tools),
        stored=bool(body.store),
        live=bool(body.stream),
        wire=to_wire(body),
        owner=owner,
        created_at=time.time(),
    )


def refuse(body: ChatRequest) -> None:
    """What is well formed but cannot be had here."""
    if body.modalities is not None and "audio" in body.modalities:
        raise wrong("modalities", "only ['text'] is supported.")
    if body.web_search_options is not None:
        raise wrong("web_search_options", "this gateway has no web search of its own; give the agent a tool for it.")
    if body.top_logprobs and not body.logprobs:
        raise wrong("top_logprobs", "it needs 'logprobs' to be true.")
    if body.tools and body.functions:
        raise InvalidRequest(
            "Mutually exclusive parameters: 'tools' and 'functions'. Give only one of them.",
            param="functions",
            code="mutually_exclusive_parameters",
        )


def is_legacy(body: ChatRequest) -> bool:
    """Whether the client speaks of functions and not of tools, and so wants to be answered."""
    return body.functions is not None and not body.tools


def to_tools(body: ChatRequest) -> list[ToolSpec]:
    """The client's own functions; of those, the ones that `tool_choice` allows."""
    if is_legacy(body):
        return [to_tool(function) for function in body.functions or ()]
    tools: list[ToolSpec] = []
    for number, tool in enumerate(body.tools or ()):
        if tool.type != "function":
            raise wrong(f"tools[{number}].type", f"{tool.type!r} is not supported; only 'function' is.")
        if tool.function is None:
            raise missing(f"tools[{number}].function")
        tools.append(to_tool(tool.function))
    if (allowed := allowed_tools(body)) is None:
        return tools
    names = {named(tool, f"tool_choice.allowed_tools.tools[{n}]", tools) for n, tool in enumerate(allowed.tools)}
    return [tool for tool in tools if tool.name in names]


def allowed_tools(body: ChatRequest) -> AllowedTools | None:
    choice = body.tool_choice
    if choice is None or isinstance(choice, str) or choice.type != "allowed_tools":
        return None
    if choice.allowed_tools is None:
        raise missing("tool_choice.allowed_tools")
    return choice.allowed_tools


def named(tool: NamedTool, where: str, known: list[ToolSpec] | None = None) -> str:
    """The name of the function that is meant; one of those `known`, if they are given."""
    if tool.type != "function":
        raise wrong(f"{where}.type", f"{tool.type!r} is not supported; only 'function' is.")
    if tool.function is None:
        raise missing(f"{where}.function")
    name = tool.function.name
    if known is not None and all(name != one.name for one in known):
        raise wrong(where, f"there is no function {name!r} in 'tools'.")
    return name


def to_options(body: ChatRequest, tools: list[ToolSpec]) -> dict[str, Any]:
    """What the client set, in the vocabulary of `ModelCall.options`."""
    options = {name: value for name in SAME_NAME if (value := getattr(body, name)) is not None}
    if (limit := body.max_completion_tokens or body.max_tokens) is not None:
        options["max_output_tokens"] = limit
    if (form := body.response_format) is not None:
        options["response_format"] = to_format(form.type, form.json_schema, "response_format.json_schema.schema")
    if is_legacy(body):
        if (called := body.function_call) is not None:
            options["tool_choice"] = to_choice(called)
    elif (allowed := allowed_tools(body)) is not None:
        options["tool_choice"] = allowed.mode
    elif isinstance(choice := body.tool_choice, str):
        options["tool_choice"] = choice
    elif choice is not None:
        options["tool_choice"] = {"name": named(choice, "tool_choice")}
    return options


def to_wire(body: ChatRequest) -> dict[str, Any]:
    """What the answer depends on, and for one that is stored what is shown of the request."""
    wire: dict[str, Any] = {"legacy": is_legacy(body), "logprobs": bool(body.logprobs), "choices": body.n or 1}
    metadata = metadata_of(body.metadata)
    if body.store:
        echo = body.model_dump(mode="json", include=set(ECHOED), by_alias=True, exclude_none=True)
        wire |= {"metadata": metadata, "user": body.user, "echo": {name: echo.get(name) for name in ECHOED}}
    return wire
