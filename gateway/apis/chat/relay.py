"""Chat completions that are relayed: which they are, and how one that breaks off ends."""

from typing import Any, cast

from gateway.apis._relay import RawModels, RelayedStream, is_disguised, read_object
from gateway.apis._wire import error_body, frame
from gateway.apis.chat.checks import check_relayed
from gateway.apis.chat.schema import ChatRequest
from gateway.errors import GatewayError
from gateway.ports import Relayed

Json = dict[str, Any]


class RelayedCompletions(RawModels):
    wire = "openai"

    def read_request(self, body: bytes | bytearray) -> Json | None:
        """A body that has what every chat completion has. What is to be stored is stored here, where its owner can find
        it."""
        asked = read_object(body)
        if asked is None or asked.get("store") is True or is_disguised(asked, ChatRequest.model_fields):
            return None
        messages: object = asked.get("messages")
        if not isinstance(messages, list) or not messages or any(map(names_a_file, cast(list[object], messages))):
            return None
        return asked

    def check(self, asked: Json, *, to_openai: bool) -> None:
        check_relayed(asked, to_openai=to_openai)

    def stream(self, relayed: Relayed) -> RelayedStream:
        return RelayedChunks(relayed)


def names_a_file(message: object) -> bool:
    """Whether a part of it is a file by its id: one of the vendor's account, which everybody here shares."""
    content: object = cast(Json, message).get("content") if isinstance(message, dict) else None
    return isinstance(content, list) and any(map(has_file_id, cast(list[object], content)))


def has_file_id(part: object) -> bool:
    file: object = cast(Json, part).get("file") if isinstance(part, dict) else None
    return isinstance(file, dict) and cast(Json, file).get("file_id") is not None


class RelayedChunks(RelayedStream):
    def failure(self, error: GatewayError) -> bytes:
        """No [DONE]: the SDKs raise on the error, and nothing may look like a proper end."""
        return frame({"error": error_body(error)})
