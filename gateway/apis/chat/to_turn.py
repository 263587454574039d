"""A chat completion request as a Turn."""

import time
from typing import Any

from gateway.agents.spec import AgentSpec
from gateway.apis._requests import to_choice, to_format, to_tool
from gateway.apis.chat.schema import ChatMessage, ChatRequest, ContentPart, NamedToolChoice
from gateway.errors import InvalidRequest
from gateway.items import File, Image, Item, Message, Part, Refusal, Text, ToolCall, ToolResult, new_id
from gateway.ports import Turn

SAME_NAME = (
    "temperature",
    "top_p",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "parallel_tool_calls",
    "reasoning_effort",
    "verbosity",
    "user",
    "stop",
)
"""Fields whose name and meaning are the same in `ModelCall.options`."""


def to_turn(body: ChatRequest, agent: AgentSpec, owner: str) -> Turn:
    items = [item for number, message in enumerate(body.messages) for item in to_items(message, number)]
    return Turn(
        id=new_id("chatcmpl").replace("_", "-", 1),
        agent=agent,
        input=items,
        client_tools=[to_tool(tool.function) for tool in body.tools or ()],
        options=to_options(body),
        stored=False,
        live=bool(body.stream),
        owner=owner,
        created_at=time.time(),
    )


def to_items(message: ChatMessage, number: int) -> list[Item]:
    """One message is one item, but an assistant message with tool calls is a message and its calls."""
    where = f"messages[{number}]"
    parts = to_parts(message.content, where)
    if message.role == "tool":
        if not message.tool_call_id:
            raise InvalidRequest(
                f"Missing required parameter: '{where}.tool_call_id'.",
                param=f"{where}.tool_call_id",
                code="missing_required_parameter",
            )
        return [ToolResult(id=new_id("fco"), call_id=message.tool_call_id, content=parts)]
    if message.role != "assistant":
        if message.content is None:
            raise InvalidRequest(f"Invalid value for '{where}.content': expected a string.", param=f"{where}.content")
        return [Message(id=new_id("msg"), role=message.role, content=parts)]
    if message.refusal:
        parts = (*parts, Refusal(text=message.refusal))
    said: list[Item] = [Message(id=new_id("msg"), role="assistant", content=parts)] if parts else []
    calls = [
        ToolCall(id=new_id("fc"), call_id=call.id, name=call.function.name, arguments=call.function.arguments)
        for call in message.tool_calls or ()
    ]
    return [*said, *calls]


def to_parts(content: str | list[ContentPart] | None, where: str) -> tuple[Part, ...]:
    if content is None or content == "":
        return ()
    if isinstance(content, str):
        return (Text(text=content),)
    return tuple(to_part(part, f"{where}.content[{number}]") for number, part in enumerate(content))


def to_part(part: ContentPart, where: str) -> Part:
    match part:
        case ContentPart(type="text", text=str(text)):
            return Text(text=text)
        case ContentPart(type="refusal", refusal=str(text)):
            return Refusal(text=text)
        case ContentPart(type="image_url", image_url={"url": str(url), **more}):
            return Image(url=url, detail=str(more.get("detail") or "auto"))
        case ContentPart(type="file", file=dict(file)):
            return File(
                name=str(file.get("filename") or ""),
                data=str(file.get("file_data") or ""),
                file_id=str(file.get("file_id") or ""),
            )
        case _:
            raise InvalidRequest(
                f"Invalid value for '{where}': a part is text, image_url, file or refusal with the field of that name.",
                param=where,
                code="invalid_value",
            )


def to_options(body: ChatRequest) -> dict[str, Any]:
    """What the client set, in the vocabulary of `ModelCall.options`."""
    options = {name: value for name in SAME_NAME if (value := getattr(body, name)) is not None}
    if (limit := body.max_completion_tokens or body.max_tokens) is not None:
        options["max_output_tokens"] = limit
    if (choice := body.tool_choice) is not None:
        options["tool_choice"] = to_choice(choice.function if isinstance(choice, NamedToolChoice) else choice)
    if (form := body.response_format) is not None:
        options["response_format"] = to_format(form.type, form.json_schema)
    return options
