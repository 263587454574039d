"""Messages as items, and back."""

from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from gateway.apis._approval_text import question
from gateway.apis._calls import free_text
from gateway.apis._requests import missing
from gateway.apis.chat.schema import ChatMessage, ContentPart, FunctionCall, ToolCallBody
from gateway.errors import InvalidRequest
from gateway.items import (
    Approval,
    ApprovalRequest,
    File,
    Image,
    Item,
    Message,
    Part,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    code_of,
    new_id,
)

Wire = dict[str, Any]


def wrong(where: str, message: str, code: str = "invalid_value") -> InvalidRequest:
    return InvalidRequest(f"Invalid value for '{where}': {message}", param=where, code=code)


class Reader:
    """Reads messages in their order. A function's result names no call: it belongs to the last call of that name. A
    tool's does not say of which kind its call is."""

    def __init__(self) -> None:
        self._called: dict[str, str] = {}
        self._custom: set[str] = set()

    def items(self, messages: Sequence[ChatMessage]) -> list[Item]:
        return [item for number, message in enumerate(messages) for item in self._items(message, number)]

    def _items(self, message: ChatMessage, number: int) -> list[Item]:
        """One message is one item, but an assistant message with tool calls is a message and its calls."""
        where = f"messages[{number}]"
        parts = to_parts(message.content, where)
        match message.role:
            case "tool":
                if not message.tool_call_id:
                    raise missing(f"{where}.tool_call_id")
                kind = "custom" if message.tool_call_id in self._custom else "function"
                return [ToolResult(id=new_id("fco"), call_id=message.tool_call_id, content=parts, type=kind)]
            case "function":
                return [ToolResult(id=new_id("fco"), call_id=self._call_of(message, where), content=parts)]
            case "assistant":
                return self._said(message, parts, number)
            case role:
                if message.content is None:
                    raise InvalidRequest(
                        f"Invalid value for '{where}.content': expected a string.", param=f"{where}.content"
                    )
                return [Message(id=new_id("msg"), role=role, content=parts, name=message.name or "")]

    def _said(self, message: ChatMessage, parts: tuple[Part, ...], number: int) -> list[Item]:
        if message.refusal:
            parts = (*parts, Refusal(text=message.refusal))
        items: list[Item] = []
        if parts:
            items.append(Message(id=new_id("msg"), role="assistant", content=parts, name=message.name or ""))
        for place, call in enumerate(message.tool_calls or ()):
            where = f"messages[{number}].tool_calls[{place}]"
            if call.type == "custom":
                self._custom.add(call.id)
            items.append(to_any_call(call, where))
        if (called := message.function_call) is not None:
            # The same id each time, so that what a provider has cached of the prompt still fits.
            self._called[called.name] = f"call_{number}"
            items.append(to_call(self._called[called.name], called))
        return items

    def _call_of(self, message: ChatMessage, where: str) -> str:
        if not message.name:
            raise missing(f"{where}.name")
        if message.name not in self._called:
            raise wrong(f"{where}.name", f"no function_call of {message.name!r} came before.")
        return self._called[message.name]


def to_any_call(call: ToolCallBody, where: str) -> ToolCall:
    match call.type:
        case "function":
            if call.function is None:
                raise missing(f"{where}.function")
            return to_call(call.id, call.function)
        case "custom":
            if call.custom is None:
                raise missing(f"{where}.custom")
            arguments = orjson.dumps({"input": call.custom.input}).decode()
            return ToolCall(
                id=new_id("ctc"), call_id=call.id, name=call.custom.name, arguments=arguments, type="custom"
            )
        case kind:
            raise wrong(f"{where}.type", f"{kind!r} is not supported; only 'function' and 'custom' are.")


def to_call(call_id: str, function: FunctionCall) -> ToolCall:
    return ToolCall(id=new_id("fc"), call_id=call_id, name=function.name, arguments=function.arguments)


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
            return to_image(url, more.get("detail"), f"{where}.image_url")
        case ContentPart(type="file", file={"file_id": str(id)}) if id:
            raise wrong(
                f"{where}.file.file_id", "this gateway keeps no files; send the content as a data: URL in 'file_data'."
            )
        case ContentPart(type="file", file={"file_data": str(data), **more}) if data:
            return File(name=str(more.get("filename") or ""), data=data)
        case ContentPart(type="input_audio"):
            raise wrong(f"{where}.type", "audio is not supported; send what was said as text.")
        case _:
            raise wrong(where, "a part is text, image_url, file (with file_data) or refusal with that field.")


def to_image(url: str, detail: object, where: str) -> Image:
    if not url.startswith(("https://", "http://", "data:image/")):
        raise InvalidRequest(
            f"Invalid '{where}.url'. Expected a valid http(s) URL or a data: URL of an image.",
            param=f"{where}.url",
            code="invalid_image_url",
        )
    if detail is None:
        return Image(url=url)
    if detail not in ("auto", "low", "high", "original"):
        raise wrong(f"{where}.detail", "expected 'auto', 'low', 'high' or 'original'.")
    return Image(url=url, detail=str(detail))


def answer_of(output: Iterable[Item]) -> tuple[list[Message], list[ToolCall]]:
    """What a client sees of a run: its messages, a question about a call among them, and the calls that the client is
    to answer."""
    messages: list[Message] = []
    calls: list[ToolCall] = []
    for item in output:
        if isinstance(item, Message):
            messages.append(item)
        elif isinstance(item, ApprovalRequest):
            messages.append(Message(id=item.id, role="assistant", content=(Text(text=question(item)),)))
        elif isinstance(item, ToolCall) and not item.server:
            calls.append(item)
    return messages, calls


def said_in(messages: Iterable[Message]) -> tuple[str, str]:
    """The text and the refusal of several messages that are shown as one; a blank line keeps apart what they say."""
    texts: list[str] = []
    refusals: list[str] = []
    for message in messages:
        if text := message.text:
            texts.append(text)
        refusals += [part.text for part in message.content if isinstance(part, Refusal)]
    return "\n\n".join(texts), "".join(refusals)


def to_tool_call(call: ToolCall) -> Wire:
    if call.type == "custom":
        return {"id": call.call_id, "type": "custom", "custom": {"name": call.name, "input": free_text(call)}}
    return {"id": call.call_id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def to_messages(items: Iterable[Item]) -> list[Wire]:
    """A history as messages, the gateway's own calls left out: what an assistant said and called for is one message
    up to what somebody else says."""
    messages: list[Wire] = []
    hidden: set[str] = set()
    step: list[Item] = []

    def flush() -> None:
        if step:
            said, calls = answer_of(step)
            text, refusal = said_in(said)
            shown: Wire = {"role": "assistant", "content": text or None, "refusal": refusal or None}
            messages.append(shown | ({"tool_calls": [to_tool_call(call) for call in calls]} if calls else {}))
            step.clear()

    for item in items:
        match item:
            case Message(role="assistant") | ApprovalRequest():
                step.append(item)
            case Approval(approved=approved, reason=reason):
                flush()
                said = f"{'approve' if approved else 'deny'} {code_of(item.request_id)} {reason}".rstrip()
                messages.append({"role": "user", **to_content([Text(text=said)]), "name": None})
            case ToolCall():
                if item.server:
                    hidden.add(item.call_id)
                else:
                    step.append(item)
            case Message():
                flush()
                messages.append({"role": item.role, **to_content(item.content), "name": item.name or None})
            case ToolResult() if item.call_id not in hidden:
                flush()
                messages.append({"role": "tool", "tool_call_id": item.call_id, **to_content(item.content)})
            case _:
                pass
    flush()
    return messages


def to_content(parts: Sequence[Part]) -> Wire:
    """Text as `content`; anything else as `content_parts`, which is where OpenAI's stored messages have it."""
    if all(isinstance(part, Text) for part in parts):
        return {"content": "".join(part.text for part in parts if isinstance(part, Text)), "content_parts": None}
    return {"content": None, "content_parts": [to_content_part(part) for part in parts]}


def to_content_part(part: Part) -> Wire:
    match part:
        case Text(text=text):
            return {"type": "text", "text": text}
        case Refusal(text=text):
            return {"type": "refusal", "refusal": text}
        case Image(url=url, detail=detail):
            return {"type": "image_url", "image_url": {"url": url, "detail": detail}}
        case File(name=name, data=data, file_id=id):
            given = {"filename": name, "file_data": data, "file_id": id}
            return {"type": "file", "file": {key: value for key, value in given.items() if value}}
