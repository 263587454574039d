"""A Responses request as a Turn."""

import time
from typing import Any

from gateway.agents.spec import AgentSpec
from gateway.apis._items import metadata_of, to_items
from gateway.apis.responses.schema import ConversationReference, FunctionTool, NamedToolChoice, ResponsesRequest
from gateway.errors import InvalidRequest
from gateway.items import new_id
from gateway.ports import ToolSpec, Turn


def to_turn(body: ResponsesRequest, agent: AgentSpec, owner: str) -> Turn:
    if body.previous_response_id and body.conversation:
        raise InvalidRequest(
            "Mutually exclusive parameters: 'previous_response_id' and 'conversation'. Give only one of them.",
            param="previous_response_id",
            code="mutually_exclusive_parameters",
        )
    conversation = body.conversation.id if isinstance(body.conversation, ConversationReference) else body.conversation
    return Turn(
        id=new_id("resp"),
        agent=agent,
        input=to_items(body.input),
        parent=body.previous_response_id,
        conversation=conversation,
        instructions=body.instructions or "",
        client_tools=[to_tool(tool) for tool in body.tools or ()],
        options=to_options(body),
        # What goes into a conversation is kept there, whatever `store` says.
        stored=body.store is not False or conversation is not None,
        live=bool(body.stream),
        wire=to_echo(body),
        owner=owner,
        created_at=time.time(),
    )


def to_tool(tool: FunctionTool) -> ToolSpec:
    return ToolSpec(
        name=tool.name,
        description=tool.description or "",
        schema=tool.parameters or {"type": "object", "properties": {}},
        strict=tool.strict,
    )


def to_options(body: ResponsesRequest) -> dict[str, Any]:
    """What the client set, in the vocabulary of `ModelCall.options`."""
    names = ("temperature", "top_p", "max_output_tokens", "parallel_tool_calls", "user")
    options = {name: value for name in names if (value := getattr(body, name)) is not None}
    if isinstance(body.tool_choice, NamedToolChoice):
        options["tool_choice"] = {"name": body.tool_choice.name}
    elif body.tool_choice is not None:
        options["tool_choice"] = body.tool_choice
    if body.reasoning and body.reasoning.effort:
        options["reasoning_effort"] = body.reasoning.effort
    if body.text and body.text.verbosity:
        options["verbosity"] = body.text.verbosity
    if body.text and body.text.format and body.text.format.type != "text":
        form = body.text.format
        options["response_format"] = {
            "type": form.type,
            "name": form.name or "answer",
            "schema": form.schema_ or {},
            "strict": form.strict,
        }
    return options


def to_echo(body: ResponsesRequest) -> dict[str, Any]:
    """The request fields that the response object repeats, with OpenAI's defaults for what was not given."""
    form = body.text.format if body.text and body.text.format else None
    text_format = form.model_dump(by_alias=True, exclude_none=True) if form else {"type": "text"}
    reasoning = body.reasoning or None
    return {
        "model": body.model,
        "instructions": body.instructions,
        "tools": [to_tool_echo(tool) for tool in body.tools or ()],
        "tool_choice": body.tool_choice.model_dump()
        if isinstance(body.tool_choice, NamedToolChoice)
        else body.tool_choice or "auto",
        "parallel_tool_calls": body.parallel_tool_calls is not False,
        "text": {"format": text_format, "verbosity": (body.text and body.text.verbosity) or "medium"},
        "reasoning": {"effort": reasoning and reasoning.effort, "summary": reasoning and reasoning.summary},
        "temperature": 1.0 if body.temperature is None else body.temperature,
        "top_p": 1.0 if body.top_p is None else body.top_p,
        "max_output_tokens": body.max_output_tokens,
        "truncation": body.truncation or "disabled",
        "metadata": metadata_of(body.metadata),
        "safety_identifier": body.safety_identifier,
        "prompt_cache_key": body.prompt_cache_key,
    } | ({"user": body.user} if body.user is not None else {})


def to_tool_echo(tool: FunctionTool) -> dict[str, Any]:
    return {
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters or {"type": "object", "properties": {}},
        "strict": tool.strict is not False,
    }
