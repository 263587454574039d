"""POST /v1/responses/compact: the request as one for a response, and what its run made as the object it answers."""

from collections.abc import Iterable

from gateway.apis._items import Wire, to_wire
from gateway.apis.responses.schema import CompactRequest, ResponsesRequest
from gateway.apis.responses.to_wire import to_usage
from gateway.errors import GatewayError, InvalidRequest
from gateway.events import Event, ItemDone, RunCompleted, RunFailed
from gateway.items import Item
from gateway.ports import Turn


def to_compact(body: CompactRequest) -> ResponsesRequest:
    """The request for a response that is not stored. Raises InvalidRequest if there is nothing to compact."""
    if body.input is None and body.previous_response_id is None:
        raise InvalidRequest("Missing required parameter: 'input'.", param="input", code="missing_required_parameter")
    asked = body.model_dump(include={"model", "instructions", "previous_response_id", "prompt_cache_key"})
    return ResponsesRequest.model_validate({**asked, "input": body.input or [], "store": False})


def compaction(turn: Turn, events: Iterable[Event]) -> Wire:
    """What the run of this turn made. Raises the error of one that failed."""
    made: list[Item] = []
    for event in events:
        match event:
            case ItemDone(item=item):
                made.append(item)
            case RunCompleted(usage=usage):
                return {
                    "id": turn.id,
                    "object": "response.compaction",
                    "created_at": int(turn.created_at),
                    "output": to_wire(made),
                    "usage": to_usage(usage),
                }
            case RunFailed(error=error):
                raise error
            case _:
                pass
    raise GatewayError
