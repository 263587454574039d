"""The choices of one completion: a turn for each of them, and their runs as one stream of chunks."""

from collections.abc import Sequence
from dataclasses import replace

from gateway.apis._choices import Said
from gateway.apis.chat.to_wire import Chunks, together
from gateway.errors import InvalidRequest
from gateway.events import RunFailed, Usage
from gateway.item_sizes import size_of
from gateway.items import IdempotencyKey
from gateway.ports import Turn


def choice_id(id: str, index: int) -> str:
    """The id of the turn behind a choice. Only the first is seen outside."""
    return f"choice{index}_{id}" if index else id


def choices(turn: Turn) -> list[Turn]:
    """A turn for each choice that was asked for. With the request's own key only the first is found."""
    if turn.wire.get("choices", 1) == 1:
        return [turn]
    more = enumerate(choice_ids(turn)[1:], 1)
    return [turn, *(replace(turn, id=id, key=choice_key(turn.key, index)) for index, id in more)]


def choice_ids(turn: Turn) -> list[str]:
    """The ids of the turns behind the choices, of which this is the first."""
    return [choice_id(turn.id, index) for index in range(turn.wire.get("choices", 1))]


def refuse_copies(turns: Sequence[Turn], most: int) -> None:
    """Raises InvalidRequest where the choices would be stored with more than `most` characters of input, which each of
    them keeps for itself."""
    if not turns[0].stored:
        return
    size = sum(map(size_of, turns[0].input))
    if size * len(turns) > most:
        raise InvalidRequest(
            f"{len(turns)} choices of {size} characters are too much to be stored; the limit for all of them is {most} "
            "(`max_history`). Ask for fewer, or with 'store': false.",
            param="n",
            code="integer_above_max_value",
        )


def choice_key(key: IdempotencyKey | None, index: int) -> IdempotencyKey | None:
    return replace(key, operation=f"{key.operation}#{index}") if key else None


class SideBySideChunks:
    """Renders what `SideBySide` tells. The stream ends when all choices have."""

    def __init__(self, turns: Sequence[Turn], *, include_usage: bool) -> None:
        id = turns[0].id
        self._choices = [
            Chunks(turn, include_usage=include_usage, id=id, index=index, ended=self._ended)
            for index, turn in enumerate(turns)
        ]
        self._usages: list[Usage] = []

    def render(self, said: Said | RunFailed) -> bytes:
        if isinstance(said, RunFailed):
            return self._choices[0].render(said)
        return self._choices[said.index].render(said.event)

    def _ended(self, usage: Usage) -> bytes:
        self._usages.append(usage)
        if len(self._usages) < len(self._choices):
            return b""
        return self._choices[0].tail(together(self._usages))
