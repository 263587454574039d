"""A chat completion request as a Turn."""

import time
from typing import Any

from gateway.agents.spec import AgentSpec
from gateway.apis._items import metadata_of
from gateway.apis._requests import to_format
from gateway.apis.chat.checks import check_request
from gateway.apis.chat.messages import Reader, wrong
from gateway.apis.chat.schema import ChatRequest
from gateway.apis.chat.tools import choice_of, is_legacy, to_tools
from gateway.items import new_id
from gateway.ports import Turn

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
    check_request(body)
    refuse(body)
    return Turn(
        id=new_id("chatcmpl").replace("_", "-", 1),
        agent=agent,
        input=Reader().items(body.messages),
        client_tools=to_tools(body),
        options=to_options(body),
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


def to_options(body: ChatRequest) -> dict[str, Any]:
    """What the client set, in the vocabulary of `ModelCall.options`."""
    given = body.model_fields_set
    options = {name: value for name in SAME_NAME if name in given and (value := getattr(body, name)) is not None}
    if (limit := body.max_completion_tokens or body.max_tokens) is not None:
        options["max_output_tokens"] = limit
    if (form := body.response_format) is not None:
        options["response_format"] = to_format(form.type, form.json_schema, "response_format.json_schema.schema")
    if (choice := choice_of(body)) is not None:
        options["tool_choice"] = choice
    return options


def to_wire(body: ChatRequest) -> dict[str, Any]:
    """What the answer depends on, and for one that is stored what is shown of the request."""
    wire: dict[str, Any] = {"legacy": is_legacy(body), "logprobs": bool(body.logprobs), "choices": body.n or 1}
    metadata = metadata_of(body.metadata)
    if body.store:
        echo = body.model_dump(mode="json", include=set(ECHOED), by_alias=True, exclude_none=True)
        wire |= {"metadata": metadata, "user": body.user, "echo": {name: echo.get(name) for name in ECHOED}}
    return wire
