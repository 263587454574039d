"""Responses that are relayed: which they are, what is refused of them, and how one that breaks off ends.

A response is the vendor's own business only if nothing of it is kept here, nothing that it names is kept here, and
nothing in it means something else here than there: a search is one of this gateway's knowledge bases, an `mcp` server
is asked by this gateway, a compaction was made here. Anything that is not known to be the same goes to the engine.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, cast

import orjson
from pydantic import ValidationError

from gateway.apis._items import metadata_of
from gateway.apis._relay import RawModels, RelayedStream, is_disguised, read_object
from gateway.apis._wire import DONE, error_body, explain, frame
from gateway.apis.responses.schema import RelayedRequest, RequestToOpenAI, ResponsesRequest
from gateway.apis.responses.to_wire import to_error
from gateway.errors import GatewayError
from gateway.ports import Relayed
from gateway.sealing import BEGINNING

Json = dict[str, Any]

NOT_STORED = re.compile(rb'"store"\s*:\s*false')
KEPT_HERE = ("previous_response_id", "conversation", "prompt", "context_management")
"""Fields that name something of this gateway's, or what this gateway does itself."""
TOOLS = frozenset({"function", "custom"})
ITEMS = frozenset(
    {"message", "function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output", "reasoning"}
)
DATA = re.compile(rb"^(?:\xef\xbb\xbf)?data: ?(\{.*)$", re.MULTILINE)
NUMBER = re.compile(rb'"sequence_number"\s*:\s*(\d{1,15})')


class RelayedResponses(RawModels):
    wire = "responses"

    def read_request(self, body: bytes | bytearray) -> Json | None:
        # Most requests are stored, and these need not be read twice.
        if NOT_STORED.search(body) is None:
            return None
        asked = read_object(body)
        return asked if asked is not None and is_the_vendors(asked) else None

    def check(self, asked: Json, *, to_openai: bool) -> None:
        try:
            if to_openai:
                metadata_of(RequestToOpenAI.model_validate(asked).metadata)
            else:
                RelayedRequest.model_validate(asked)
        except ValidationError as error:
            raise explain(error) from None

    def stream(self, relayed: Relayed) -> RelayedStream:
        return RelayedEvents(relayed)


def is_the_vendors(asked: Json) -> bool:
    """Whether the request needs nothing of this gateway's, and says everything as the vendor understands it."""
    if asked.get("store") is not False or asked.get("background") or is_disguised(asked, ResponsesRequest.model_fields):
        return False
    if any(asked.get(name) is not None for name in KEPT_HERE):
        return False
    given: object = asked.get("input")
    if not isinstance(given, str) and not all_of(given, is_the_vendors_item):
        return False
    tools: object = asked.get("tools")
    return (tools is None or tools == [] or all_of(tools, is_the_vendors_tool)) and is_the_vendors_choice(
        asked.get("tool_choice")
    )


def all_of(listed: object, good: Callable[[Json], bool]) -> bool:
    """Whether it is a list of such objects, and not empty."""
    if not isinstance(listed, list) or not listed:
        return False
    return all(isinstance(one, dict) and good(cast(Json, one)) for one in cast(list[object], listed))


def is_the_vendors_item(item: Json) -> bool:
    if not is_plain(item) or not all(map(is_the_vendors_part, parts_of(item))):
        return False
    kind = item.get("type")
    if kind is None:
        # What is no message may be a reference to an item that is kept here.
        return "role" in item and item.get("content") is not None
    if kind != "reasoning":
        return isinstance(kind, str) and kind in ITEMS
    # What was sealed here says nothing to the vendor. A thought without its state is known to nobody there: it is
    # refused, where the engine leaves it out.
    sealed = item.get("encrypted_content")
    return isinstance(sealed, str) and sealed != "" and not sealed.startswith(BEGINNING)


def is_plain(named: Json) -> bool:
    """Whether no name in it has capitals. None of OpenAI's has, and some servers take `Type` for `type`."""
    return all(name == name.casefold() for name in named)


def parts_of(item: Json) -> list[object]:
    """What a message, or an output, consists of where it is no text."""
    parts: list[object] = []
    for name in ("content", "output"):
        if isinstance(given := item.get(name), list):
            parts += cast(list[object], given)
    return parts


def is_the_vendors_part(part: object) -> bool:
    """A file by its id is one of the vendor's account, which everybody here shares. Files of the gateway's own there
    are none."""
    return not isinstance(part, dict) or (is_plain(cast(Json, part)) and cast(Json, part).get("file_id") is None)


def is_the_vendors_tool(tool: Json) -> bool:
    kind = tool.get("type")
    return isinstance(kind, str) and kind in TOOLS and is_plain(tool)


def is_the_vendors_choice(choice: object) -> bool:
    match choice:
        case None | "none" | "auto" | "required":
            return True
        case {"type": "function" | "custom"}:
            return is_plain(cast(Json, choice))
        case {"type": "allowed_tools"}:
            return is_plain(cast(Json, choice)) and all_of(cast(Json, choice).get("tools"), is_the_vendors_tool)
        case _:
            return False


class RelayedEvents(RelayedStream):
    def failure(self, error: GatewayError) -> bytes:
        """What a response of the gateway's own ends with when it fails. It is the vendor's response that failed, which
        it tells of at the beginning; where it does not, there is the error alone."""
        numbers = NUMBER.findall(self.last)
        number = {"sequence_number": int(numbers[-1]) + 1 if numbers else 0}
        if response := response_in(self.first):
            failed = {**response, "status": "failed", "error": to_error(error)}
            event: Json = {"type": "response.failed", "response": failed, **number}
            try:
                return frame(event, event["type"]) + DONE
            except TypeError:
                # It is nested as deep as can be read, and the event is one deeper. The error alone, then.
                pass
        told = error_body(error)
        event = {"type": "error", **{name: told[name] for name in ("code", "message", "param")}, **number}
        return frame(event, event["type"]) + DONE


def response_in(events: bytes) -> Mapping[str, Any]:
    """The response as the first of these events that tells it has it; empty if none does."""
    for found in DATA.finditer(events):
        try:
            event: Any = orjson.loads(found[1])
        except ValueError:
            continue
        if isinstance(event, dict) and isinstance(response := cast(Json, event).get("response"), dict):
            return cast(Json, response)
    return {}
