"""Approvals for clients that know nothing of them: the question is text, and so is the answer.

The gateway keeps the run that waits. The client brings back the question with its code in the last assistant message,
and the answer, `approve CODE` or `deny CODE`, as the last user message; whatever else it says there is a no.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from gateway.agents.catalog import Catalog
from gateway.apis.chat.resent import read
from gateway.errors import InvalidRequest, NotFound
from gateway.items import Approval, Item, Message, StoredApproval, ToolCall, ToolResult, new_id
from gateway.ports import Turn
from gateway.storage import Store

LONGEST_ANSWER = 4000
"""Characters of a message that is looked at for an answer."""
MOST_CODES = 64
"""Questions of one message that are looked up."""
YES = frozenset({"approve", "approved"})
NO = frozenset({"deny", "denied", "reject", "rejected", "refuse", "refused"})
FILLERS = frozenset({"i", "yes", "no", "ok", "okay", "please", "thanks", "and", "&", ""})
CODE = re.compile(r"[0-9a-f]{4}-?[0-9a-f]{4}")
HALF = re.compile(r"[0-9a-f]{4}")
DIGITS = re.compile(r"[0-9A-Fa-f]{4}")
"""Without these there is no code in a text, which most are."""
ASKED = re.compile(r"`approve ([0-9A-F]{4}-[0-9A-F]{4})`")
DASHES = dict.fromkeys([*range(0x2010, 0x2015), 0x2212], "-")
"""What word processors and phones make of a hyphen."""
AROUND = "`'\"*_<>()[]{}.,:;!/\u201c\u201d\u2018\u2019"
"""What may stand around a word: punctuation, Markdown, and quotes straight and curly."""


@dataclass(frozen=True, slots=True)
class Said:
    """An answer as a person writes it. `codes` are eight hex digits each."""

    approved: bool
    codes: Sequence[str]
    reason: str


def answer_in(text: str) -> Said | None:
    """`approve 3F9A-C21B` in any case, with or without hyphen or quotes; several codes; a reason after a denial.

    An approval that goes on to say anything else is none: "approve 3F9A-C21B but for tomorrow" means another call.
    """
    if len(text) > LONGEST_ANSWER or not DIGITS.search(text):
        return None
    words = text.split()
    plain = [word.translate(DASHES).strip(AROUND).lower() for word in words]
    place = next((n for n, word in enumerate(plain) if word not in FILLERS), len(plain))
    if place == len(plain) or plain[place] not in YES | NO:
        return None
    approved = plain[place] in YES
    place += 1
    codes: list[str] = []
    while place < len(plain):
        if CODE.fullmatch(plain[place]):
            codes.append(plain[place].replace("-", ""))
        elif place + 1 < len(plain) and HALF.fullmatch(plain[place]) and HALF.fullmatch(plain[place + 1]):
            codes.append(plain[place] + plain[place + 1])
            place += 1
        elif plain[place] not in FILLERS:
            break
        place += 1
    if not codes or (approved and place < len(words)):
        return None
    return Said(approved, list(dict.fromkeys(codes)), " ".join(words[place:]))


async def resumed(turn: Turn, catalog: Catalog, store: Store) -> Turn | None:
    """If this turn answers a question of the gateway's, by words or by passing over it, the turn that goes on with the
    run that waits. Raises NotFound and InvalidRequest."""
    start = len(turn.input)
    while start and not is_models(turn.input[start - 1]):
        start -= 1
    since = turn.input[start:]
    asked = codes_asked(turn.input[:start]) if start else []
    last = since[-1] if since else None
    answer = answer_in(last.text) if isinstance(last, Message) and last.role == "user" else None
    if answer is None and not asked:
        return None
    if answer is None:
        found = [each for code in asked for each in await store.approvals(turn.owner, begins=f"mcpr_{code}")]
        waiting = [each for each in found if each.approved is None]
        return await going_on(turn, waiting[0], since, catalog) if waiting else None
    named = {code: await store.approvals(turn.owner, begins=f"mcpr_{code}") for code in answer.codes}
    missing = [code for code, found in named.items() if not found]
    if len(missing) == len(named) and not set(missing) & set(asked):
        return None  # Words that only look like an answer: nobody asked here.
    if missing:
        shown = ", ".join(f"{code[:4]}-{code[4:]}".upper() for code in missing)
        raise NotFound(f"No approval has the code {shown}.", param="messages", code="approval_not_found")
    requests = [found[0] for found in named.values()]
    if len({request.turn for request in requests}) > 1:
        raise InvalidRequest(
            "These codes are of different runs. Answer one run at a time.", param="messages", code="approval_mismatch"
        )
    answers = [
        Approval(
            id=new_id("mcpa"),
            call_id="",
            approved=answer.approved,
            reason=answer.reason,
            request_id=each.request.id,
        )
        for each in requests
    ]
    results = [item for item in since if isinstance(item, ToolResult)]
    return await going_on(turn, requests[0], [*results, *answers], catalog)


async def going_on(turn: Turn, asked: StoredApproval, items: Sequence[Item], catalog: Catalog) -> Turn:
    """What the client sent of the conversation before is left aside: the stored run knows it, and the call too. The run
    that waits is one choice, and goes on as one."""
    digest = (await asyncio.to_thread(read, turn))[1][-1] if turn.stored else ""
    return replace(
        turn,
        parent=asked.turn,
        agent=catalog.find(asked.agent),
        input=items,
        wire={**turn.wire, "choices": 1},
        digest=digest,
    )


def is_models(item: Item) -> bool:
    return isinstance(item, ToolCall) or (isinstance(item, Message) and item.role == "assistant")


def codes_asked(before: Sequence[Item]) -> list[str]:
    """The codes of the questions in the last assistant message."""
    said = next((item for item in reversed(before) if isinstance(item, Message)), None)
    if said is None or said.role != "assistant":
        return []
    return [code.replace("-", "").lower() for code in ASKED.findall(said.text)[-MOST_CODES:]]
