"""The time left of a run: the closed form where there is one, and bounds where there is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.execution.estimate import Left, Underway, share_done, time_left

#: A graph of stages, each needing some of those before it, with whole seconds.
graphs = st.lists(
    st.tuples(st.integers(1, 50), st.sets(st.integers(0, 7), max_size=3)), min_size=1, max_size=8
).map(
    lambda rows: (
        {str(n): [str(k) for k in sorted(before) if k < n] for n, (_, before) in enumerate(rows)},
        {str(n): float(seconds) for n, (seconds, _) in enumerate(rows)},
    )
)


def longest_chain(needs, seconds):
    ends = {}
    for name in needs:
        ends[name] = seconds[name] + max((ends[n] for n in needs[name]), default=0.0)
    return max(ends.values())


@given(graphs)
def test_with_a_slot_for_each_it_is_the_longest_chain(graph):
    needs, seconds = graph
    assert time_left(list(needs), needs, seconds, 99) == Left(longest_chain(needs, seconds), 0)


@given(graphs)
def test_with_one_slot_it_is_the_sum(graph):
    needs, seconds = graph
    assert time_left(list(needs), needs, seconds, 1) == Left(sum(seconds.values()), 0)


@given(graphs, st.integers(1, 4))
def test_with_k_slots_it_keeps_grahams_bounds(graph, slots):
    """Any schedule that leaves no slot idle takes at most sum/k + (1 - 1/k) · longest chain."""
    needs, seconds = graph
    left = time_left(list(needs), needs, seconds, slots).seconds
    chain, total = longest_chain(needs, seconds), sum(seconds.values())
    assert max(chain, total / slots) <= left + 1e-9
    assert left <= total / slots + (1 - 1 / slots) * chain + 1e-9


def test_what_has_ended_is_not_counted_and_what_runs_in_part():
    needs = {"a": [], "b": ["a"], "c": ["a"]}
    former = {"a": 10.0, "b": 20.0, "c": 30.0}
    underway = {"b": Underway(5.0)}
    assert time_left(["a", "b", "c"], needs, former, 2, ["a"], underway) == Left(30.0, 0)
    assert time_left(["a", "b", "c"], needs, former, 1, ["a"], underway) == Left(15.0 + 30.0, 0)


def test_the_share_that_is_done_says_more_than_a_former_run():
    underway = {"a": Underway(30.0, share=0.25)}
    assert time_left(["a"], {}, {"a": 40.0}, 1, (), underway) == Left(90.0, 0)
    assert time_left(["a"], {}, {}, 1, (), underway) == Left(90.0, 0)


@pytest.mark.parametrize("underway", [{}, {"a": Underway(3.0)}, {"a": Underway(3.0, share=0.01)}])
def test_what_never_ran_is_not_invented(underway):
    assert str(time_left(["a", "b"], {}, {}, 2, (), underway)) == "not known yet"


def test_a_stage_that_takes_longer_than_before_makes_it_a_lower_bound():
    underway = {"a": Underway(12.0)}
    left = time_left(["a", "b"], {"b": ["a"]}, {"a": 10.0, "b": 7.0}, 1, (), underway)
    assert left == Left(7.0, 1)
    assert str(left).startswith("at least 7 s")


def test_what_waits_for_a_failed_stage_is_left_out():
    needs = {"a": [], "b": ["a"], "c": ["b"], "d": []}
    former = dict.fromkeys("abcd", 5.0)
    assert time_left(["d", "c", "b", "a"], needs, former, 1, (), {}, ["a"]) == Left(5.0, 0)


def test_a_stage_elsewhere_takes_no_slot():
    former = {"a": 5.0, "b": 5.0, "c": 5.0}
    assert time_left(["a", "b", "c"], {}, former, 1, away=["b", "c"]) == Left(5.0, 0)


def test_what_never_ran_says_which_share_of_the_models_passes_is_done():
    passes = {"a": 100, "b": 300, "c": 0}
    assert share_done(passes, [], {}) == 0.0
    assert share_done(passes, ["a", "c"], {"b": Underway(3.0)}) == 0.25
    assert share_done(passes, ["a"], {"b": Underway(3.0, share=0.5)}) == 0.625
    assert share_done(passes, passes, {}) == 1.0
    assert share_done({"c": 0}, ["c"], {}) is None
    assert str(Left(0.0, 2, share=0.25)).startswith("not known yet; 25%")
