"""Chat completions that are relayed: which they are, and how one that breaks off ends."""

from typing import Any

from gateway.apis._relay import RawModels, RelayedStream, read_object
from gateway.apis._wire import error_body, frame
from gateway.apis.chat.checks import check_relayed
from gateway.errors import GatewayError
from gateway.ports import Relayed

Json = dict[str, Any]


class RelayedCompletions(RawModels):
    wire = "openai"

    def read_request(self, body: bytes | bytearray) -> Json | None:
        """A body that has what every chat completion has. What is to be stored is stored here, where its owner can find
        it."""
        asked = read_object(body)
        if asked is None or asked.get("store") is True:
            return None
        messages: object = asked.get("messages")
        return asked if isinstance(messages, list) and messages else None

    def check(self, asked: Json, *, to_openai: bool) -> None:
        check_relayed(asked, to_openai=to_openai)

    def stream(self, relayed: Relayed) -> RelayedStream:
        return RelayedChunks(relayed)


class RelayedChunks(RelayedStream):
    def failure(self, error: GatewayError) -> bytes:
        """No [DONE]: the SDKs raise on the error, and nothing may look like a proper end."""
        return frame({"error": error_body(error)})
