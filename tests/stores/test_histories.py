"""The cache of histories, where an order of events cannot be forced through a store."""

from gateway.stores._histories import Histories
from tests.stores.turns import said


def test_a_read_that_a_commit_overtook_is_not_kept() -> None:
    for overtake in (
        lambda h: h.added("t", [said("b")], 1),
        lambda h: h.forget("t"),
        lambda h: h.clear(),
        lambda h: h.reading("t"),
    ):
        histories = Histories()
        token = histories.reading("t")
        overtake(histories)
        histories.read("t", token, [said("a")], 1)
        assert histories.get("t") is None
    token = histories.reading("t")
    histories.read("t", token, [said("a")], 1)
    assert len(histories.get("t") or []) == 1


def test_the_longest_unused_turns_go_first() -> None:
    histories = Histories(max_turns=2)
    for id in ("a", "b"):
        histories.begun(id, None, [said(id)], 1)
    histories.get("a")
    histories.begun("c", None, [said("c")], 1)
    assert [histories.get(id) is None for id in ("a", "b", "c")] == [False, True, False]


def test_size_counts_a_branch_once_and_a_fork_again() -> None:
    histories = Histories(max_bytes=100)
    histories.begun("a", None, [said("a")], 40)
    histories.begun("b", "a", [said("b")], 40)
    assert histories.get("a") and histories.get("b")
    histories.added("b", [said("c")], 10)
    histories.begun("fork", "a", [said("d")], 5)
    assert histories.get("b") is None
    assert len(histories.get("fork") or []) == 2


def test_a_turn_larger_than_the_cache_is_not_kept_and_harms_nothing() -> None:
    histories = Histories(max_bytes=100)
    histories.begun("large", None, [said("a")], 1000)
    assert histories.get("large") is None
    histories.begun("small", None, [said("a")], 60)
    histories.added("small", [said("b")], 60)
    assert histories.get("small") is None
    histories.begun("next", None, [said("a")], 90)
    assert histories.get("next")
