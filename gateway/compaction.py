"""A long conversation made short: the model's own summary stands for what was said before it.

Nothing is forgotten by the store. What a model is shown begins with the newest compaction: the instructions, the user's
messages that stay, the summary, and what was said since. A call and its result are never on two sides of it.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace

from gateway.errors import ProviderError
from gateway.exchanges import is_instruction
from gateway.history import kinds_of, told
from gateway.items import Compaction, Foreign, Item, Message, Text, ToolCall, ToolList, ToolResult, new_id
from gateway.ports import ModelCall
from gateway.window import tokens_of

PROMPT = (
    "The conversation has become too long and goes on without what was said so far. Write down everything that "
    "whoever goes on with it must know: what the user wants and how they want it, what was done and decided, what was "
    "found out (names, numbers, ids, code and quotations to the letter), what did not work, and what is still to do. "
    "Do not answer the user, and call no tool. Write the summary only."
)
SUMMARY = "Summary of the conversation up to this point, made by the assistant to save space:\n\n"
OPTIONS = frozenset({"temperature", "top_p", "seed", "reasoning_effort", "user", "safety_identifier", "service_tier"})
"""Options of a call that a summary is asked for with; the others are about the answer."""
WORTH = 10
"""A compaction must replace at least this part of the threshold: one tenth. Else it would be made again with every step
of a conversation whose instructions, tools and newest question alone are longer than the threshold."""


def compacted(history: Sequence[Item]) -> Sequence[Item]:
    """What a model is shown of the history: all of it but for lists of tools, if there is no compaction in it; of what
    tools did elsewhere, what is `told` of it."""
    kinds = kinds_of(history)
    history = told(history) if Foreign in kinds else list(history)
    if ToolList in kinds:
        history = [item for item in history if not isinstance(item, ToolList)]
    if Compaction not in kinds:
        return history
    place = max(n for n, item in enumerate(history) if isinstance(item, Compaction))
    compaction, after = history[place], history[place + 1 :]
    assert isinstance(compaction, Compaction)
    answered = {item.call_id for item in after if isinstance(item, ToolResult)}
    summary = Message(id=compaction.id, role="user", content=(Text(text=SUMMARY + compaction.text),))
    return [*staying(history[:place], answered), summary, *after]


def staying(before: Sequence[Item], answered: Collection[str] = ()) -> list[Item]:
    """What of the items `before` a compaction is shown beside it; `answered` are the calls with a result after it."""
    asked = {item.id for item in newest_question(before)}
    return [
        item
        for item in before
        if is_instruction(item) or item.id in asked or (isinstance(item, ToolCall) and item.call_id in answered)
    ]


def newest_question(items: Sequence[Item]) -> list[Message]:
    """The user's last message with those right before it, which are all of those that `questions` left."""
    question: list[Message] = []
    for item in reversed(items):
        if isinstance(item, Message) and item.role == "user":
            question.append(item)
        elif question:
            break
    return question[::-1]


def questions(history: Sequence[Item]) -> list[Message]:
    """The user's messages that a model is still shown, which stay when a client has this history compacted."""
    summaries = {item.id for item in history if isinstance(item, Compaction)}
    shown = compacted(history)
    return [item for item in shown if isinstance(item, Message) and item.role == "user" and item.id not in summaries]


def is_worth_it(history: Sequence[Item], threshold: int) -> bool:
    """Whether a compaction now would replace enough, which is more than another summary. `threshold` is in tokens."""
    stay = {item.id for item in staying(history)} | {item.id for item in history if isinstance(item, Compaction)}
    replaced = [item for item in compacted(history) if item.id not in stay]
    return tokens_of(replaced) * WORTH >= threshold


def summarising(call: ModelCall) -> ModelCall:
    """The request for a summary of what this call would show the model."""
    prompt = Message(id=new_id("msg"), role="user", content=(Text(text=PROMPT),))
    options = {name: value for name, value in call.options.items() if name in OPTIONS}
    # Vendors want the tools of the calls that they are shown.
    if call.tools:
        options["tool_choice"] = "none"
    return replace(call, items=[*call.items, prompt], options=options, live=False)


def summary_in(said: Sequence[Item]) -> Compaction:
    """The compaction that the model wrote. Raises ProviderError if there is no text in what it said."""
    text = "".join(item.text for item in said if isinstance(item, Message)).strip()
    if not text:
        raise ProviderError("The model wrote no summary of the conversation.", code="compaction_failed")
    return Compaction(id=new_id("cmp"), text=text)
