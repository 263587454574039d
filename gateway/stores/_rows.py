"""Turns, endings and agents as the text that is kept in a row, and back. No SQL here."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import orjson
from pydantic import TypeAdapter

from gateway.agents.spec import AgentSpec
from gateway.client_server import ClientServer
from gateway.errors import GatewayError, InvalidRequest
from gateway.events import Usage
from gateway.items import ApprovalRequest, Item, StoredApproval, dump, load
from gateway.ports import ToolSpec, Turn
from gateway.storage import Conversation, StoredTurn, TurnEnd

AGENT: TypeAdapter[AgentSpec] = TypeAdapter(AgentSpec)


def to_json(value: object) -> str:
    """Raises InvalidRequest for what JSON in UTF-8 cannot hold, such as half of a surrogate pair."""
    try:
        return orjson.dumps(value, default=_plain).decode()
    except TypeError as error:
        raise InvalidRequest(f"The request holds a value that cannot be stored: {error}.") from error


def dump_items(items: Sequence[Item]) -> tuple[list[tuple[str, str]], int]:
    """(id, body) of each, and their size in bytes. Raises InvalidRequest like `to_json`."""
    try:
        bodies = [dump(item) for item in items]
    except ValueError as error:
        raise InvalidRequest(f"An item holds a value that cannot be stored: {error}.") from error
    return [(item.id, body.decode()) for item, body in zip(items, bodies, strict=True)], sum(map(len, bodies))


def dump_requests(items: Sequence[Item]) -> list[tuple[str, float, str]]:
    """(id, expires_at, body) of the approval requests among them."""
    return [(item.id, item.expires_at, dump(item).decode()) for item in items if isinstance(item, ApprovalRequest)]


APPROVAL = """
    approvals.body, asking.id, agents.body ->> '$.name', asking.created_at,
    approvals.approved, approvals.reason, approvals.answered_at, answering.id
    from approvals join turns as asking on asking.n = approvals.turn join agents on agents.key = asking.agent
    left join turns as answering on answering.id = approvals.answer
    and answering.stored = 1 and answering.deleted = 0
"""
"""The columns `load_approval` takes, in its order, and the tables they come from."""


def load_approval(row: Sequence[Any]) -> StoredApproval:
    """`row` as selected by APPROVAL."""
    body, turn, agent, created_at, approved, reason, answered_at, continued_by = row
    request = load(body)
    assert isinstance(request, ApprovalRequest)
    return StoredApproval(
        request=request,
        turn=turn,
        agent=agent,
        created_at=created_at,
        approved=None if approved is None else bool(approved),
        reason=reason,
        answered_at=answered_at,
        continued_by=continued_by,
    )


def load_items(bodies: Iterable[str]) -> list[Item]:
    return [load(body) for body in bodies]


def dump_request(turn: Turn) -> str:
    """What has no column of its own."""
    return to_json(
        {
            "instructions": turn.instructions,
            "client_tools": tuple(turn.client_tools),
            # Nothing else of them: their addresses and headers hold the client's credentials.
            "servers": [server.label for server in turn.servers],
            "options": turn.options,
            "stored": turn.stored,
            "background": turn.background,
            "live": turn.live,
            "wire": turn.wire,
        }
    )


def dump_end(end: TurnEnd) -> str:
    return to_json({"reason": end.reason, "model": end.model, "usage": end.usage, "error": _error_fields(end.error)})


TURN = """
    turns.id, parents.id, turns.conversation, agents.body, turns.owner, turns.created_at, turns.request,
    turns.status, turns.ended_at, turns.ending, turns.digest, turns.n
    from turns join agents on agents.key = turns.agent left join turns as parents on parents.n = turns.parent
"""
"""The columns `load_turn` takes, in its order, and the tables they come from."""


def load_turn(row: Sequence[Any], items: Iterable[tuple[int, str]], intents: frozenset[str]) -> StoredTurn:
    """`row` as selected by TURN; `items` are (output, body), oldest first."""
    id, parent, conversation, agent, owner, created_at, request, status, ended_at, ending, digest, _ = row
    asked = orjson.loads(request)
    given: list[Item] = []
    output: list[Item] = []
    for is_output, body in items:
        (output if is_output else given).append(load(body))
    turn = Turn(
        id=id,
        agent=AGENT.validate_json(agent),
        input=tuple(given),
        parent=parent,
        conversation=conversation,
        instructions=asked["instructions"],
        client_tools=tuple(ToolSpec(**tool) for tool in asked["client_tools"]),
        servers=tuple(ClientServer(label=label) for label in asked.get("servers", ())),
        options=asked["options"],
        stored=asked["stored"],
        background=asked.get("background", False),
        live=asked.get("live", True),
        wire=asked["wire"],
        owner=owner,
        created_at=created_at,
        digest=digest or "",
    )
    end = None if ending is None else _load_end(status, ended_at, orjson.loads(ending))
    return StoredTurn(turn=turn, end=end, output=tuple(output), intents=intents)


def load_conversation(row: Sequence[Any]) -> Conversation:
    """`row` is id, created_at, metadata, newest turn's id, owner."""
    id, created_at, metadata, newest, owner = row
    return Conversation(id=id, created_at=created_at, metadata=orjson.loads(metadata), newest=newest, owner=owner)


def _load_end(status: Any, ended_at: float, fields: dict[str, Any]) -> TurnEnd:
    error = None
    if (failed := fields["error"]) is not None:
        error = GatewayError(failed["message"], param=failed["param"], retry_after=failed["retry_after"])
        error.type, error.code, error.status = failed["type"], failed["code"], failed["status"]
    return TurnEnd(
        status=status,
        reason=fields["reason"],
        model=fields["model"],
        usage=Usage(**fields["usage"]),
        error=error,
        ended_at=ended_at,
    )


def _error_fields(error: GatewayError | None) -> dict[str, Any] | None:
    if error is None:
        return None
    return {
        "type": error.type,
        "code": error.code,
        "status": error.status,
        "message": str(error),
        "param": error.param,
        "retry_after": error.retry_after,
    }


def _plain(value: object) -> object:
    """The read-only mappings that frozen values hold; orjson knows only dict."""
    if isinstance(value, Mapping):
        return dict(cast("Mapping[str, Any]", value))
    raise TypeError(f"{type(value).__name__} is not JSON")
