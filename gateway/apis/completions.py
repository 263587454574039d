"""/v1/completions, OpenAI's oldest: a prompt in, its continuation out. Each choice is a chat of one message underneath.

What only a model that continues text could do (`suffix`, `logprobs` of a prompt) is refused, not forgotten.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gateway.agents.catalog import Catalog
from gateway.agents.spec import AgentSpec
from gateway.apis._body import LARGEST, Several
from gateway.apis._choices import Said, SideBySide, start_all
from gateway.apis._inputs import MOST_INPUT_VALUES, read_inputs
from gateway.apis._wire import DONE, EventStream, error_body, frame, json_response, parse, wanted
from gateway.errors import InvalidRequest
from gateway.events import (
    Event,
    ItemDone,
    ItemStarted,
    RefusalDelta,
    RunCompleted,
    RunFailed,
    RunPaused,
    RunStarted,
    TextDelta,
    Usage,
)
from gateway.items import Message, Refusal, Text, new_id
from gateway.ports import Turn
from gateway.runs import Runs
from gateway.storage import Store

MOST_CHOICES = 128
"""Prompts times `n`; each of them is a call of the model."""
SAME_NAME = ("temperature", "top_p", "seed", "presence_penalty", "frequency_penalty", "user", "stop")
"""Fields whose name and meaning are the same in `ModelCall.options`."""
NOT_POSSIBLE = {
    "suffix": "text cannot be inserted before a suffix",
    "logprobs": "the probabilities of tokens are not known",
}
FINISH = {"stop": "stop", "length": "length", "content_filter": "content_filter", "max_steps": "length"}


class StreamOptions(BaseModel):
    include_usage: bool | None = None


class CompletionRequest(BaseModel):
    """https://platform.openai.com/docs/api-reference/completions/create. Without `max_tokens` the model says when to
    stop, and not after 16 tokens."""

    model: str
    prompt: Any
    n: int | None = Field(None, ge=1, le=MOST_CHOICES)
    best_of: int | None = Field(None, ge=1, le=MOST_CHOICES)
    echo: bool | None = None
    suffix: str | None = None
    logprobs: int | None = None
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
        refuse_impossible(body)
        agent = catalog.find(body.model)
        prompts = (await read_inputs(body.prompt, "prompt")).texts
        if len(prompts) * (body.n or 1) > MOST_CHOICES:
            raise InvalidRequest(f"At most {MOST_CHOICES} choices are made: prompts times 'n'.", param="n")
        turns = [to_turn(body, prompt, agent, request.state.owner) for prompt in prompts for _ in range(body.n or 1)]
        echoes = [text_of(turn) if body.echo else "" for turn in turns]
        started = await start_all(runs, turns, wanted(request))
        choices = SideBySide(started)
        if body.stream:
            await choices.begun(request)
            usage = body.stream_options is not None and bool(body.stream_options.include_usage)
            return EventStream(choices, Chunks(turns[0], echoes, include_usage=usage).render)
        await choices.ended(request)
        made = [to_choice(index, echoes[index], run.events) for index, run in enumerate(started)]
        usage = sum((usage for _, usage in made), Usage())
        return json_response({**head(turns[0]), "choices": [choice for choice, _ in made], "usage": to_usage(usage)})

    return [Route("/v1/completions", create, methods=["POST"])]


def refuse_impossible(body: CompletionRequest) -> None:
    for name, reason in NOT_POSSIBLE.items():
        if getattr(body, name) not in (None, ""):
            raise InvalidRequest(
                f"'{name}' is not supported: prompts are put to chat models, and {reason}.",
                param=name,
                code="unsupported_parameter",
            )
    if body.best_of is not None and body.best_of != (body.n or 1):
        raise InvalidRequest(
            "'best_of' is not supported: which choice is the best is not known. Ask for them all with 'n'.",
            param="best_of",
            code="unsupported_parameter",
        )


def to_turn(body: CompletionRequest, prompt: str, agent: AgentSpec, owner: str) -> Turn:
    options: dict[str, Any] = {name: value for name in SAME_NAME if (value := getattr(body, name)) is not None}
    if body.max_tokens is not None:
        options["max_output_tokens"] = body.max_tokens
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
    """Renders the runs of a request. `echoes` are what each choice begins with."""

    def __init__(self, turn: Turn, echoes: Sequence[str], *, include_usage: bool) -> None:
        self._head = head(turn)
        self._with_usage = include_usage
        self._usages: list[Usage] = []
        before = {**self._head, "usage": None} if include_usage else self._head
        self._choices = [ChoiceChunks(before, index, echo) for index, echo in enumerate(echoes)]

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
        return frame({**self._head, "choices": [], "usage": to_usage(sum(self._usages, Usage()))}) + DONE


class ChoiceChunks:
    """Renders what one choice says. What is the same in its frames is encoded once: a token costs one small string."""

    def __init__(self, before: Mapping[str, Any], index: int, echo: str) -> None:
        self._before = b'data: %b,"choices":[{"index":%d,"text":' % (orjson.dumps(before)[:-1], index)
        self._echo = echo
        self._said = self._gap = False

    def render(self, event: Event) -> bytes:
        match event:
            case TextDelta(text=text) | RefusalDelta(text=text):
                return self._text(text)
            case RunStarted():
                return self.chunk(self._echo) if self._echo else b""
            case ItemStarted(item=Message()):
                self._gap = self._said
                return b""
            case _:
                return b""

    def _text(self, text: str) -> bytes:
        """Two messages of one run are one text here; a blank line keeps apart what they say."""
        if not text:
            return b""
        if self._gap:
            text, self._gap = f"\n\n{text}", False
        self._said = True
        return self.chunk(text)

    def chunk(self, text: str, finish: str | None = None) -> bytes:
        tail = b',"logprobs":null,"finish_reason":%b}]}\n\n' % orjson.dumps(finish)
        return self._before + orjson.dumps(text) + tail


def to_choice(index: int, echo: str, events: Iterable[Event]) -> tuple[dict[str, Any], Usage]:
    """One choice and what it used: what the chunks of the same events would add up to. Raises the error of a failed
    run."""
    said: list[str] = []
    finish, usage = "stop", Usage()
    for event in events:
        match event:
            case ItemDone(item=Message() as message):
                said.append("".join(part.text for part in message.content if isinstance(part, Text | Refusal)))
            case RunPaused() | RunCompleted():
                finish, usage = to_finish(event), event.usage
            case RunFailed(error=error):
                raise error
            case _:
                pass
    text = echo + "\n\n".join(filter(None, said))
    return {"text": text, "index": index, "logprobs": None, "finish_reason": finish}, usage


def to_finish(ending: RunPaused | RunCompleted) -> str:
    """Of a run that waits for an approval, which this dialect cannot ask for, there is no more to come."""
    return "stop" if isinstance(ending, RunPaused) else FINISH[ending.reason]


def to_usage(usage: Usage) -> dict[str, int]:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }
