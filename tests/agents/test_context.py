"""The `context` of an agent document: what it may say, and what is said of it where it may not."""

from pathlib import Path

import pytest

from gateway.agents.load import load_agent
from gateway.agents.positions import DocumentError
from gateway.agents.spec import Context
from gateway.memory import STRATEGIES


def load(folder: Path, context: str):
    file = folder / "agent.yaml"
    file.write_text(f"model: m\n{context}\n")
    return load_agent(file, {}, memories=STRATEGIES)


def test_the_full_form(tmp_path: Path) -> None:
    agent = load(
        tmp_path,
        "context:\n  budget_tokens: 24000\n  keep: [{last: 12}, {semantic: {top_k: 6}}, {summary: {at: 0.75}}]",
    )
    assert agent.memory == "context"
    assert agent.context == Context(budget_tokens=24000, last=12, top_k=6, summary_at=0.75)


@pytest.mark.parametrize(
    ("context", "meant"),
    [
        ("{}", Context()),
        ("{budget_tokens: 100}", Context(budget_tokens=100)),
        ("{keep: [{last: 1}]}", Context(last=1)),
        ("{keep: [{semantic: {}}, {last: 2}]}", Context(last=2, top_k=6)),
        ("{budget_tokens: 9, keep: [{summary: {}}]}", Context(budget_tokens=9, summary_at=0.75)),
    ],
)
def test_parts_of_it(tmp_path: Path, context: str, meant: Context) -> None:
    assert load(tmp_path, f"context: {context}").context == meant


def test_who_has_none_sees_everything(tmp_path: Path) -> None:
    agent = load(tmp_path, "")
    assert (agent.memory, agent.context) == ("everything", Context())


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("context: 5", "2:10: `context`: input should be a valid dictionary or instance of ContextTable"),
        ("context: {budget: 5}", "2:11: unknown key `budget`: did you mean `budget_tokens`?"),
        (
            "context: {budget_tokens: '5'}",
            "2:26: `context.budget_tokens`: input should be a valid integer",
        ),
        (
            "context: {budget_tokens: 0}",
            "2:26: `context.budget_tokens`: input should be greater than or equal to 1",
        ),
        (
            "context: {keep: [{last: 0}]}",
            "2:25: `context.keep.0.last`: input should be greater than or equal to 1",
        ),
        ("context: {keep: [{lst: 3}]}", "2:19: unknown key `lst`: did you mean `last`?"),
        (
            "context: {keep: [{last: 3}, {semantic: {k: 3}}]}",
            "2:41: unknown key `k`: the keys here are top_k",
        ),
        (
            "context: {keep: [{last: 3, semantic: {}}]}",
            "2:18: `context.keep.0`: an entry is one of `last`, `semantic` and `summary`",
        ),
        ("context: {keep: [{}]}", "2:18: `context.keep.0`: an entry is one of `last`, `semantic` and `summary`"),
        ("context: {keep: [{last: 3}, {last: 4}]}", "2:17: `context.keep`: `last` is listed twice"),
        (
            "context: {keep: [{semantic: {}}]}",
            "2:17: `context.keep`: `semantic` needs a `last`: it looks among what is older",
        ),
        (
            "context: {keep: [{summary: {}}]}",
            "2:10: `context`: `summary` needs `budget_tokens`: it is made when a part of these is used up",
        ),
        (
            "context: {budget_tokens: 9, keep: [{summary: {at: 1.5}}]}",
            "2:51: `context.keep.0.summary.at`: input should be less than or equal to 1",
        ),
        (
            "context: {}\nmemory: everything",
            "3:9: `memory`: with a `context` the strategy is `context`: leave one of the two out",
        ),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(DocumentError) as caught:
        load(tmp_path, text)
    assert [str(each).removeprefix(f"{tmp_path}/agent.yaml:") for each in caught.value.problems] == [problem]
