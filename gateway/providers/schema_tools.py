"""Tools for models that cannot call tools: every step is JSON that a schema allows, a call or the answer.

    {"tool": "search", "arguments": {"query": "refunds"}}   or   {"tool": "answer", "arguments": {"text": "Five days."}}

The server must enforce `response_format: json_schema` (llama.cpp, Ollama and vLLM do). With Qwen2.5-Coder-1.5B under
llama.cpp, native calling never called a tool; this way it searches, reads and answers. What the model is told is
`INSTRUCTION`, added to the system message; nothing else is. Earlier steps are shown to it in the same JSON, results as
user messages, so that the question or the newest result stands last.

One call a step. The answer streams; a call appears when it is whole. Not here: sending (lane 1).
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from gateway.errors import ProviderError
from gateway.events import ArgumentsDelta, ItemDone, ItemStarted, ModelEvent, StepDone, TextDelta
from gateway.items import Item, Message, Part, Text, ToolCall, ToolResult, new_id
from gateway.ports import ModelCall, ToolSpec
from gateway.providers.item_ids import call_item_id
from gateway.providers.targets import Answer, LaneClient, Target
from gateway.providers.unicode import clean, cleaned

INSTRUCTION = """You have these tools:
{tools}

Answer with one JSON object and nothing else. To use a tool: {{"tool": "<name>", "arguments": {{...}}}}. {otherwise}"""

TO_ANSWER = (
    'The tool "{name}" ends the task: {{"tool": "{name}", "arguments": {{"text": "<your answer>"}}}}, from what the '
    "other tools returned. Use the others first whenever one does what the user asks for. Do not repeat a call."
)
TO_CALL = "You must use a tool now."

ANSWER = "answer"
SOMETHING = {"type": "string", "minLength": 1}
"""An answer says something: a small model that hesitates between a call and an answer would say nothing."""
ANSWER_BEGINS = r'\s*\{{\s*"tool"\s*:\s*"{name}"\s*,\s*"arguments"\s*:\s*\{{\s*"text"\s*:\s*"'
WHOLE_ESCAPES = re.compile(
    r'(?:[^"\\]|\\["\\/bfnrt]|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[0-9a-fA-F]{4}|\\u(?![dD][89abAB])[0-9a-fA-F]{4})*'
)
"""As much of the inside of a JSON string as can be decoded: no escape cut in half, no half of a surrogate pair."""

FENCE = re.compile(r"\s*```(?:json)?\s*(.*?)\s*```\s*", re.DOTALL)

Json = dict[str, Any]


class SchemaTools:
    """A lane over another one, for models with `native_tools: false`."""

    def __init__(self, lane: LaneClient) -> None:
        self._lane = lane

    def begin(self, call: ModelCall, target: Target) -> Answer[ModelEvent]:
        tools = [replace(tool, schema=essential(tool.schema)) for tool in offered(call)]
        just_used = answered_by(call.items)
        form = cast(Mapping[str, Any] | None, call.options.get("response_format"))
        answer_schema = form.get("schema") if form and form["type"] == "json_schema" else None
        choice = call.options.get("tool_choice")
        may_answer = choice in (None, "auto", "none")
        options = {name: value for name, value in call.options.items() if name not in NOT_FOR_SCHEMA}
        name = answer_name(tools)
        items = plain_items(call.items, name)
        if tools:
            items = instructed(items, tools, name if may_answer else "")
            open_to_it = [tool for tool in tools if not may_answer or tool.name != just_used]
            schema = step_schema(open_to_it, answer_schema or SOMETHING, name if may_answer else "")
            options["response_format"] = {"type": "json_schema", "name": "step", "schema": schema, "strict": True}
        answer = self._lane.begin(replace(call, items=items, tools=(), options=options), target)
        return SchemaAnswer(answer, name, call.tools) if tools else answer


def answer_name(tools: Sequence[ToolSpec]) -> str:
    """What the answer is called among these tools: to a small model it is one of them (see docs/decisions/0006)."""
    names = {tool.name for tool in tools}
    name = ANSWER
    while name in names:
        name = f"final_{name}"
    return name


def answered_by(items: Sequence[Item]) -> str:
    """The tool whose answer came last, if it succeeded. It is not offered for the next step: a small model repeats the
    call that it sees, word for word, until its steps are used up."""
    last = items[-1] if items else None
    if not isinstance(last, ToolResult) or last.is_error:
        return ""
    return next((item.name for item in items if isinstance(item, ToolCall) and item.call_id == last.call_id), "")


NOT_FOR_SCHEMA = frozenset({"tool_choice", "parallel_tool_calls"})


def offered(call: ModelCall) -> Sequence[ToolSpec]:
    choice = call.options.get("tool_choice")
    if choice == "none":
        return ()
    if isinstance(choice, Mapping):
        named = cast(Mapping[str, Any], choice)
        return [tool for tool in call.tools if tool.name == named["name"]]
    return call.tools


def step_schema(tools: Sequence[ToolSpec], answer: Json, name: str) -> Json:
    """What one step may be; without a `name` for it, not the answer.

    Definitions of the tools' schemas move to the top, where their references find them.
    """
    definitions: Json = {}
    forms = [(tool.name, hoisted(tool.schema, tool.name, definitions)) for tool in tools]
    if name:
        forms.append((name, shape({"text": hoisted(answer, name, definitions)})))
    steps = [shape({"tool": {"const": tool}, "arguments": arguments}) for tool, arguments in forms]
    return {"anyOf": steps, "$defs": definitions} if definitions else {"anyOf": steps}


def shape(properties: Json) -> Json:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def hoisted(schema: Json, owner: str, definitions: Json) -> Json:
    """The schema without its definitions, which are added to `definitions` under names of their own."""
    for key in ("$defs", "definitions"):
        for name, definition in table(schema.get(key)).items():
            definitions[f"{owner}.{name}"] = redirected(definition, owner)
    return redirected({key: value for key, value in schema.items() if key not in ("$defs", "definitions")}, owner)


def redirected(schema: Any, owner: str) -> Any:
    if isinstance(schema, dict):
        inner = cast(Json, schema)
        return {
            key: re.sub(r"^#/(\$defs|definitions)/", lambda _: f"#/$defs/{owner}.", value)
            if key == "$ref" and isinstance(value, str)
            else redirected(value, owner)
            for key, value in inner.items()
        }
    if isinstance(schema, list):
        return [redirected(value, owner) for value in cast(list[Any], schema)]
    return schema


def instructed(items: list[Item], tools: Sequence[ToolSpec], name: str) -> list[Item]:
    """The items with the instruction at the beginning of the system message.

    The agent's own instructions stand last, nearest to the conversation: Qwen2.5-Coder-1.5B then opened the ticket that
    they ask for, and with the instruction last it only spoke of it.
    """
    lines = [f"- {tool.name}: {first_paragraph(tool.description)} arguments: {sketch(tool.schema)}" for tool in tools]
    text = INSTRUCTION.format(tools="\n".join(lines), otherwise=TO_ANSWER.format(name=name) if name else TO_CALL)
    if items and isinstance(items[0], Message) and items[0].role in ("system", "developer"):
        system = items[0]
        return [replace(system, content=(Text(text=f"{text}\n\n"), *system.content)), *items[1:]]
    return [Message(id="", role="system", content=(Text(text=text),)), *items]


def essential(schema: Json) -> Json:
    """The schema with required arguments only, if it requires any.

    A model that needs this lane fills in every argument it is shown, with whatever comes to its mind: measured with
    Qwen2.5-Coder-1.5B, which made up ids for optional ones in every call.
    """
    required = schema.get("required")
    given = table(schema.get("properties"))
    if not required or not isinstance(required, list) or not given:
        return schema
    return {**schema, "properties": {name: given[name] for name in given if name in required}}


def table(value: Any) -> Json:
    """What a schema says under a name that takes an object. Clients write schemas too: it may say anything."""
    return cast(Json, value) if isinstance(value, dict) else {}


def sketch(schema: Json) -> str:
    """The arguments as a model best reads them: a JSON object with a word on each value. The schema binds it anyway."""
    properties = table(schema.get("properties"))
    return json.dumps({name: hint(shape) for name, shape in properties.items()}, ensure_ascii=False)


def hint(shape: Any) -> str:
    if not isinstance(shape, dict):
        return "..."
    known = cast(Json, shape)
    values = known.get("enum")
    if isinstance(values, list):
        return " | ".join(str(value) for value in cast(list[Any], values))
    return f"<{known.get('description') or known.get('type') or 'value'}>"


def first_paragraph(description: str) -> str:
    return " ".join(description.strip().partition("\n\n")[0].split())


def plain_items(items: Sequence[Item], name: str) -> list[Item]:
    """Calls and answers as the JSON the model gave, results as messages to it."""
    names = {item.call_id: item.name for item in items if isinstance(item, ToolCall)}
    plain: list[Item] = []
    for item in items:
        match item:
            case ToolCall():
                plain.append(message("assistant", Text(text=step_of(item))))
            case ToolResult():
                what = "Error of" if item.is_error else "Result of"
                plain.append(
                    message("user", Text(text=f"{what} {names.get(item.call_id, 'the tool')}:\n"), *item.content)
                )
            case Message(role="assistant"):
                said = json.dumps({"tool": name, "arguments": {"text": item.text}}, ensure_ascii=False)
                plain.append(message("assistant", Text(text=said)))
            case _:
                plain.append(item)
    return plain


def step_of(call: ToolCall) -> str:
    """The JSON that the model gave for a call."""
    try:
        step = {"tool": call.name, "arguments": cleaned(json.loads(call.arguments or "{}"))}
        return json.dumps(step, ensure_ascii=False)
    except (ValueError, RecursionError):
        # No JSON, or nested too deep to be taken apart.
        return json.dumps({"tool": call.name, "arguments": call.arguments}, ensure_ascii=False)


def message(role: Any, *parts: Part) -> Message:
    return Message(id="", role=role, content=parts)


class SchemaAnswer:
    """Reads the JSON of one step out of the text of another answer, while it arrives. `name`: see `answer_name`."""

    def __init__(self, answer: Answer[ModelEvent], name: str, tools: Sequence[ToolSpec] = ()) -> None:
        self._answer = answer
        self._name = name
        self._tools = tools
        self._begins = re.compile(ANSWER_BEGINS.format(name=name))
        self._text = ""
        self._said = ""
        self._unread: str | None = None
        self._message_id = ""

    async def next(self) -> Sequence[ModelEvent] | None:
        events = await self._answer.next()
        if events is None:
            return None
        out: list[ModelEvent] = []
        for event in events:
            match event:
                case TextDelta():
                    self._read(event.text, out)
                case ItemStarted(item=Message()) | ItemDone(item=Message()):
                    pass
                case StepDone():
                    try:
                        self._end(event, out)
                    except RecursionError as error:
                        raise schema_ignored() from error
                case _:
                    out.append(event)
        return out

    async def close(self) -> None:
        await self._answer.close()

    def _read(self, text: str, out: list[ModelEvent]) -> None:
        self._text += text
        if self._unread is None:
            begun = self._begins.match(self._text)
            if begun is None:
                return
            self._unread = self._text[begun.end() :]
        else:
            self._unread += text
        whole = WHOLE_ESCAPES.match(self._unread)
        if whole is not None and whole.group():
            self._say(json.loads(f'"{whole.group()}"', strict=False), out)
            self._unread = self._unread[whole.end() :]
        if self._unread.startswith('"'):
            # The string is closed; what follows is the end of the object.
            self._unread = '"'

    def _say(self, text: str, out: list[ModelEvent]) -> None:
        if not self._message_id:
            self._message_id = new_id("msg")
            out.append(ItemStarted(Message(id=self._message_id, role="assistant", content=())))
        self._said += text
        out.append(TextDelta(self._message_id, text))

    def _done(self, out: list[ModelEvent], *, complete: bool) -> None:
        if not self._message_id:
            self._say("", out)
        text = (Text(text=self._said),) if self._said else ()
        out.append(ItemDone(Message(id=self._message_id, role="assistant", content=text, complete=complete)))

    def _end(self, step: StepDone, out: list[ModelEvent]) -> None:
        if step.finish in ("length", "content_filter"):
            # A call that was cut off is not shown: nobody could run it.
            self._done(out, complete=False)
            out.append(step)
            return
        said = self._step()
        if said["tool"] != self._name:
            self._call(said, out)
            out.append(replace(step, finish="tool_calls"))
            return
        answer = said["arguments"]["text"]
        text = clean(answer) if isinstance(answer, str) else json.dumps(cleaned(answer), ensure_ascii=False)
        if rest := text.removeprefix(self._said):
            self._say(rest, out)
        self._done(out, complete=True)
        out.append(replace(step, finish="stop"))

    def _step(self) -> Json:
        """The JSON of the step. A server that ignores the schema may get prose: that is an answer too."""
        fenced = FENCE.fullmatch(self._text)
        text = fenced.group(1) if fenced else self._text
        try:
            said = json.loads(text, strict=False)
        except ValueError:
            said = None
        match said:
            case {"tool": self._name, "arguments": {"text": _}}:
                return cast(Json, said)
            case {"tool": str(tool)} if tool != self._name:
                return cast(Json, said)
            case _:
                pass
        if not self._said and not text.lstrip().startswith(("{", "[")):
            return {"tool": self._name, "arguments": {"text": self._text}}
        raise schema_ignored()

    def _call(self, said: Json, out: list[ModelEvent]) -> None:
        arguments = json.dumps(said.get("arguments", {}), ensure_ascii=False)
        if clean(arguments) != arguments:
            # Left as the escapes they were, for the model to be told of: a tool must not act on a guess.
            arguments = json.dumps(said["arguments"])
        name = clean(said["tool"])
        call = ToolCall(id=call_item_id(name, self._tools), call_id=new_id("call"), name=name, arguments=arguments)
        out += [ItemStarted(replace(call, arguments="")), ArgumentsDelta(call.id, arguments), ItemDone(call)]


def schema_ignored() -> ProviderError:
    return ProviderError(
        "The model did not keep to the JSON schema of its tools; its server may not enforce one.", code="schema_ignored"
    )
