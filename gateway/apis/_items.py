"""Items as the Responses and Conversations dialects write them, in both directions."""

import mimetypes
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import orjson

from gateway.apis._calls import approval_request, function_call, gateway_call
from gateway.apis._foreign import own_summary, to_foreign
from gateway.apis._replayed import settle
from gateway.apis._requests import writable
from gateway.apis._tool_lists import to_tool_list, tool_list
from gateway.errors import InvalidRequest
from gateway.items import (
    NO_SERVER,
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
    new_id,
)
from gateway.tool_names import provider_name

Wire = dict[str, Any]


def to_items(raw: str | Sequence[Wire], where: str = "input") -> list[Item]:
    """The items a client sent. Ids are kept where given, made where not. Raises InvalidRequest with the place."""
    if isinstance(raw, str):
        return [Message(id=new_id("msg"), role="user", content=(Text(text=raw),))]
    return settle([item for number, one in enumerate(raw) for item in to_item(one, f"{where}[{number}]")])


def to_item(raw: Wire, where: str) -> list[Item]:
    """Mostly one item; an `mcp_call` is a call and its result, an `mcp_approval_request` a call and the request."""
    match raw.get("type") or ("message" if "role" in raw else None):
        case "message":
            return [to_message(raw, where)]
        case "function_call":
            call_id, name, arguments = (text(raw, key, where) for key in ("call_id", "name", "arguments"))
            return [ToolCall(id=identity(raw, "fc"), call_id=call_id, name=name, arguments=arguments)]
        case "function_call_output":
            content = to_parts(raw.get("output"), f"{where}.output")
            return [ToolResult(id=identity(raw, "fco"), call_id=text(raw, "call_id", where), content=content)]
        case "reasoning":
            return [to_reasoning(raw)]
        case "mcp_call":
            return to_mcp_call(raw, where)
        case "mcp_list_tools":
            return [to_tool_list(raw, where)]
        case "mcp_approval_request":
            return to_request(raw, where)
        case "mcp_approval_response":
            return [to_approval(raw, where)]
        case "custom_tool_call":
            call_id, name, given = (text(raw, key, where) for key in ("call_id", "name", "input"))
            arguments = orjson.dumps({"input": given}).decode()
            return [ToolCall(id=identity(raw, "ctc"), call_id=call_id, name=name, arguments=arguments, type="custom")]
        case "custom_tool_call_output":
            content, call_id = to_parts(raw.get("output"), f"{where}.output"), text(raw, "call_id", where)
            return [ToolResult(id=identity(raw, "ctco"), call_id=call_id, content=content, type="custom")]
        case "compaction":
            sealed = Compaction(id=identity(raw, "cmp"), sealed=text(raw, "encrypted_content", where))
            return [own_summary(raw) or sealed]
        case _:
            return to_foreign(raw, where)


def identity(raw: Wire, prefix: str) -> str:
    id = raw.get("id")
    return id if isinstance(id, str) and id else new_id(prefix)


def text(raw: Wire, key: str, where: str) -> str:
    value = raw.get(key)
    if isinstance(value, str):
        return value
    param = f"{where}.{key}"
    if value is None:
        raise InvalidRequest(f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter")
    raise InvalidRequest(f"Invalid type for '{param}': expected a string.", param=param, code="invalid_type")


def to_message(raw: Wire, where: str) -> Message:
    role = raw.get("role")
    if role not in ("system", "developer", "user", "assistant"):
        allowed = "'system', 'developer', 'user' or 'assistant'"
        raise InvalidRequest(
            f"Invalid value for '{where}.role': {role!r} is not {allowed}.", param=f"{where}.role", code="invalid_value"
        )
    content, phase = to_parts(raw.get("content"), f"{where}.content"), raw.get("phase")
    if role != "assistant" or phase is None:
        phase = ""
    elif phase not in ("commentary", "final_answer"):
        raise wrong(f"{where}.phase", "expected 'commentary' or 'final_answer'.")
    complete = raw.get("status") != "incomplete"
    return Message(id=identity(raw, "msg"), role=role, content=content, complete=complete, phase=phase)


def to_parts(raw: object, where: str) -> tuple[Part, ...]:
    if isinstance(raw, str):
        return (Text(text=raw),)
    if isinstance(raw, list):
        parts = cast("list[object]", raw)
        return tuple(to_part(part, f"{where}[{number}]") for number, part in enumerate(parts))
    raise InvalidRequest(
        f"Invalid type for '{where}': expected a string or a list of parts.", param=where, code="invalid_type"
    )


def to_part(raw: object, where: str) -> Part:
    part = cast("Wire", raw) if isinstance(raw, dict) else {}
    given = {key: value for key, value in part.items() if isinstance(value, str)}
    match given:
        case {"type": "input_text" | "output_text" | "text" | "summary_text", "text": said}:
            return Text(text=said, annotations=to_annotations(part.get("annotations"), f"{where}.annotations"))
        case {"type": "refusal", "refusal": said}:
            return Refusal(text=said)
        case {"type": "input_image", "image_url": url}:
            return to_image(url, given.get("detail", "auto"), where)
        case {"type": "input_image" | "input_file", "file_id": id} if id:
            raise wrong(f"{where}.file_id", "this gateway keeps no files; send the content as a data: URL.")
        case {"type": "input_file"}:
            return to_file(given, where)
        case {"type": "input_audio"}:
            raise wrong(f"{where}.type", "audio is not supported; send what was said as text.")
        case _:
            raise wrong(
                where,
                "a part is input_text, output_text, refusal, input_image or input_file with the field of that kind.",
            )


def to_image(url: str, detail: str, where: str) -> Image:
    if not url.startswith(("https://", "http://", "data:image/")):
        raise wrong(f"{where}.image_url", "expected an http(s) URL or a data: URL of an image.")
    if detail not in ("low", "high", "auto", "original"):
        raise wrong(f"{where}.detail", "expected 'low', 'high', 'auto' or 'original'.")
    return Image(url=url, detail=detail)


def to_file(given: Mapping[str, str], where: str) -> File:
    name, data, url = (given.get(key, "") for key in ("filename", "file_data", "file_url"))
    if bool(data) == bool(url):
        raise wrong(where, "an input_file has either 'file_data' or 'file_url'.")
    if url and not url.startswith(("https://", "http://")):
        raise wrong(f"{where}.file_url", "expected an http(s) URL.")
    if data and not data.startswith("data:"):
        # OpenAI takes the bare base64 too; providers want to know what it is.
        data = f"data:{mimetypes.guess_type(name)[0] or 'application/octet-stream'};base64,{data}"
    return File(name=name, data=data, url=url)


def wrong(where: str, message: str) -> InvalidRequest:
    return InvalidRequest(f"Invalid value for '{where}': {message}", param=where, code="invalid_value")


def to_annotations(raw: object, where: str) -> tuple[Wire, ...]:
    """Citations are kept as they came, so they are only checked for what could not be read or sent again."""
    notes = cast("list[object]", raw) if isinstance(raw, list) else []
    try:
        if not all(isinstance(note, dict) for note in notes):
            raise ValueError("expected a list of objects")
        return tuple(writable(cast("Wire", note)) for note in notes)
    except ValueError as error:
        raise InvalidRequest(f"Invalid value for '{where}': {error}.", param=where, code="invalid_value") from None


def to_reasoning(raw: Wire) -> Reasoning:
    sealed = raw.get("encrypted_content")
    return Reasoning(
        id=identity(raw, "rs"),
        text="".join(texts(raw.get("content"))),
        summary="\n\n".join(texts(raw.get("summary"))),
        sealed=sealed if isinstance(sealed, str) else "",
    )


def texts(parts: object) -> list[str]:
    listed = cast("list[object]", parts) if isinstance(parts, list) else []
    return [str(cast("Wire", part).get("text", "")) for part in listed if isinstance(part, dict)]


def to_mcp_call(raw: Wire, where: str) -> list[Item]:
    server, tool, arguments = (text(raw, key, where) for key in ("server_label", "name", "arguments"))
    id = identity(raw, "mcp")
    # The model knows the call by the name it was offered; one of a tool that nobody has was the model's own idea.
    name = tool if server == NO_SERVER else provider_name(server, tool)
    call = ToolCall(id=id, call_id=id, name=name, arguments=arguments, server=server, tool=tool)
    said = raw.get("output")
    if said is None:
        said = str(raw.get("error") or "")
    failed = raw.get("status") == "failed"
    approval = raw.get("approval_request_id")
    result = ToolResult(
        id=new_id("fco"),
        call_id=id,
        content=(Text(text=str(said)),),
        is_error=failed,
        approval=approval if isinstance(approval, str) else "",
    )
    return [call, result]


def to_request(raw: Wire, where: str) -> list[Item]:
    """The call is known by the id of the request until `settle` finds what became of it."""
    id, server, tool, arguments = (text(raw, key, where) for key in ("id", "server_label", "name", "arguments"))
    name = provider_name(server, tool)
    call = ToolCall(id=new_id("mcp"), call_id=id, name=name, arguments=arguments, server=server, tool=tool)
    return [call, ApprovalRequest(id=id, call_id=id, server=server, tool=tool, arguments=arguments)]


def to_approval(raw: Wire, where: str) -> Approval:
    approved, param = raw.get("approve"), f"{where}.approve"
    if approved is None:
        raise InvalidRequest(f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter")
    if not isinstance(approved, bool):
        raise InvalidRequest(f"Invalid type for '{param}': expected a boolean.", param=param, code="invalid_type")
    return Approval(
        id=identity(raw, "mcpa"),
        call_id="",
        approved=approved,
        reason=str(raw.get("reason") or ""),
        request_id=text(raw, "approval_request_id", where),
    )


def to_wire(items: Iterable[Item], *, results: bool = False) -> list[Wire]:
    """Items of a conversation as it shows them, in their order. A call of the gateway's and its result are one
    `mcp_call`, in the place of the call, which comes before its result. One that a person is asked about is a request
    until its result comes. `results`: searches with what they found."""
    wires: dict[str, Wire] = {}
    calls: dict[str, ToolCall] = {}
    for item in items:
        if isinstance(item, ToolResult) and (call := calls.get(item.call_id)):
            wires[call.id] = gateway_call(call, item, results=results)
            continue
        if isinstance(item, ApprovalRequest) and (call := calls.get(item.call_id)):
            wires.pop(call.id, None)
        if isinstance(item, ToolCall) and item.server:
            calls[item.call_id] = item
        wires[item.id] = one_to_wire(item)
    return list(wires.values())


def one_to_wire(item: Item) -> Wire:
    match item:
        case Message(id=id, role=role, complete=complete):
            status = "completed" if complete else "incomplete"
            content = [part_to_wire(part, role) for part in item.content]
            phase = {"phase": item.phase} if item.phase else {}
            return {"id": id, "type": "message", "role": role, "status": status, "content": content, **phase}
        case Reasoning(id=id):
            summary = [{"type": "summary_text", "text": item.summary}] if item.summary else []
            content = [{"type": "reasoning_text", "text": item.text}] if item.text else []
            sealed = {"encrypted_content": item.sealed} if item.sealed else {}
            said = {"summary": summary, "content": content, **sealed, "status": "completed"}
            return {"id": id, "type": "reasoning", **said}
        case ToolCall(server=""):
            return function_call(item, "completed")
        case ToolCall():
            return gateway_call(item)
        case ToolResult(id=id, call_id=call_id, type=kind):
            return {
                "id": id,
                "type": "custom_tool_call_output" if kind == "custom" else "function_call_output",
                "call_id": call_id,
                "output": item.text if all(isinstance(part, Text) for part in item.content) else parts_in(item.content),
                "status": "completed",
            }
        case ApprovalRequest():
            return approval_request(item)
        case ToolList():
            return tool_list(item)
        case Approval(id=id, request_id=request_id, approved=approved, reason=reason):
            return {
                "id": id,
                "type": "mcp_approval_response",
                "approval_request_id": request_id,
                "approve": approved,
                "reason": reason or None,
            }
        case Compaction(id=id, sealed=sealed):
            return {"id": id, "type": "compaction", "encrypted_content": sealed}
        case Summary(id=id, text=said, digest=digest):
            shown = [{"type": "summary_text", "text": said}]
            return {"id": id, "type": "compaction", "encrypted_content": digest, "summary": shown}
        case Foreign(wire=wire):
            return wire


def parts_in(parts: Iterable[Part]) -> list[Wire]:
    return [part_to_wire(part, "user") for part in parts]


def part_to_wire(part: Part, role: str) -> Wire:
    match part:
        case Text(text=said, annotations=annotations):
            if role == "assistant":
                return {
                    "type": "output_text",
                    "text": said,
                    "annotations": list(annotations),
                    "logprobs": list(part.logprobs),
                }
            return {"type": "input_text", "text": said}
        case Refusal(text=said):
            return {"type": "refusal", "refusal": said}
        case Image(url=url, detail=detail):
            return {"type": "input_image", "image_url": url, "detail": detail, "file_id": None}
        case File():
            given = {"filename": part.name, "file_data": part.data, "file_url": part.url, "file_id": part.file_id}
            return {"type": "input_file", **{key: value for key, value in given.items() if value}}


def metadata_of(raw: Mapping[str, str] | None) -> dict[str, str]:
    """OpenAI's limits: 16 pairs, keys of 64 characters, values of 512."""
    if not raw:
        return {}
    pairs = dict(raw)
    if len(pairs) > 16:
        raise InvalidRequest(
            "Invalid 'metadata': at most 16 pairs.", param="metadata", code="object_above_max_properties"
        )
    for key, value in pairs.items():
        if len(key) > 64 or len(value) > 512:
            raise InvalidRequest(
                f"Invalid 'metadata.{key[:64]}': keys have at most 64 characters, values 512.",
                param="metadata",
                code="string_above_max_length",
            )
    return pairs
