"""Items and options as the body of a request of OpenAI's Responses.

https://platform.openai.com/docs/api-reference/responses/create. The gateway keeps the conversation, so the vendor is
told to store nothing, and what a model thought travels with the items, encrypted by the vendor.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, assert_never

from gateway.items import (
    Approval,
    ApprovalRequest,
    Compaction,
    File,
    Foreign,
    Image,
    Item,
    Message,
    Part,
    Reasoning,
    Refusal,
    Summary,
    Text,
    ToolCall,
    ToolList,
    ToolResult,
)
from gateway.ports import ModelCall, ToolSpec
from gateway.providers.litellm_shapes import fitted
from gateway.providers.vendors import OPENAI_OPTIONS

ENCRYPTED = "reasoning.encrypted_content"
LOGPROBS = "message.output_text.logprobs"

PLAIN_OPTIONS = (
    "temperature",
    "top_p",
    "max_output_tokens",
    "top_logprobs",
    "user",
    *(name for name in OPENAI_OPTIONS if name != "prediction"),
)
"""Options that this wire calls by the name they have in `ModelCall.options`."""
ELSEWHERE = frozenset(
    {"logprobs", "verbosity", "response_format", "reasoning_effort", "reasoning_summary", "tool_choice", "prediction"}
)
"""Options that have another place in this body, or none without being a loss."""
OF_TOOLS = frozenset({"tool_choice", "parallel_tool_calls"})
WITHOUT_THOUGHTS = re.compile(r"(ft:)?(gpt-[34]|chatgpt|gpt-audio|gpt-5-(chat|search))")
"""OpenAI's models that refuse a request for encrypted reasoning, because they do not reason."""

Json = dict[str, Any]


def responses_body(call: ModelCall, model: str, provider: str, tools: Sequence[Any]) -> Json:
    """The request as one dictionary, as `chat_body` has it. Raises ProviderRefused for options it has no place for."""
    begin = next((n for n, item in enumerate(call.items) if not is_instruction(item)), len(call.items))
    instructions = [item.text for item in call.items[:begin] if isinstance(item, Message)]
    body: Json = {"model": model, "input": to_input(call.items[begin:], provider), "store": False}
    if instructions:
        body["instructions"] = "\n\n".join(instructions)
    given = {name: value for name, value in call.options.items() if value is not None}
    options = fitted(given, (*PLAIN_OPTIONS, *OF_TOOLS, *ELSEWHERE), provider)
    body |= {name: options[name] for name in PLAIN_OPTIONS if name in options}
    if reasoning := reasoning_of(options):
        body["reasoning"] = reasoning
    if text := text_of(options):
        body["text"] = text
    include = [] if WITHOUT_THOUGHTS.match(model) else [ENCRYPTED]
    if options.get("logprobs"):
        include.append(LOGPROBS)
    if include:
        body["include"] = include
    if tools:
        body["tools"] = tools
        if (choice := options.get("tool_choice")) is not None:
            body["tool_choice"] = choice if isinstance(choice, str) else {"type": "function", "name": choice["name"]}
        if (parallel := options.get("parallel_tool_calls")) is not None:
            body["parallel_tool_calls"] = parallel
    return body


def reasoning_of(options: Mapping[str, Any]) -> Json:
    named = {"effort": options.get("reasoning_effort"), "summary": options.get("reasoning_summary")}
    return {name: value for name, value in named.items() if value is not None}


def text_of(options: Mapping[str, Any]) -> Json:
    text: Json = {}
    if (verbosity := options.get("verbosity")) is not None:
        text["verbosity"] = verbosity
    form: Mapping[str, Any] = options.get("response_format") or {}
    if form.get("type") == "json_schema":
        inner = {key: form[key] for key in ("name", "description", "schema", "strict") if form.get(key) is not None}
        text["format"] = {"type": "json_schema", "name": "answer", **inner}
    elif form.get("type", "text") != "text":
        text["format"] = {"type": form["type"]}
    return text


def function_tool(spec: ToolSpec) -> Json:
    """Left out, `strict` would mean true here."""
    described = {"description": spec.description} if spec.description else {}
    said = {"name": spec.name, **described, "parameters": spec.schema}
    return {"type": "function", **said, "strict": bool(spec.strict)}


def is_instruction(item: Item) -> bool:
    return (
        isinstance(item, Message)
        and item.role == "system"
        and all(isinstance(part, Text | Refusal) for part in item.content)
    )


def to_input(items: Sequence[Item], provider: str) -> list[Json]:
    """The items as they are given back. No ids, because nothing is stored at the vendor's; but a thought has its own.

    A thought that nothing of the same answer follows is left out: the vendor refuses it.
    """
    sent: list[Json] = []
    thoughts: list[Json] = []
    for item in items:
        match item:
            case Reasoning():
                thoughts += thought(item, provider)
                continue
            case Message(role="assistant"):
                sent += [*thoughts, answer(item)]
            case ToolCall():
                called = {"call_id": item.call_id, "name": item.name, "arguments": item.arguments or "{}"}
                sent += [*thoughts, {"type": "function_call", **called}]
            case Message():
                sent.append({"role": item.role, "content": content(item.content)})
            case ToolResult():
                output = content(item.content)
                sent.append({"type": "function_call_output", "call_id": item.call_id, "output": output})
            case ApprovalRequest() | Approval() | ToolList() | Compaction() | Summary() | Foreign():
                continue
            case _:
                assert_never(item)
        thoughts.clear()
    return sent


def thought(item: Reasoning, provider: str) -> list[Json]:
    """Nothing unless this vendor has said it, in this wire."""
    state = item.state
    if state.get("provider") != provider or "encrypted_content" not in state:
        return []
    summary = [{"type": "summary_text", "text": item.summary}] if item.summary else []
    known = {"id": state.get("id") or item.id, "encrypted_content": state["encrypted_content"]}
    return [{"type": "reasoning", **known, "summary": summary}]


def answer(message: Message) -> Json:
    said = [
        {"type": "refusal", "refusal": part.text}
        if isinstance(part, Refusal)
        else {"type": "output_text", "text": part.text}
        for part in message.content
        if isinstance(part, Text | Refusal)
    ]
    phase = {"phase": message.phase} if message.phase else {}
    return {"type": "message", "role": "assistant", "content": said, **phase}


def content(parts: Sequence[Part]) -> str | list[Json]:
    if all(isinstance(part, Text | Refusal) for part in parts):
        return "".join(part.text for part in parts if isinstance(part, Text | Refusal))
    return [input_part(part) for part in parts]


def input_part(part: Part) -> Json:
    match part:
        case Text() | Refusal():
            return {"type": "input_text", "text": part.text}
        case Image():
            return {"type": "input_image", "image_url": part.url, "detail": part.detail}
        case File(name=name, data=data, url=url, file_id=file_id):
            if data:
                return {"type": "input_file", "filename": name or "file", "file_data": data}
            return {"type": "input_file", **({"file_id": file_id} if file_id else {"file_url": url})}
        case _:
            assert_never(part)
