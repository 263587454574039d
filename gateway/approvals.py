"""Which approval requests a turn answers. Nothing a client sends allows a call before this has been through it.

An answer counts once, for one call, given by the owner of the request, in time. What is looked at here is whether it
belongs to a call that still waits; the store, which begins the turn and uses the request up in one transaction, has the
last word.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from gateway.errors import InvalidRequest
from gateway.history import kinds_of, pending_calls
from gateway.items import Answer, Approval, ApprovalRequest, Item, Message
from gateway.ports import Turn
from gateway.storage import Store

MOST_WAITING = 64
"""Requests that one turn may bring back of calls which still wait."""


async def answered(turn: Turn, before: Sequence[Item], store: Store) -> tuple[Turn, list[Answer]]:
    """The turn with its answers bound to their calls, and the requests that it uses up. Raises InvalidRequest.

    Talking on, or giving a result to a call that waits, uses its request up as well: it is a no.
    """
    open_before = open_requests(before)
    if not open_before and kinds_of(turn.input).isdisjoint((Approval, ApprovalRequest)):
        return turn, []
    items = await _verified(turn, store)
    history = [*before, *items]
    still_open = open_requests(history)
    # What a client brings back together with what became of the call is history, and no answer.
    told = {item.id for item in items if isinstance(item, ApprovalRequest)} - open_requests(items).keys()
    answers: dict[str, Answer] = {}
    for place, item in enumerate(items):
        if not isinstance(item, Approval):
            continue
        if item.request_id in told:
            items[place] = replace(item, call_id="")
            continue
        request = still_open.get(item.request_id)
        if request is None:
            raise unknown(item, history)
        if request.id in answers:
            raise InvalidRequest(f"The approval request '{request.id}' is answered twice.", param="input")
        if item.approved:
            refuse_without_server(request, turn)
        answers[request.id] = Answer(id=request.id, approved=item.approved, reason=item.reason)
        items[place] = replace(item, call_id=request.call_id)
    passed_over = open_before.keys() - still_open.keys() | talked_over(history) & still_open.keys()
    no = [Answer(id=id, approved=False, strict=False) for id in sorted(passed_over - answers.keys())]
    return replace(turn, input=items), [*answers.values(), *no]


def refuse_without_server(request: ApprovalRequest, turn: Turn) -> None:
    """A yes to a call of a client's server is of no use without the server, and must not be used up."""
    if request.address and all((it.label, it.address) != (request.server, request.address) for it in turn.servers):
        raise InvalidRequest(
            f"The approval request '{request.id}' is about a tool of the MCP server '{request.server}', which "
            "the client brought. Approve it in a request whose 'tools' hold that server as before, with its URL and "
            "its credentials: they are not stored.",
            param="tools",
            code="approval_needs_server",
        )


def open_requests(items: Sequence[Item]) -> Mapping[str, ApprovalRequest]:
    """The requests about calls without a result, by their ids."""
    if ApprovalRequest not in kinds_of(items):
        return {}
    requests = [item for item in items if isinstance(item, ApprovalRequest)]
    open_calls = {call.call_id for call in pending_calls(items) if call.server}
    return {request.id: request for request in requests if request.call_id in open_calls}


def talked_over(history: Sequence[Item]) -> set[str]:
    """The requests after which the user said something."""
    said = max((n for n, item in enumerate(history) if isinstance(item, Message) and item.role == "user"), default=0)
    return {item.id for item in history[:said] if isinstance(item, ApprovalRequest)}


def unknown(answer: Approval, history: Sequence[Item]) -> InvalidRequest:
    """Why an answer has no request that waits for it."""
    asked = any(isinstance(item, ApprovalRequest) and item.id == answer.request_id for item in history)
    if asked:
        said, code = "was answered already", "approval_already_used"
    else:
        said, code = "not found: it belongs to another conversation, or never was", "approval_not_found"
    return InvalidRequest(f"The approval request '{answer.request_id}' {said}.", param="input", code=code)


async def _verified(turn: Turn, store: Store) -> list[Item]:
    """The turn's input, in which the requests that the client brings back of calls that still wait are as the store
    knows them. Raises InvalidRequest for any that are not so."""
    waiting = open_requests(turn.input)
    if len(waiting) > MOST_WAITING:
        raise InvalidRequest(f"At most {MOST_WAITING} approval requests may wait at once.", param="input")
    passed_over = talked_over(turn.input)
    known: dict[str, ApprovalRequest] = {}
    for id, sent in waiting.items():
        found = next(iter(await store.approvals(turn.owner, begins=id)), None)
        if found is not None and found.request.id == id:
            known[id] = as_it_was(sent, found.request)
        elif id not in passed_over:
            # One that is passed over is a no in any case, and long forgotten perhaps.
            raise InvalidRequest(
                f"Approval request with id '{id}' not found.", param="input", code="approval_not_found"
            )
    return [known.get(item.id, item) if isinstance(item, ApprovalRequest) else item for item in turn.input]


def as_it_was(sent: ApprovalRequest, made: ApprovalRequest) -> ApprovalRequest:
    """Raises InvalidRequest if what was sent asks about another call."""
    if (sent.server, sent.tool, sent.arguments) != (made.server, made.tool, made.arguments):
        raise InvalidRequest(
            f"The approval request '{sent.id}' was made for another call. Send it as it was given.",
            param="input",
            code="approval_mismatch",
        )
    return replace(sent, expires_at=made.expires_at, address=made.address)
