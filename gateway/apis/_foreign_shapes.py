"""Items of OpenAI's own tools as its clients send them: what must be in each, and of what kind.

https://platform.openai.com/docs/api-reference/responses/create (`input`); `ResponseInputItem` of the openai package.
What the SDKs say of fields that clients leave out (ids, a status, what is null) is not asked for.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, cast

from pydantic import Field, ValidationError

from gateway.apis._body import MOST_TOOLS, Several, StrictModel
from gateway.apis._requests import FormatType, JsonObject, writable
from gateway.apis._wire import explain
from gateway.errors import InvalidRequest

Kinds = Mapping[str, type["Shape"]]
Working = Literal["in_progress", "completed", "incomplete"]


class Shape(StrictModel):
    """`prefix` begins the ids of such items, `missing` has the values of what a client may leave out and a reader
    needs, and `kinds` the fields that hold objects of several types."""

    prefix: ClassVar[str] = ""
    missing: ClassVar[Mapping[str, Any]] = {"status": "completed"}
    kinds: ClassVar[Mapping[str, Kinds]] = {}


class Search(Shape):
    query: str | None = None
    queries: Several[str] | None = None
    sources: Several[JsonObject] | None = None


class OpenPage(Shape):
    url: str | None = None


class FindInPage(Shape):
    pattern: str
    url: str


class WebSearchCall(Shape):
    prefix = "ws"
    kinds = {"action": {"search": Search, "open_page": OpenPage, "find_in_page": FindInPage}}
    action: JsonObject
    status: Literal["in_progress", "searching", "completed", "failed", "incomplete"] | None = None


class Logs(Shape):
    logs: str


class Picture(Shape):
    url: str


class CodeInterpreterCall(Shape):
    prefix = "ci"
    kinds = {"outputs": {"logs": Logs, "image": Picture}}
    code: str | None = None
    container_id: str
    outputs: Several[JsonObject] | None = None
    status: Literal["in_progress", "completed", "incomplete", "interpreting", "failed"] | None = None


class ImageGenerationCall(Shape):
    prefix = "ig"
    result: str | None = None
    revised_prompt: str | None = None
    status: Literal["in_progress", "completed", "generating", "failed"] | None = None


class Point(Shape):
    x: int
    y: int
    keys: Several[str] | None = None


class Click(Point):
    button: Literal["left", "right", "wheel", "back", "forward"]


class Scroll(Point):
    scroll_x: int
    scroll_y: int


class Drag(Shape):
    path: Several[Point]


class Keypress(Shape):
    keys: Several[str]


class Typing(Shape):
    text: str


ACTIONS: Kinds = {
    "click": Click,
    "double_click": Point,
    "drag": Drag,
    "keypress": Keypress,
    "move": Point,
    "screenshot": Shape,
    "scroll": Scroll,
    "type": Typing,
    "wait": Shape,
}


class SafetyCheck(Shape):
    id: str


class ComputerCall(Shape):
    prefix = "cu"
    missing = {"status": "completed", "pending_safety_checks": []}
    kinds = {"action": ACTIONS, "actions": ACTIONS}
    call_id: str
    action: JsonObject | None = None
    actions: Several[JsonObject] | None = None
    pending_safety_checks: Several[SafetyCheck] | None = None
    status: Working | None = None


class Screenshot(Shape):
    image_url: str | None = None
    file_id: str | None = None


class ComputerCallOutput(Shape):
    prefix = "cuo"
    kinds = {"output": {"computer_screenshot": Screenshot}}
    call_id: str
    output: JsonObject
    acknowledged_safety_checks: Several[SafetyCheck] | None = None
    status: Literal["in_progress", "completed", "incomplete", "failed"] | None = None


class Command(Shape):
    type: Literal["exec"]
    command: Several[str]
    env: dict[str, str]


class LocalShellCall(Shape):
    prefix = "lsh"
    action: Command
    call_id: str
    status: Working | None = None


class LocalShellCallOutput(Shape):
    """Its `id` is the `call_id` of the call; OpenAI's guide has a `call_id` instead."""

    prefix = "lsho"
    missing = {}
    output: str
    status: Working | None = None


class Program(Shape):
    caller_id: str


CALLER: Mapping[str, Kinds] = {"caller": {"direct": Shape, "program": Program}}


class Commands(Shape):
    commands: Several[str]
    timeout_ms: int | None = None
    max_output_length: int | None = None


class Container(Shape):
    container_id: str


class ShellCall(Shape):
    prefix = "sh"
    kinds = {**CALLER, "environment": {"local": Shape, "container_reference": Container}}
    action: Commands
    call_id: str
    status: Working | None = None
    caller: JsonObject | None = None
    environment: JsonObject | None = None


class Outcome(Shape):
    type: Literal["timeout", "exit"]
    exit_code: int | None = None


class Said(Shape):
    stdout: str
    stderr: str
    outcome: Outcome


class ShellCallOutput(Shape):
    prefix = "sho"
    kinds = CALLER
    call_id: str
    output: Several[Said]
    max_output_length: int | None = None
    status: Working | None = None
    caller: JsonObject | None = None


class Deleted(Shape):
    path: str


class Changed(Deleted):
    diff: str


class ApplyPatchCall(Shape):
    prefix = "apc"
    kinds = {**CALLER, "operation": {"create_file": Changed, "delete_file": Deleted, "update_file": Changed}}
    call_id: str
    operation: JsonObject
    status: Literal["in_progress", "completed"] | None = None
    caller: JsonObject | None = None


class ApplyPatchCallOutput(Shape):
    prefix = "apco"
    missing = {}
    kinds = CALLER
    call_id: str
    status: Literal["completed", "failed"]
    output: str | None = None
    caller: JsonObject | None = None


class Tool(Shape):
    type: str


class ToolSearchCall(Shape):
    prefix = "tsc"
    missing = {"status": "completed", "execution": "server"}
    arguments: Any
    call_id: str | None = None
    execution: Literal["server", "client"] | None = None
    status: Working | None = None


class ToolSearchOutput(Shape):
    prefix = "tso"
    missing = ToolSearchCall.missing
    tools: Several[Tool] = Field(max_length=MOST_TOOLS)
    call_id: str | None = None
    execution: Literal["server", "client"] | None = None
    status: Working | None = None


class AdditionalTools(Shape):
    prefix = "at"
    missing = {}
    role: Literal["developer"]
    tools: Several[Tool] = Field(max_length=MOST_TOOLS)


class ProgramCall(Shape):
    prefix = "prog"
    missing = {}
    call_id: str
    code: str
    fingerprint: str


class ProgramOutput(Shape):
    prefix = "progo"
    call_id: str
    result: str
    status: Literal["completed", "incomplete"] | None = None


class Reasoning(Shape):
    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None


class Format(Shape):
    type: FormatType


class TextSettings(Shape):
    format: Format


class ConfigurationUpdate(Shape):
    prefix = "cfg"
    missing = {}
    reasoning: Reasoning | None = None
    text: TextSettings | None = None


class FileSearchCall(Shape):
    prefix = "fs"
    queries: Several[str]
    results: Several[JsonObject] | None = None
    status: Literal["in_progress", "searching", "completed", "incomplete", "failed"] | None = None


SHAPES: Kinds = {
    "additional_tools": AdditionalTools,
    "apply_patch_call": ApplyPatchCall,
    "apply_patch_call_output": ApplyPatchCallOutput,
    "code_interpreter_call": CodeInterpreterCall,
    "computer_call": ComputerCall,
    "computer_call_output": ComputerCallOutput,
    "configuration_update": ConfigurationUpdate,
    "file_search_call": FileSearchCall,
    "image_generation_call": ImageGenerationCall,
    "local_shell_call": LocalShellCall,
    "local_shell_call_output": LocalShellCallOutput,
    "program": ProgramCall,
    "program_output": ProgramOutput,
    "shell_call": ShellCall,
    "shell_call_output": ShellCallOutput,
    "tool_search_call": ToolSearchCall,
    "tool_search_output": ToolSearchOutput,
    "web_search_call": WebSearchCall,
}


def shape_of(raw: Mapping[str, Any], where: str, kinds: Kinds = SHAPES) -> type[Shape]:
    """What this object is, of these kinds. Raises InvalidRequest with the place of what is wrong or missing in it."""
    kind: object = raw.get("type")
    shape = kinds.get(kind) if isinstance(kind, str) else None
    if shape is None:
        raise InvalidRequest(
            f"Invalid value for '{where}.type': {str(kind)[:64]!r} is not one of {', '.join(kinds)}.",
            param=f"{where}.type",
            code="invalid_value",
        )
    try:
        shape.model_validate(raw)
    except ValidationError as error:
        raise explain(error, where) from None
    for name, inner in shape.kinds.items():
        value: object = raw.get(name)
        if isinstance(value, dict):
            shape_of(cast("dict[str, Any]", value), f"{where}.{name}", inner)
        elif isinstance(value, list):
            for number, one in enumerate(cast("list[dict[str, Any]]", value)):
                shape_of(one, f"{where}.{name}[{number}]", inner)
    return shape


def kept(raw: Mapping[str, Any], shape: type[Shape], id: str, where: str) -> dict[str, Any]:
    """The item as it is kept and shown again: as it came, and whole. Raises InvalidRequest for what cannot be kept."""
    whole = {name: value for name, value in shape.missing.items() if raw.get(name) is None}
    try:
        return writable({**raw, **whole, "id": id})
    except ValueError as error:
        raise InvalidRequest(f"Invalid value for '{where}': {error}.", param=where, code="invalid_value") from None
