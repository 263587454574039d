"""/v1/completions, OpenAI's oldest: a prompt in, its continuation out. Each choice is a chat of one message underneath.

What only a model that continues text could do (`suffix`, `logprobs` of a prompt) is refused, not forgotten. `logprobs`
of what is said come where the provider gives them.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Annotated, Any

import orjson
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gateway.agents.catalog import Catalog
from gateway.agents.spec import AgentSpec
from gateway.apis._body import LARGEST, Several, StrictModel
from gateway.apis._checks import check_bias, check_stop, check_stream_options
from gateway.apis._choices import Said, SideBySide, start_all
from gateway.apis._inputs import MOST_INPUT_VALUES, read_inputs
from gateway.apis._requests import StreamOptions
from gateway.apis._wire import DONE, EventStream, error_body, frame, json_response, owner_of, parse, wanted
from gateway.errors import InvalidRequest
from gateway.events import (
    NO_USAGE,
    Event,
    ItemDone,
    ItemStarted,
    RefusalDelta,
    RunCompleted,
    RunFailed,
    RunPaused,
    RunStarted,
    ScoredDelta,
    TextDelta,
    Usage,
)
from gateway.items import Message, Refusal, Text, new_id
from gateway.ports import Turn
from gateway.runs import Runs
from gateway.storage import Store

MOST_CHOICES = 128
"""Prompts times `n`; each of them is a call of the model."""
SAME_NAME = ("temperature", "top_p", "seed", "presence_penalty", "frequency_penalty", "logit_bias", "user", "stop")
"""Fields whose name and meaning are the same in `ModelCall.options`."""
Scores = Sequence[Mapping[str, Any]]
"""Tokens with their probabilities, as in `Text.logprobs`."""
FINISH = {"stop": "stop", "length": "length", "content_filter": "content_filter", "max_steps": "length"}


class CompletionRequest(StrictModel):
    """https://platform.openai.com/docs/api-reference/completions/create. Without `max_tokens` the model says when to
    stop, and not after 16 tokens."""

    model: str
    prompt: Any
    n: int | None = Field(None, ge=1, le=MOST_CHOICES)
    best_of: int | None = Field(None, ge=1, le=MOST_CHOICES)
    echo: bool | None = None
    suffix: str | None = None
    logprobs: int | None = Field(None, ge=0, le=5)
    logit_bias: dict[str, Annotated[float, Field(ge=-100, le=100)]] | None = Field(None, fail_fast=True)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(None, ge=1, le=LARGEST)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, ge=0, le=1)
    stop: str | Several[str] | None = None
    seed: int | None = Field(None, ge=-LARGEST, le=LARGEST)
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    user: str | None = None


def routes(runs: Runs, catalog: Catalog, store: Store) -> list[BaseRoute]:
    async def create(request: Request) -> Response:
        body = await parse(request, CompletionRequest, most_values=MOST_INPUT_VALUES)
        check(body)
        agent = catalog.find(body.model)
        prompts = (await read_inputs(body.prompt, "prompt")).texts
        if len(prompts) * (body.n or 1) > MOST_CHOICES:
            raise InvalidRequest(f"At most {MOST_CHOICES} choices are made: prompts times 'n'.", param="n")
        turns = [to_turn(body, prompt, agent, owner_of(request)) for prompt in prompts for _ in range(body.n or 1)]
        echoes = [text_of(turn) if body.echo else "" for turn in turns]
        started = await start_all(runs, turns, wanted(request))
        choices = SideBySide(started)
        if body.stream:
            await choices.begun(request)
            usage = body.stream_options is not None and bool(body.stream_options.include_usage)
            return EventStream(choices, Chunks(turns[0], echoes, include_usage=usage, most=body.logprobs).render)
        await choices.ended(request)
        made = [to_choice(index, echoes[index], run.events, body.logprobs) for index, run in enumerate(started)]
        usage = sum((usage for _, usage in made), NO_USAGE)
        return json_response({**head(turns[0]), "choices": [choice for choice, _ in made], "usage": to_usage(usage)})

    return [Route("/v1/completions", create, methods=["POST"])]


def check(body: CompletionRequest) -> None:
    """Raises InvalidRequest for what OpenAI refuses, and for what cannot be had here."""
    check_stream_options(body.stream_options, body.stream)
    check_stop(body.stop)
    check_bias(body.logit_bias)
    if body.suffix:
        raise unsupported("suffix", "prompts are put to chat models, and text cannot be inserted before a suffix.")
    if body.logprobs is not None and body.echo:
        raise unsupported("logprobs", "with 'echo': the probabilities of a prompt's tokens are not known.")
    if body.best_of is not None and body.best_of != (body.n or 1):
        raise unsupported("best_of", "which choice is the best is not known. Ask for them all with 'n'.")


def unsupported(name: str, reason: str) -> InvalidRequest:
    return InvalidRequest(f"'{name}' is not supported: {reason}", param=name, code="unsupported_parameter")


def to_turn(body: CompletionRequest, prompt: str, agent: AgentSpec, owner: str) -> Turn:
    options: dict[str, Any] = {name: value for name in SAME_NAME if (value := getattr(body, name)) is not None}
    if body.max_tokens is not None:
        options["max_output_tokens"] = body.max_tokens
    if body.logprobs is not None:
        options["logprobs"] = True
        if body.logprobs:
            options["top_logprobs"] = body.logprobs
    return Turn(
        id=new_id("cmpl").replace("_", "-", 1),
        agent=agent,
        input=[Message(id=new_id("msg"), role="user", content=(Text(text=prompt),))],
        options=options,
        stored=False,
        live=bool(body.stream),
        owner=owner,
        created_at=time.time(),
    )


def text_of(turn: Turn) -> str:
    return "".join(item.text for item in turn.input if isinstance(item, Message))


def head(turn: Turn) -> dict[str, Any]:
    """What a completion and each of its chunks begin with: the first choice's id is that of them all."""
    return {"id": turn.id, "object": "text_completion", "created": int(turn.created_at), "model": turn.agent.name}


class Chunks:
    """Renders the runs of a request. `echoes` are what each choice begins with; `most` is the request's `logprobs`."""

    def __init__(self, turn: Turn, echoes: Sequence[str], *, include_usage: bool, most: int | None) -> None:
        self._head = head(turn)
        self._with_usage = include_usage
        self._usages: list[Usage] = []
        before = {**self._head, "usage": None} if include_usage else self._head
        self._choices = [ChoiceChunks(before, index, echo, most) for index, echo in enumerate(echoes)]

    def render(self, said: Said | RunFailed) -> bytes:
        match said:
            case RunFailed(error=error) | Said(event=RunFailed(error=error)):
                # No [DONE]: the SDKs raise on the error, and nothing may look like a proper end.
                return frame({"error": error_body(error)})
            case Said(event=RunPaused() | RunCompleted() as ending):
                self._usages.append(ending.usage)
                return self._choices[said.index].chunk("", to_finish(ending)) + self._tail()
            case _:
                return self._choices[said.index].render(said.event)

    def _tail(self) -> bytes:
        """The end of the stream, once all choices have theirs."""
        if len(self._usages) < len(self._choices):
            return b""
        if not self._with_usage:
            return DONE
        return frame({**self._head, "choices": [], "usage": to_usage(sum(self._usages, NO_USAGE))}) + DONE


class ChoiceChunks:
    """Renders what one choice says. What is the same in its frames is encoded once: a token costs one small string."""

    def __init__(self, before: Mapping[str, Any], index: int, echo: str, most: int | None) -> None:
        self._before = b'data: %b,"choices":[{"index":%d,"text":' % (orjson.dumps(before)[:-1], index)
        self._echo = echo
        self._most = most
        self._length = 0
        self._said = self._gap = False

    def render(self, event: Event) -> bytes:
        match event:
            case ScoredDelta(text=text, logprobs=scores):
                return self._text(text, scores)
            case TextDelta(text=text) | RefusalDelta(text=text):
                return self._text(text)
            case RunStarted():
                return self.chunk(self._echo) if self._echo else b""
            case ItemStarted(item=Message()):
                self._gap = self._said
                return b""
            case _:
                return b""

    def _text(self, text: str, scores: Scores = ()) -> bytes:
        """Two messages of one run are one text here; a blank line keeps apart what they say."""
        if not text and not scores:
            return b""
        gap = "\n\n" if self._gap else ""
        self._said, self._gap = True, False
        start = self._length + len(gap)
        self._length = start + len(text)
        return self.chunk(gap + text, logprobs=to_logprobs(scores, starts_of(scores, start), self._most))

    def chunk(self, text: str, finish: str | None = None, logprobs: Mapping[str, Any] | None = None) -> bytes:
        tail = b',"logprobs":%b,"finish_reason":%b}]}\n\n' % (orjson.dumps(logprobs), orjson.dumps(finish))
        return self._before + orjson.dumps(text) + tail


def to_choice(index: int, echo: str, events: Iterable[Event], most: int | None) -> tuple[dict[str, Any], Usage]:
    """One choice and what it used: what the chunks of the same events would add up to. Raises the error of a failed
    run."""
    messages: list[Message] = []
    finish, usage = "stop", NO_USAGE
    for event in events:
        match event:
            case ItemDone(item=Message() as message):
                messages.append(message)
            case RunPaused() | RunCompleted():
                finish, usage = to_finish(event), event.usage
            case RunFailed(error=error):
                raise error
            case _:
                pass
    said = ""
    scores: list[Mapping[str, Any]] = []
    starts: list[int] = []
    for message in messages:
        parts = [part for part in message.content if isinstance(part, Text | Refusal)]
        if text := "".join(part.text for part in parts):
            said += f"\n\n{text}" if said else text
            tokens = [score for part in parts if isinstance(part, Text) for score in part.logprobs]
            starts += starts_of(tokens, len(said) - len(text))
            scores += tokens
    logprobs = to_logprobs(scores, starts, most)
    return {"text": echo + said, "index": index, "logprobs": logprobs, "finish_reason": finish}, usage


def starts_of(scores: Scores, start: int) -> list[int]:
    """Where each of these tokens begins, the first at `start`."""
    return list(accumulate((len(score["token"]) for score in scores[:-1]), initial=start)) if scores else []


def to_logprobs(scores: Scores, starts: Sequence[int], most: int | None) -> dict[str, Any] | None:
    """As the oldest API has them: lists side by side. None where nobody asked, or nothing is known."""
    if most is None or not scores:
        return None
    likely = [{top["token"]: top["logprob"] for top in score["top_logprobs"]} for score in scores]
    return {
        "tokens": [score["token"] for score in scores],
        "token_logprobs": [score["logprob"] for score in scores],
        "top_logprobs": likely if most else None,
        "text_offset": starts,
    }


def to_finish(ending: RunPaused | RunCompleted) -> str:
    """Of a run that waits for an approval, which this dialect cannot ask for, there is no more to come."""
    return "stop" if isinstance(ending, RunPaused) else FINISH[ending.reason]


def to_usage(usage: Usage) -> dict[str, int]:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }
