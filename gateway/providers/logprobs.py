"""The probabilities of an answer's tokens, for calls that ask for them: others are decoded without a look at any.

Shape: https://platform.openai.com/docs/api-reference/chat/object, `choices[].logprobs.content`. What vendors leave
out of it (`bytes`, `top_logprobs`) is filled in, because OpenAI's clients want every field.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

from gateway.events import ModelEvent, ScoredDelta, TextDelta
from gateway.items import Item, Message, Text
from gateway.providers.chat_chunks import ChunkDecoder

Json = dict[str, Any]


class ScoredDecoder(ChunkDecoder):
    """A decoder whose text comes with `logprobs`, where the vendor gives them."""

    __slots__ = ("_scores",)

    def __init__(self, provider: str, model: str, items: Sequence[Item], **how: Any) -> None:
        super().__init__(provider, model, items, **how)
        self._scores: list[Json] = []

    def feed(self, chunk: Json, out: list[ModelEvent]) -> None:
        scores = read_logprobs(chunk)
        self._scores.extend(scores)
        begin = len(out)
        super().feed(chunk, out)
        if scores:
            for place in range(begin, len(out)):
                if isinstance(event := out[place], TextDelta):
                    out[place] = ScoredDelta(event.item_id, event.text, tuple(scores))
                    break

    def _done(self, item: Item, out: list[ModelEvent]) -> None:
        if isinstance(item, Message) and self._scores:
            scores, self._scores = tuple(self._scores), []
            item = replace(item, content=scored(item, scores))
        super()._done(item, out)


def scored(message: Message, scores: tuple[Json, ...]) -> tuple[Any, ...]:
    """The message's content, its text with these logprobs. It has one text at most."""
    return tuple(replace(part, logprobs=scores) if isinstance(part, Text) else part for part in message.content)


def read_logprobs(chunk: Json) -> list[Json]:
    """Of the first choice; empty where there are none, or older ones that are not told token by token."""
    choices: Any = chunk.get("choices")
    logprobs: Any = choices[0].get("logprobs") if choices else None
    tokens: Any = logprobs.get("content") if isinstance(logprobs, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return read_scores(tokens)


def read_scores(tokens: Any) -> list[Json]:
    """Tokens with their probabilities. What has another shape is left out: no answer is lost for it."""
    return [
        {**one(token), "top_logprobs": [one(top) for top in dicts(token.get("top_logprobs"))]}
        for token in dicts(tokens)
    ]


def dicts(value: Any) -> list[Json]:
    listed: list[Any] = cast(list[Any], value) if isinstance(value, list) else []
    return [cast(Json, inner) for inner in listed if isinstance(inner, dict)]


def one(token: Json) -> Json:
    text = str(token.get("token", ""))
    given: Any = token.get("bytes")
    score: Any = token.get("logprob")
    return {
        "token": text,
        "logprob": float(score) if isinstance(score, int | float) else 0.0,
        "bytes": given if given is not None else list(text.encode(errors="replace")),
    }
