"""What a run says while it happens: the one stream every API dialect renders.

Contract: `RunStarted` first; then for each item an optional `ItemStarted`, its deltas and `ItemDone`; after
each model call one `StepDone`; then exactly one ending (`RunPaused`, `RunCompleted`, `RunFailed`,
`RunCancelled`). After `RunStarted` a failure is an event, never an exception.

An item that was started is always done before the ending of a completed or paused run. A failed run may
leave started items open; a reader closes them as incomplete. Deltas joined equal the finished item.
"""

import time
from dataclasses import field
from typing import Any, Literal

from gateway.errors import GatewayError
from gateway.items import ApprovalRequest, Item, ToolCall
from gateway.values import value


@value()
class Usage:
    """What one model call or a whole run has taken, in tokens. `input_tokens` includes cached ones, `output_tokens`
    reasoning. `service_tier` is the one that the provider says it served the (last) call in, by OpenAI's names."""

    input_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    service_tier: str = ""

    def __add__(self, other: "Usage") -> "Usage":
        if self is NO_USAGE:
            return other
        if other is NO_USAGE:
            return self
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
            service_tier=other.service_tier or self.service_tier,
        )


NO_USAGE = Usage()


@value(kw_only=False)
class RunStarted:
    turn_id: str


@value(kw_only=False)
class ItemStarted:
    """The item as far as it is known: a message without content, a call without arguments."""

    item: Item


@value(kw_only=False)
class TextDelta:
    item_id: str
    text: str


@value(kw_only=False)
class ScoredDelta(TextDelta):
    """Text with the probabilities of its tokens, as in `Text.logprobs`; only where they were asked for."""

    logprobs: tuple[dict[str, Any], ...]


@value(kw_only=False)
class RefusalDelta:
    item_id: str
    text: str


@value(kw_only=False)
class ReasoningDelta:
    """A piece of `Reasoning.text`: the thoughts themselves."""

    item_id: str
    text: str


@value(kw_only=False)
class SummaryDelta:
    """A piece of `Reasoning.summary`: what a vendor that keeps the thoughts to itself tells of them."""

    item_id: str
    text: str


@value(kw_only=False)
class ArgumentsDelta:
    """A piece of a tool call's arguments; `item_id` is the `ToolCall.id`."""

    item_id: str
    text: str


@value(kw_only=False)
class ItemDone:
    item: Item


@value(kw_only=False)
class CallsStarted:
    """The gateway is about to run these tool calls. Whoever records the run notes the intent before it goes on."""

    calls: tuple[ToolCall, ...]


Finish = Literal["stop", "tool_calls", "length", "content_filter"]


@value()
class StepDone:
    """One model call came to its proper end. `model` is the one that answered (a fallback may have).

    `usage` is None when the provider reported none.
    """

    model: str
    finish: Finish
    usage: Usage | None = None


@value()
class Ended:
    """What all endings have: when they came, in Unix seconds. It is told to every reader, and stored, as the same."""

    ended_at: float = field(default_factory=time.time, compare=False)


@value()
class RunPaused(Ended):
    """Somebody else has to act: the client runs its own tools, a person approves. What is `asked` are items, too."""

    client_calls: tuple[ToolCall, ...] = ()
    asked: tuple[ApprovalRequest, ...] = ()
    usage: Usage = NO_USAGE
    model: str = ""


@value()
class RunCompleted(Ended):
    """`max_steps`: the agent's step limit ended the run before the model was done; `steered`: somebody halted it
    between two steps, to go on with something else to say."""

    reason: Literal["stop", "length", "content_filter", "max_steps", "steered"]
    usage: Usage = NO_USAGE
    model: str = ""


@value()
class RunFailed(Ended):
    error: GatewayError
    usage: Usage = NO_USAGE


@value()
class RunCancelled(Ended):
    usage: Usage = NO_USAGE


Ending = RunPaused | RunCompleted | RunFailed | RunCancelled
Delta = TextDelta | RefusalDelta | ReasoningDelta | SummaryDelta | ArgumentsDelta
ModelEvent = ItemStarted | Delta | ItemDone | StepDone
"""The part of the vocabulary a provider may use."""
Event = RunStarted | ModelEvent | CallsStarted | Ending
