"""Whatever the conversation: no call without its result, no more than the budget, and never without the new input."""

from collections import Counter

import anyio
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.agents.spec import AgentSpec, Context
from gateway.exchanges import exchanges, is_instruction, steps, tokens
from gateway.items import Message, Reasoning, Summary, Text, ToolCall, ToolResult, new_id
from gateway.memory.bounded import SUMMARY, Bounded
from gateway.ports import Turn
from gateway.providers.bundled_embedder import BundledEmbedder
from gateway.providers.scripted import ScriptedProvider
from tests.conftest import say

texts = st.sampled_from(["", "bread", "Paris is a city.", "ünï " * 20, "word " * 60])
contexts = st.builds(
    Context,
    budget_tokens=st.integers(20, 400),
    last=st.none() | st.integers(1, 5),
    top_k=st.integers(0, 2),
    summary_at=st.none() | st.sampled_from([0.3, 0.75, 1.0]),
)
KINDS = ("user", "assistant", "developer", "think", "call", "result", "result")


def message(role, text):
    return Message(id=new_id("msg"), role=role, content=(Text(text=text),))


@st.composite
def histories(draw, kinds=KINDS, most=25):
    """Items in any order that a conversation can have; every call is answered in the end, maybe much later. An id that
    was answered is used again."""
    history, waiting = [], []
    for kind in draw(st.lists(st.sampled_from(kinds), max_size=most)):
        text = draw(texts)
        if kind == "think":
            history.append(Reasoning(id=new_id("rs"), text=text))
        elif kind == "call":
            free = [id for id in "abc" if id not in waiting]
            if free:
                waiting.append(free[0])
                history.append(ToolCall(id=new_id("fc"), call_id=free[0], name="look", arguments=text))
        elif kind == "result":
            if waiting:
                history.append(result(waiting.pop(draw(st.integers(0, len(waiting) - 1))), text))
        else:
            history.append(message(kind, text))
    return history + [result(id, draw(texts)) for id in waiting]


def result(call_id, text):
    return ToolResult(id=new_id("fco"), call_id=call_id, content=(Text(text=text),))


async def seen(context, history, new, *, stored=True):
    """What the model is shown, without the agent's own instructions."""
    agent = AgentSpec(name="a", model="m", instructions="You help.", memory="context", context=context)
    turn = Turn(id="resp_1", agent=agent, input=new, stored=stored)
    provider = ScriptedProvider(*[[say("In short.")]] * 3)
    async with BundledEmbedder() as embedder:
        view, made = await Bounded(provider, embedder).view(turn, history)
    assert view[0].text == "You help."
    assert len(made) in (0, 2)
    return view[1:]


def unanswered(items):
    """The calls without a result after them, and results without a call before them."""
    open_calls = Counter()
    for item in items:
        if isinstance(item, ToolCall):
            open_calls[item.call_id] += 1
        elif isinstance(item, ToolResult):
            open_calls[item.call_id] -= 1
    return {id: count for id, count in open_calls.items() if count}


@settings(max_examples=300, deadline=None)
@given(contexts, histories(), st.lists(texts, min_size=1, max_size=2), histories(("think", "call", "result"), 8))
def test_what_is_shown_is_whole_and_within_the_budget(context, before, asked, after):
    new = [message("user", text) for text in asked]
    history = [*before, *new, *after]
    view = anyio.run(lambda: seen(context, history, new))
    shown = [item for item in view if not (isinstance(item, Message) and item.text.startswith(SUMMARY))]
    places = [next(n for n, item in enumerate(history) if item is one) for one in shown]
    assert places == sorted(set(places)), "each once, in the order of the conversation"
    assert unanswered(shown) == {}
    assert all(any(one is item for one in shown) for item in new)
    assert all(any(one is item for one in shown) for item in history if is_instruction(item))
    size = sum(tokens(item) for item in view if not is_instruction(item))
    if size > context.budget_tokens:
        answering = [item for item in shown if not is_instruction(item)]
        assert answering[: len(new)] == new, "nothing older is shown"
        assert len(exchanges(answering)) == len(new)
        assert not steps(answering), "of what was called for only the newest is shown"


@settings(max_examples=200, deadline=None)
@given(contexts, histories(), histories(("think", "call", "result"), 8))
def test_a_call_that_is_answered_by_the_new_input_is_shown_with_it(context, before, after):
    calls = [ToolCall(id=new_id("fc"), call_id=id, name="look", arguments="{}") for id in ("x", "y")]
    new = [result("y", "seen"), result("x", "seen")]
    history = [*before, message("user", "Look."), *calls, *new, *after]
    view = anyio.run(lambda: seen(context, history, new))
    assert [item for item in view if item in calls or item in new] == [*calls, *new]
    assert unanswered(view) == {}


class Counting(BundledEmbedder):
    """The real one, and what it was asked."""

    def __init__(self):
        super().__init__()
        self.texts = []

    async def embed(self, call):
        self.texts += call.texts
        return await super().embed(call)


def test_a_text_is_made_a_vector_of_once():
    agent = AgentSpec(name="a", model="m", context=Context(last=1, top_k=1))
    said = [message("user", "bread"), message("assistant", "Paris"), message("user", "cars")]
    first, second = message("user", "And?"), message("user", "So?")

    async def twice():
        async with Counting() as embedder:
            memory = Bounded(ScriptedProvider(), embedder)
            await memory.view(Turn(id="resp_1", agent=agent, input=[first]), [*said, first])
            await memory.view(Turn(id="resp_2", agent=agent, input=[second]), [*said, first, second])
            return embedder.texts

    assert Counter(anyio.run(twice)) == Counter(["bread", "Paris", "cars", "And?", "So?"])


@settings(max_examples=100, deadline=None)
@given(contexts, histories(), histories())
def test_who_sends_everything_as_input_is_shown_the_same(context, before, more):
    new = [message("user", "And now?")]
    history = [*before, message("user", "First."), *more, message("assistant", "Yes."), *new]
    kept = anyio.run(lambda: seen(context, history, new))
    sent = anyio.run(lambda: seen(context, history, history, stored=False))
    assert [item.kind for item in kept] == [item.kind for item in sent]
    assert [item for item in kept if item in history] == [item for item in sent if item in history]


@settings(max_examples=200, deadline=None)
@given(histories(), histories())
def test_a_summary_made_once_stands_for_the_same_the_next_time(before, more):
    """And what it stands for is nothing that is shown."""
    context = Context(budget_tokens=60, last=1, summary_at=0.75)
    history = [*before, *more]
    new = [message("user", "And now?")]
    agent = AgentSpec(name="a", model="m", context=context)

    async def twice():
        async with BundledEmbedder() as embedder:
            made = (
                await Bounded(ScriptedProvider([say("In short.")]), embedder).view(
                    Turn(id="resp_1", agent=agent, input=new), [*history, *new]
                )
            )[1]
            summaries = [event.item for event in made[:1]]
            view, again = await Bounded(ScriptedProvider(), embedder).view(
                Turn(id="resp_2", agent=agent, input=new), [*history, *new, *summaries]
            )
        return summaries, view, again

    summaries, view, again = anyio.run(twice)
    assert again == ()
    assert not any(isinstance(item, Summary) for item in view)
    if summaries:
        assert any(isinstance(item, Message) and item.text == SUMMARY + "In short." for item in view)
