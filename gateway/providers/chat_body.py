"""Items and options as the body of an OpenAI chat completions request: what lane 1 sends and LiteLLM is given.

Two rules of that wire shape the work: a step's text and tool calls are one assistant message, and the results stand
right behind it, wherever in the history they were recorded. Nothing is added that the items do not say, except that
an image in a tool's result becomes a short note for vendors that take only text there.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, assert_never

import orjson

from gateway.errors import ProviderRefused
from gateway.history import kinds_of
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
from gateway.providers.vendors import OPENAI_OPTIONS, Vendor

PLAIN_OPTIONS = frozenset(
    {
        "temperature",
        "top_p",
        "stop",
        "presence_penalty",
        "frequency_penalty",
        "reasoning_effort",
        "verbosity",
        "logit_bias",
        "logprobs",
        "top_logprobs",
        "user",
    }
)
"""Options that every wire of this shape calls by the name they have in `ModelCall.options`."""

Json = dict[str, Any]


def chat_body(call: ModelCall, model: str, provider: str, vendor: Vendor, tools: Sequence[Any]) -> Json:
    """The request as one dictionary. `model` is the vendor's name for it, `provider` the gateway's for the vendor.

    `tools` are the call's, already encoded. Raises ProviderRefused for what this wire cannot say.
    """
    body: Json = {"model": model, "messages": Conversation(provider, vendor).messages(call.items)}
    if tools:
        body["tools"] = tools
    if call.options:
        options = {name: value for name, value in call.options.items() if value is not None}
        body |= wire_options(options, vendor, tools=bool(tools))
    return body


def wire_options(options: Mapping[str, Any], vendor: Vendor, *, tools: bool) -> Json:
    """The options as this vendor has them. None of their values is None."""
    said: Json = {name: value for name, value in options.items() if name in PLAIN_OPTIONS}
    said |= openai_options(options, vendor)
    if "max_output_tokens" in options:
        said[vendor.max_tokens] = options["max_output_tokens"]
    if "seed" in options:
        said[vendor.seed] = options["seed"]
    if form := response_format(options.get("response_format")):
        said["response_format"] = form
    if tools and "tool_choice" in options:
        said["tool_choice"] = tool_choice(options["tool_choice"])
    if tools and "parallel_tool_calls" in options:
        said["parallel_tool_calls"] = options["parallel_tool_calls"]
    return said


def openai_options(options: Mapping[str, Any], vendor: Vendor) -> Json:
    """What is left to LiteLLM are all of them: it knows which vendor takes which. But there `auto`, which is what
    happens anyway, may be a tier that costs more (Gemini's `priority`)."""
    if vendor.lane == "openai":
        return {name: options[name] for name in vendor.options if name in options}
    found = {name: options[name] for name in OPENAI_OPTIONS if name in options}
    return found if found.get("service_tier") != "auto" else {n: v for n, v in found.items() if n != "service_tier"}


def tool_choice(choice: str | Mapping[str, Any]) -> str | Json:
    if isinstance(choice, str):
        return choice
    return {"type": "function", "function": {"name": choice["name"]}}


def response_format(form: Mapping[str, Any] | None) -> Json | None:
    if not form or form["type"] == "text":
        return None
    if form["type"] != "json_schema":
        return {"type": form["type"]}
    inner = {key: form[key] for key in ("name", "description", "schema", "strict") if form.get(key) is not None}
    return {"type": "json_schema", "json_schema": {"name": "answer", **inner}}


def tool_body(spec: ToolSpec) -> Json:
    described = {"description": spec.description} if spec.description else {}
    function: Json = {"name": spec.name, **described, "parameters": spec.schema}
    if spec.strict is not None:
        function["strict"] = spec.strict
    return {"type": "function", "function": function}


class ToolEncoder:
    """Tools as JSON, each encoded once for as long as the same object is offered."""

    MOST = 4096

    def __init__(self, encode: Callable[[ToolSpec], Json]) -> None:
        self._encode = encode
        self._known: dict[int, tuple[ToolSpec, orjson.Fragment]] = {}

    def encode(self, tools: Sequence[ToolSpec]) -> list[orjson.Fragment]:
        return [self._one(tool) for tool in tools]

    def _one(self, tool: ToolSpec) -> orjson.Fragment:
        known = self._known.get(id(tool))
        # The entry holds the tool, so its id cannot have gone to another object.
        if known is not None:
            return known[1]
        if len(self._known) >= self.MOST:
            self._known.clear()
        fragment = orjson.Fragment(orjson.dumps(self._encode(tool)))
        self._known[id(tool)] = (tool, fragment)
        return fragment


class Conversation:
    """Puts items into messages, one after the other. For one request."""

    def __init__(self, provider: str, vendor: Vendor) -> None:
        self._provider = provider
        self._vendor = vendor
        self._messages: list[Json] = []
        self._step: Json | None = None
        self._thoughts: list[Reasoning] = []
        self._results: Mapping[str, list[ToolResult]] = {}
        self._wire_ids: dict[str, str] = {}

    def messages(self, items: Sequence[Item]) -> list[Json]:
        kinds = kinds_of(items)
        self._results = results_of(items) if ToolResult in kinds else {}
        last_user = last_question(items) if Reasoning in kinds else -1
        for position, item in enumerate(items):
            match item:
                case Message(role="assistant"):
                    self._flush()
                    step = self._begin()
                    step["content"] = self._assistant_content(item)
                    self._name(step, item)
                case Message():
                    self._flush()
                    said: Json = {"role": self._role(item.role), "content": self._content(item.content)}
                    self._name(said, item)
                    self._messages.append(said)
                case Reasoning():
                    if item.state.get("provider") == self._provider:
                        self._think(item, current=position > last_user)
                case ToolCall():
                    self._begin().setdefault("tool_calls", []).append(self._call(item))
                case ToolResult():
                    # Most were taken by the step that holds their call.
                    if any(item is left for left in self._results.get(item.call_id, ())):
                        self._flush()
                        self._take(item.call_id)
                case ApprovalRequest() | Approval() | ToolList() | Compaction() | Summary() | Foreign():
                    pass
                case _:
                    assert_never(item)
        self._flush()
        return self._messages

    def _begin(self) -> Json:
        """The assistant message being put together, with the thoughts that came before it."""
        if self._step is None:
            self._step = {"role": "assistant", "content": None}
        for thought in self._thoughts:
            self._recall(self._step, thought)
        self._thoughts.clear()
        return self._step

    def _flush(self) -> None:
        step, self._step = self._step, None
        if step is None:
            return
        self._messages.append(step)
        for call in step.get("tool_calls", ()):
            self._take(call.pop("call_id"))

    def _take(self, call_id: str) -> None:
        waiting = self._results.get(call_id)
        if waiting:
            result = waiting.pop(0)
            wire_id = self._wire_id(call_id)
            self._messages.append({"role": "tool", "tool_call_id": wire_id, "content": self._result(result.content)})

    def _think(self, thought: Reasoning, *, current: bool) -> None:
        """Signed thoughts are always given back; open ones only within the turn, as DeepSeek documents it."""
        if current or "field" not in thought.state:
            self._thoughts.append(thought)

    def _recall(self, step: Json, thought: Reasoning) -> None:
        state = thought.state
        if field := state.get("field"):
            step[field] = step.get(field, "") + thought.text
        for name in ("reasoning_details", "thinking_blocks"):
            if blocks := state.get(name):
                step.setdefault(name, []).extend(blocks)

    def _call(self, call: ToolCall) -> Json:
        ours = call.state.get("provider") == self._provider
        if ours and (wire_id := call.state.get("wire_id")):
            self._wire_ids[call.call_id] = wire_id
        wire: Json = {
            "id": self._wire_id(call.call_id),
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments or "{}"},
            "call_id": call.call_id,
        }
        if ours and (extra := call.state.get("extra_content")):
            wire["extra_content"] = extra
        return wire

    def _wire_id(self, call_id: str) -> str:
        if known := self._wire_ids.get(call_id):
            return known
        length = self._vendor.call_ids
        if length is not None and not (len(call_id) == length and call_id.isalnum()):
            return hashlib.sha256(call_id.encode()).hexdigest()[:length]
        return call_id

    def _role(self, role: str) -> str:
        return "system" if role == "developer" and not self._vendor.developer else role

    def _name(self, said: Json, message: Message) -> None:
        if message.name and self._vendor.names:
            said["name"] = message.name

    def _assistant_content(self, message: Message) -> Any:
        if len(message.content) == 1 and type(only := message.content[0]) is Text:
            return only.text
        if self._vendor.refusals and any(isinstance(part, Refusal) for part in message.content):
            return [
                {"type": "refusal", "refusal": part.text}
                if isinstance(part, Refusal)
                else {"type": "text", "text": spoken((part,))}
                for part in message.content
            ]
        return spoken(message.content)

    def _content(self, parts: Sequence[Part]) -> Any:
        if len(parts) == 1 and type(only := parts[0]) is Text:
            return only.text
        if all(isinstance(part, Text | Refusal) for part in parts):
            return spoken(parts)
        return [wire_part(part) for part in parts]

    def _result(self, parts: Sequence[Part]) -> Any:
        if self._vendor.rich_results and any(isinstance(part, Image) for part in parts):
            return [
                wire_part(part) if isinstance(part, Image) else {"type": "text", "text": noted(part)} for part in parts
            ]
        return "\n".join(noted(part) for part in parts)


def results_of(items: Sequence[Item]) -> dict[str, list[ToolResult]]:
    """The results of each call, by its id."""
    found: dict[str, list[ToolResult]] = {}
    for item in items:
        if isinstance(item, ToolResult):
            found.setdefault(item.call_id, []).append(item)
    return found


def last_question(items: Sequence[Item]) -> int:
    """The place of the user's last message; -1 if there is none."""
    return max((n for n, item in enumerate(items) if isinstance(item, Message) and item.role == "user"), default=-1)


def spoken(parts: Iterable[Part]) -> str:
    return "".join(part.text for part in parts if isinstance(part, Text | Refusal))


def noted(part: Part) -> str:
    """A part of a tool's result as text."""
    match part:
        case Text() | Refusal():
            return part.text
        case Image():
            return "[an image, which this model cannot be shown as a tool's result]"
        case File():
            return f"[the file {part.name or part.file_id or part.url!r}, which cannot be shown as a tool's result]"
        case _:
            assert_never(part)


def wire_part(part: Part) -> Json:
    match part:
        case Text() | Refusal():
            return {"type": "text", "text": part.text}
        case Image():
            # `original` is only known where Responses are spoken.
            known = "high" if part.detail == "original" else part.detail
            detail = {} if known == "auto" else {"detail": known}
            return {"type": "image_url", "image_url": {"url": part.url, **detail}}
        case File():
            if part.data:
                return {"type": "file", "file": {"filename": part.name or "file", "file_data": part.data}}
            if part.file_id:
                return {"type": "file", "file": {"file_id": part.file_id}}
            raise ProviderRefused(
                "A file given by URL cannot be sent to this provider; send its content.", code="unsupported_file"
            )
        case _:
            assert_never(part)
