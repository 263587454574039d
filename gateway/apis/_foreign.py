"""Items of tools that work elsewhere: clients send whole histories back, whoever had the conversation before.

They are kept for the client as it has them. A model is told what it can read: what was called with what, and what came
of it. Tools that are offered, settings, and searches whose results stayed elsewhere say nothing to it.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from gateway.apis._foreign_shapes import SHAPES, kept, shape_of
from gateway.errors import InvalidRequest
from gateway.items import Foreign, Image, Item, Part, Summary, Text, ToolCall, ToolResult, new_id
from gateway.tool_names import provider_name

Wire = Mapping[str, Any]

SEARCH = ("rag", "search")
"""The server and the name of the tool that searches knowledge bases here."""


NOT_KEPT = "What came of this is not in the conversation."


def to_foreign(raw: dict[str, Any], where: str) -> list[Item]:
    """The item as it is kept. Raises InvalidRequest for one that is not whole, or of a kind that there is not."""
    if raw.get("type") == "compaction_trigger":
        raise InvalidRequest(
            f"Invalid value for '{where}.type': a compaction_trigger is the last item of a response's input.",
            param=f"{where}.type",
            code="invalid_value",
        )
    if raw.get("type") not in SHAPES:
        raise InvalidRequest(
            f"Invalid value for '{where}.type': {str(raw.get('type'))[:64]!r} is no type of an item.",
            param=f"{where}.type",
            code="invalid_value",
        )
    shape = shape_of(raw, where)
    kind, id = str(raw["type"]), raw.get("id")
    id = id if isinstance(id, str) and id else new_id(shape.prefix)
    wire = kept(raw, shape, id, where)
    if kind == "file_search_call" and (search := to_search(wire)):
        return search
    if kind == "local_shell_call_output":
        call_id = wire.get("call_id") or id
        return [Foreign(id=id, wire=wire, told=(result(str(call_id), (Text(text=wire["output"]),)),))]
    if made := CALLS.get(kind):
        name, arguments = made
        call_id = str(wire.get("call_id") or id)
        call = ToolCall(id=id, call_id=call_id, name=name, arguments=json.dumps(arguments(wire), ensure_ascii=False))
        came = (result(call_id, HOSTED[kind](wire), failed(wire)),) if kind in HOSTED else ()
        return [Foreign(id=id, wire=wire, told=(call, *came))]
    if read := OUTPUTS.get(kind):
        return [Foreign(id=id, wire=wire, told=(result(str(wire["call_id"]), read(wire), failed(wire)),))]
    return [Foreign(id=id, wire=wire)]


def result(call_id: str, content: tuple[Part, ...], is_error: bool = False) -> ToolResult:
    return ToolResult(id=new_id("fco"), call_id=call_id, content=content, is_error=is_error)


def failed(wire: Wire) -> bool:
    return wire.get("status") == "failed"


def without_type(given: object) -> Wire:
    """An action, whose `type` says nothing where there is only one."""
    return {name: value for name, value in cast("Wire", given).items() if name != "type" and value is not None}


def to_web_search(wire: Wire) -> Wire:
    return {name: value for name, value in wire["action"].items() if name not in ("type", "sources") and value}


def to_actions(wire: Wire) -> Wire:
    return {"actions": wire["actions"]} if wire.get("actions") else {"actions": [wire.get("action")]}


def of_web_search(wire: Wire) -> tuple[Part, ...]:
    """The pages that it found; what stood in them is not told to anybody."""
    action = wire["action"]
    sources = action.get("sources") or () if action["type"] == "search" else ()
    return lines(str(one.get("url") or "") for one in sources)


def of_code(wire: Wire) -> tuple[Part, ...]:
    return lines(str(one.get("logs") or one.get("url") or "") for one in wire.get("outputs") or ())


def of_image(wire: Wire) -> tuple[Part, ...]:
    """An image is millions of characters, and was made for the user."""
    return (Text(text="The image was shown to the user."),) if wire.get("result") else (Text(text=NOT_KEPT),)


def of_computer(wire: Wire) -> tuple[Part, ...]:
    url = wire["output"].get("image_url")
    return (Image(url=url),) if url else (Text(text=NOT_KEPT),)


def of_shell(wire: Wire) -> tuple[Part, ...]:
    return (Text(text=json.dumps(wire["output"], ensure_ascii=False)),)


def of_patch(wire: Wire) -> tuple[Part, ...]:
    return (Text(text=str(wire.get("output") or wire["status"])),)


def of_program(wire: Wire) -> tuple[Part, ...]:
    return (Text(text=wire["result"]),)


def lines(found: Iterable[str]) -> tuple[Part, ...]:
    return (Text(text="\n".join(line for line in found if line) or NOT_KEPT),)


CALLS: Mapping[str, tuple[str, Callable[[Wire], object]]] = {
    "web_search_call": ("web_search", to_web_search),
    "code_interpreter_call": ("code_interpreter", lambda wire: {"code": wire.get("code") or ""}),
    "image_generation_call": ("image_generation", lambda wire: {"prompt": wire.get("revised_prompt") or ""}),
    "computer_call": ("computer", to_actions),
    "local_shell_call": ("local_shell", lambda wire: without_type(wire["action"])),
    "shell_call": ("shell", lambda wire: without_type(wire["action"])),
    "apply_patch_call": ("apply_patch", lambda wire: wire["operation"]),
    "program": ("program", lambda wire: {"code": wire["code"]}),
}
"""What a model is told that was called, by the type of the item: the tool's name and its arguments."""
HOSTED: Mapping[str, Callable[[Wire], tuple[Part, ...]]] = {
    "web_search_call": of_web_search,
    "code_interpreter_call": of_code,
    "image_generation_call": of_image,
}
"""Calls that were answered where they were made, and what came of them."""
OUTPUTS: Mapping[str, Callable[[Wire], tuple[Part, ...]]] = {
    "computer_call_output": of_computer,
    "shell_call_output": of_shell,
    "apply_patch_call_output": of_patch,
    "program_output": of_program,
}
"""What came of calls that the client ran."""


def own_summary(raw: dict[str, Any]) -> Summary | None:
    """The summary that a gateway like this one made, as its client sends it back; None for one that cannot be read."""
    said = "".join(
        str(cast("dict[str, Any]", one).get("text", "")) for one in listed(raw.get("summary")) if isinstance(one, dict)
    )
    if not said:
        return None
    return Summary(id=str(raw.get("id") or new_id("cmp")), text=said, digest=str(raw.get("encrypted_content") or ""))


def to_search(raw: Wire) -> list[Item]:
    """A search with its results as the call it was; without them, which is how most clients have it, nothing: what the
    model made of them stands in its answer."""
    results = [cast("dict[str, Any]", one) for one in listed(raw.get("results")) if isinstance(one, dict)]
    if not results:
        return []
    id = raw.get("id")
    call_id = id if isinstance(id, str) and id else new_id("fs")
    queries = "; ".join(str(query) for query in listed(raw.get("queries")))
    passages = [{"file": str(one.get("filename") or ""), "text": str(one.get("text") or "")} for one in results]
    found = "\n\n".join(f"{one['file']}:\n{one['text']}" for one in passages)
    call = ToolCall(
        id=call_id,
        call_id=call_id,
        name=provider_name(*SEARCH),
        arguments=json.dumps({"query": queries}),
        server=SEARCH[0],
        tool=SEARCH[1],
        type="file_search",
    )
    content, structured = (Text(text=found),), {"passages": passages}
    return [
        call,
        ToolResult(id=new_id("fco"), call_id=call_id, content=content, type="file_search", structured=structured),
    ]


def listed(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []
