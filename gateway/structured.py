"""Answers that must be JSON of a schema: `response_format` of type json_schema with `strict`.

Vendors differ in whether they hold a model to a schema, so the gateway checks what comes and asks again when it does
not fit. Nobody has seen an answer before it is found to fit: it cannot be taken back from a client that has read it.
"""

import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from gateway.errors import ProviderError
from gateway.events import Finish, ItemDone, ItemStarted, ModelEvent, StepDone
from gateway.items import Item, Message, Refusal, Text, ToolCall, new_id
from gateway.json_schema.meter import CannotCheck
from gateway.json_schema.schema import Schema
from gateway.ports import ModelCall

ATTEMPTS = 3
"""How often a model is asked for one answer: once, and twice more with what was wrong."""
TOLD = 5
"""Problems that the model is told of at once."""
CORRECTION = """Your answer does not fit the JSON schema: {fault}
Answer again with nothing but JSON that fits this schema:
{schema}"""


class Form:
    """What the answers of one run must look like."""

    def __init__(self, response_format: Mapping[str, Any]) -> None:
        self._schema: dict[str, Any] = response_format.get("schema") or {}
        self._compiled: Schema | None = None

    def fault(self, said: Sequence[Item], finish: Finish) -> str:
        """What is wrong with what the model said in one step; empty if it fits, or is no answer: a call, a refusal, or
        cut off by a limit."""
        messages = [item for item in said if isinstance(item, Message)]
        refused = any(isinstance(part, Refusal) for message in messages for part in message.content)
        if finish not in ("stop", "tool_calls") or refused or any(isinstance(item, ToolCall) for item in said):
            return ""
        try:
            value: Any = json.loads("".join(message.text for message in messages), parse_constant=no_json)
        except (ValueError, RecursionError) as error:
            return f"it is not JSON ({error})."
        return self._problems(value)

    def _problems(self, value: Any) -> str:
        try:
            if self._compiled is None:
                self._compiled = Schema(self._schema)
            problems = self._compiled.problems(value)
        except CannotCheck as error:
            raise ProviderError(
                f"The answer cannot be checked against its schema: {error}.", code="invalid_structured_output"
            ) from None
        told = [f"{problem.where}: {problem.message}" if problem.where else problem.message for problem in problems]
        return "; ".join(told[:TOLD])

    def correction(self, fault: str) -> Message:
        """What the model is told of its answer. It is no part of the conversation."""
        text = CORRECTION.format(fault=fault, schema=json.dumps(self._schema, ensure_ascii=False))
        return Message(id=new_id("msg"), role="user", content=(Text(text=text),))


def no_json(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def form_of(options: Mapping[str, Any]) -> Form | None:
    """None where any answer will do."""
    form: Mapping[str, Any] | None = options.get("response_format")
    if not form or form.get("type") != "json_schema" or not form.get("strict"):
        return None
    return Form(form)


def misfit(fault: str) -> ProviderError:
    return ProviderError(
        f"The model was asked {ATTEMPTS} times, and no answer fits the JSON schema. Wrong with the last: {fault}",
        code="invalid_structured_output",
    )


async def checked(
    ask: Callable[[ModelCall, list[Item]], AsyncGenerator[ModelEvent]], call: ModelCall, history: list[Item], form: Form
) -> AsyncGenerator[ModelEvent]:
    """`ask` with this call, whose items join the list that it is given. A model whose answer does not have the form is
    asked again, twice; raises ProviderError in the end. Each attempt is a StepDone; of the answers only the one that
    fits is told, and joins the `history`."""
    fault = ""
    for _ in range(ATTEMPTS):
        said: list[Item] = []
        held: list[ModelEvent] = []
        async with aclosing(ask(call, said)) as events:
            async for event in events:
                if isinstance(event, StepDone):
                    fault = form.fault(said, event.finish)
                    if fault:
                        held = []
                    for each in held:
                        yield each
                    held = []
                if held or (isinstance(event, ItemStarted | ItemDone) and isinstance(event.item, Message)):
                    held.append(event)
                else:
                    yield event
        if not fault:
            history += said
            return
        history += [item for item in said if not isinstance(item, Message)]
        call = replace(call, items=[*call.items, *said, form.correction(fault)])
    raise misfit(fault)
