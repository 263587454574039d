"""A Responses request as a Turn."""

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gateway.agents.spec import AgentSpec
from gateway.apis._items import metadata_of, to_items
from gateway.apis._requests import check_schema, to_format
from gateway.apis.responses.prompts import with_media
from gateway.apis.responses.schema import ConversationReference, ResponsesRequest
from gateway.apis.responses.to_wire import ECHO
from gateway.apis.responses.tools import Tools, choice_echo, read_choice, read_tools
from gateway.errors import InvalidRequest, NotFound
from gateway.items import new_id
from gateway.ports import Turn

SAME_NAME = (
    "temperature",
    "top_p",
    "max_output_tokens",
    "parallel_tool_calls",
    "max_tool_calls",
    "truncation",
    "user",
    "service_tier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
)
"""Fields whose name and meaning are the same in `Turn.options`."""
EFFORTS = frozenset({"none", "minimal", "low", "medium", "high", "xhigh", "max"})
THRESHOLD = 100_000
"""Tokens from which on a conversation is compacted whose client asks for that and does not say when."""
VERBOSITIES = frozenset({"low", "medium", "high"})
"""What the SDKs know. An agent document may say more, which their strict validation would refuse."""


def to_turn(body: ResponsesRequest, agent: AgentSpec, owner: str) -> Turn:
    if body.previous_response_id and body.conversation:
        raise InvalidRequest(
            "Mutually exclusive parameters: 'previous_response_id' and 'conversation'. Give only one of them.",
            param="previous_response_id",
            code="mutually_exclusive_parameters",
        )
    if body.input is None and "input" in body.model_fields_set:
        raise InvalidRequest(
            "Invalid value for 'input': Input should be a string or an array.", param="input", code="invalid_type"
        )
    if body.input is None and body.prompt is None:
        raise InvalidRequest("Missing required parameter: 'input'.", param="input", code="missing_required_parameter")
    if body.background and body.store is False:
        raise InvalidRequest(
            "A background response must be stored: leave out 'store', or set it to true.",
            param="store",
            code="invalid_value",
        )
    conversation = body.conversation.id if isinstance(body.conversation, ConversationReference) else body.conversation
    if conversation == "":
        raise NotFound("Conversation with id '' not found.", param="conversation")
    tools, options = read_tools(body.tools or ()), to_options(body)
    if body.tool_choice == "required" and not (agent.tools or tools.echo):
        raise InvalidRequest("Tool choice 'required' must be specified with 'tools' parameter.", param="tool_choice")
    given = body.input or ()
    if isinstance(given, list) and given[-1].get("type") == "compaction_trigger":
        given, options["compact"] = given[:-1], "item"
    return Turn(
        id=new_id("resp"),
        agent=replace(agent, tools=(*agent.tools, *tools.grants)) if tools.grants else agent,
        input=with_media(to_items(given), body.prompt),
        parent=body.previous_response_id,
        conversation=conversation,
        instructions=body.instructions or "",
        client_tools=tools.specs,
        servers=tools.servers,
        options=options,
        # What goes into a conversation is kept there, whatever `store` says.
        stored=body.store is not False or conversation is not None,
        live=bool(body.stream),
        background=bool(body.background),
        wire=to_echo(body, tools, body.model or agent.name, {**agent.params, **options}),
        owner=owner,
        created_at=time.time(),
    )


def to_options(body: ResponsesRequest) -> dict[str, Any]:
    """What the client set, in the vocabulary of `Turn.options`."""
    given = body.model_fields_set
    options = {name: value for name in SAME_NAME if name in given and (value := getattr(body, name)) is not None}
    options |= read_choice(body.tool_choice)
    if body.top_logprobs or "message.output_text.logprobs" in (body.include or ()):
        options |= {"logprobs": True, "top_logprobs": body.top_logprobs or 0}
    if "reasoning.encrypted_content" in (body.include or ()):
        options["sealed_reasoning"] = True
    if body.context_management:
        options["compact_threshold"] = min(each.compact_threshold or THRESHOLD for each in body.context_management)
    if (reasoning := body.reasoning) is not None:
        # `generate_summary` is what `summary` was called before.
        asked = {"effort": reasoning.effort, "summary": reasoning.summary or reasoning.generate_summary}
        options |= {f"reasoning_{name}": value for name, value in asked.items() if value is not None}
    if body.text and body.text.verbosity:
        options["verbosity"] = body.text.verbosity
    if body.text and (form := body.text.format):
        if form.type == "json_schema":
            check_schema(form, "text.format")
        options["response_format"] = to_format(form.type, form, "text.format.schema")
    return options


def to_echo(body: ResponsesRequest, tools: Tools, model: str, used: Mapping[str, Any]) -> dict[str, Any]:
    """What the response object tells about the request, as far as it differs from ECHO: of a plain request a store
    then keeps 130 bytes and not 548.

    `used` are the options that the model is asked with: the client's, else the agent's. Where neither says anything
    the provider decides, and the field has the value that OpenAI documents as its own default, because its clients
    and Open Responses want a number there. What this gateway does not do is not repeated as if it did.
    """
    effort, verbosity = used.get("reasoning_effort"), used.get("verbosity")
    text = {
        "format": to_format_echo(used.get("response_format")),
        "verbosity": verbosity if verbosity in VERBOSITIES else "medium",
    }
    echo = {
        "instructions": body.instructions,
        "tools": tools.echo,
        "tool_choice": choice_echo(body.tool_choice, used),
        "parallel_tool_calls": used.get("parallel_tool_calls", True),
        "text": text,
        "reasoning": {"effort": effort if effort in EFFORTS else None, "summary": used.get("reasoning_summary")},
        "temperature": used.get("temperature", 1.0),
        "top_p": used.get("top_p", 1.0),
        "presence_penalty": used.get("presence_penalty", 0.0),
        "frequency_penalty": used.get("frequency_penalty", 0.0),
        "max_output_tokens": used.get("max_output_tokens"),
        "max_tool_calls": body.max_tool_calls,
        "top_logprobs": body.top_logprobs or 0,
        "truncation": body.truncation or "disabled",
        "metadata": metadata_of(body.metadata),
        "safety_identifier": body.safety_identifier,
        "prompt_cache_key": body.prompt_cache_key,
    }
    return {"model": model} | {n: value for n, value in echo.items() if value != ECHO[n]} | told(body)


def told(body: ResponsesRequest) -> dict[str, Any]:
    """Fields that are there only if they were given."""
    fields: dict[str, Any] = {}
    if body.include:
        fields["include"] = list(body.include)
    if body.user is not None:
        fields["user"] = body.user
    if body.prompt is not None:
        fields["prompt"] = {"id": body.prompt.name, "version": body.prompt.version, "variables": body.prompt.variables}
    return fields


def to_format_echo(form: Mapping[str, Any] | None) -> dict[str, Any]:
    if not form or form.get("type") not in ("json_object", "json_schema"):
        return {"type": "text"}
    if form["type"] == "json_object":
        return {"type": "json_object"}
    echo: dict[str, Any] = {"type": "json_schema", "name": form.get("name") or "answer"}
    echo |= {"schema": form.get("schema") or {}, "strict": form.get("strict")}
    return echo | ({"description": form["description"]} if form.get("description") else {})
