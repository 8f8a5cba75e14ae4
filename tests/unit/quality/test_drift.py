"""Drift against scipy on the raw samples, closed forms, planted shifts and the rate of alarms."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from saliency_audit.errors import DataError, ParameterError
from saliency_audit.quality.drift import (
    MOST_KEPT,
    Counts,
    DriftParameters,
    Sketch,
    Status,
    compare,
    count,
    distance,
    effective_groups,
    holm,
    sample_of,
    sketch,
    stability_index,
)

NUMBERS = st.lists(st.integers(-40, 40).map(lambda n: n / 4), min_size=1, max_size=60)


def alone(n):
    """Give rows a group each."""
    return [str(number) for number in range(n)]


def sketched(values):
    return sketch(values, alone(len(values)))


def only(reference, now, **settings):
    """Compare one statistic."""
    (found,) = compare({"one": reference}, {"one": now}, DriftParameters(**settings))
    return found


@given(NUMBERS, NUMBERS)
def test_small_samples_have_the_distance_of_scipy_ties_included(first, second):
    expected = stats.ks_2samp(first, second, method="asymp").statistic
    assert distance(sketched(first), sketched(second)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("shift", [0.0, 0.2, 1.0])
def test_p_is_that_of_scipy_where_each_row_is_a_group(shift):
    rng = np.random.default_rng(0)
    first, second = rng.normal(0, 1, 200), rng.normal(shift, 1, 130)
    expected = stats.ks_2samp(first, second, method="asymp")
    found = only(sketched(first), sketched(second))
    assert found.effect == pytest.approx(expected.statistic, abs=1e-12)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-9)
    assert (found.n_reference, found.n, found.test) == (200, 130, "ks")


@given(st.integers(0, 2**32 - 1), st.integers(258, 3000), st.integers(1, 3000), st.booleans())
def test_a_sketch_never_exaggerates_and_loses_no_more_than_its_steps(seed, n, m, tied):
    rng = np.random.default_rng(seed)
    first, second = rng.normal(0, 1, n), rng.normal(0.3, 1.2, m)
    if tied:
        first, second = first.round(1), second.round(1)
    # What was rounded for the file is compared, so that only the gaps between ranks count.
    first, second = ([float(f"{v:.9g}") for v in values] for values in (first, second))
    true = stats.ks_2samp(first, second, method="asymp").statistic
    found = distance(sketched(first), sketched(second))
    # Between neighbouring ranks lie at most (n - 1) / 256, rounded up, numbers.
    lost = sum(np.ceil((k - 1) / (MOST_KEPT - 1)) / k for k in (n, m) if k > MOST_KEPT)
    assert true - lost - 1e-12 <= found <= true + 1e-12


def test_a_sketch_holds_evenly_spaced_order_statistics_in_any_order_of_rows():
    values = np.random.default_rng(1).permutation(1025).astype(float)
    own = sketched(values)
    assert own.kept == tuple(float(4 * step) for step in range(257))
    assert sketched(values[::-1]) == own
    assert own.quantile(0.5) == 512


def test_a_value_that_is_not_finite_is_refused():
    with pytest.raises(DataError, match="not finite"):
        sketch([1.0, np.nan], ["a", "b"])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_holm_rejects_as_its_definition_steps_down(p):
    corrected = holm(p)
    for alpha in (0.01, 0.05, 0.3):
        rejected = set()
        for step, index in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
            if p[index] * (len(p) - step) > alpha:
                break
            rejected.add(index)
        assert {i for i, value in enumerate(corrected) if value <= alpha} == rejected


def test_the_stability_index_is_its_closed_form():
    p, q = np.array([0.2, 0.3, 0.5]), np.array([0.25, 0.25, 0.5])
    expected = 0.05 * np.log(0.25 / 0.2) + 0.05 * np.log(0.3 / 0.25)
    assert stability_index(100 * p, 400 * q) == pytest.approx(expected, rel=1e-12)
    # Symmetric Kullback-Leibler divergence.
    both = stats.entropy(p, q) + stats.entropy(q, p)
    assert stability_index(p, q) == pytest.approx(both, rel=1e-12)
    assert np.isfinite(stability_index([0, 10], [5, 5]))


def test_kinds_are_compared_by_the_chi_square_test_of_the_raw_counts():
    first, second = {"a": 60, "b": 30, "c": 10}, {"a": 40, "b": 45, "c": 15}
    found = only(Counts(100, 100, first), Counts(100, 100, second))
    table = [list(first.values()), list(second.values())]
    assert found.p == pytest.approx(stats.chi2_contingency(table, correction=False).pvalue)
    assert found.effect == pytest.approx(stability_index(*table))


def test_rare_kinds_count_together():
    common = {"a": 500, "b": 480}
    before = Counts(1000, 1000, {**common, "r": 12, "s": 8})
    after = Counts(1000, 1000, {**common, "t": 9, "u": 11})
    # s is expected 4 times, too seldom, and t is the next rarest: together 8.5 times.
    table = [[500, 480, 12, 8, 0], [500, 480, 0, 9, 11]]
    found = only(before, after)
    assert found.p == pytest.approx(stats.chi2_contingency(table, correction=False).pvalue)
    assert found.effect == pytest.approx(stability_index(*table))
    before = Counts(1000, 1000, {**common, "r": 17, "s": 3})
    after = Counts(1000, 1000, {**common, "r": 17, "t": 3})
    assert only(before, after).p == pytest.approx(1)


def test_one_kind_alone_does_not_drift():
    found = only(Counts(50, 50, {"ok": 50}), Counts(70, 70, {"ok": 70}))
    assert (found.p, found.effect, found.drifted) == (1.0, 0.0, False)


def test_groups_that_repeat_a_row_add_nothing():
    rng = np.random.default_rng(2)
    first, second = rng.normal(0, 1, 40), rng.normal(0.8, 1, 50)
    groups = [alone(40), alone(50)]
    once = only(sketch(first, groups[0]), sketch(second, groups[1]))
    often = only(
        sketch(np.repeat(first, 7), np.repeat(groups[0], 7)),
        sketch(np.repeat(second, 7), np.repeat(groups[1], 7)),
    )
    # A sketch of more rows than it keeps may be a little less far apart, never farther.
    assert once.effect - 0.01 <= often.effect <= once.effect
    assert often.p >= once.p
    kinds = [np.where(values > 0, "high", "low") for values in (first, second)]
    once = only(count(kinds[0], groups[0]), count(kinds[1], groups[1]))
    often = only(
        *(count(np.repeat(k, 7), np.repeat(g, 7)) for k, g in zip(kinds, groups, strict=True))
    )
    assert often.p == pytest.approx(once.p)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=30))
def test_effective_groups_lie_between_one_and_their_number(sizes):
    groups = [str(n) for n, size in enumerate(sizes) for _ in range(size)]
    found = effective_groups(groups)
    assert 1 <= found <= len(sizes) + 1e-9
    assert found == pytest.approx(sum(sizes) ** 2 / sum(size**2 for size in sizes), rel=1e-8)


def profile(seed, shift=0.0, weights=(0.5, 0.3, 0.2)):
    """Give six statistics of 120 patients of one to four rows that are alike within each."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(120), rng.choice([1, 1, 2, 4], 120))
    found = {
        f"numbers/{n}": sketch(rng.normal(shift, 1, 120)[groups], groups.astype(str))
        for n in range(4)
    }
    for n in range(2):
        kinds = rng.choice(["a", "b", "c"], 120, p=weights)[groups]
        found[f"kinds/{n}"] = count(kinds, groups.astype(str))
    return found


def test_alarms_are_no_more_frequent_than_alpha_over_200_clean_pairs():
    alarms = 0
    for pair in range(200):
        found = compare(profile(2 * pair), profile(2 * pair + 1), DriftParameters(alpha=0.05))
        alarms += any(own.drifted for own in found)
    # 18 or more would have a chance of 1 in 100 at a rate of 0.05.
    assert alarms <= stats.binom.ppf(0.99, 200, 0.05)


def test_rows_taken_for_groups_would_raise_alarms():
    """The correction for groups is what keeps the alarms rare above."""

    def loose(own):
        return {
            name: Sketch(s.n, s.n, s.kept) if isinstance(s, Sketch) else Counts(s.n, s.n, s.counts)
            for name, s in own.items()
        }

    pairs = [(loose(profile(2 * p)), loose(profile(2 * p + 1))) for p in range(60)]
    found = [compare(first, second, DriftParameters(alpha=0.05)) for first, second in pairs]
    assert sum(any(own.drifted for own in pair) for pair in found) > 12


@pytest.mark.parametrize("seed", range(5))
def test_planted_shifts_are_found_and_named(seed):
    moved = compare(profile(seed), profile(100 + seed, shift=1.0), DriftParameters())
    assert {own.name for own in moved if own.drifted} == {f"numbers/{n}" for n in range(4)}
    weights = (0.15, 0.25, 0.6)
    mixed = compare(profile(seed), profile(100 + seed, weights=weights), DriftParameters())
    assert {own.name for own in mixed if own.drifted} == {"kinds/0", "kinds/1"}


def test_what_is_significant_but_small_has_not_drifted():
    rng = np.random.default_rng(3)
    first, second = rng.normal(0, 1, 20000), rng.normal(0.1, 1, 20000)
    found = only(sketched(first), sketched(second))
    assert found.corrected < 1e-6
    assert found.effect < 0.1
    assert not found.drifted
    assert only(sketched(first), sketched(second), distance=0.02).drifted


def test_what_cannot_be_compared_is_said_and_corrects_nothing():
    few, some = sketched(np.arange(5.0)), sketched(np.arange(30.0))
    kinds = count(["x"] * 30, alone(30))
    before = {"same": some, "few": few, "gone": some, "kind": some}
    now = {"same": some, "few": some, "kind": kinds, "new": some}
    found = {own.name: own for own in compare(before, now, DriftParameters())}
    assert {name: own.status for name, own in found.items()} == {
        "same": Status.OK,
        "few": Status.TOO_FEW,
        "gone": Status.GONE,
        "kind": Status.NEW,
        "new": Status.NEW,
    }
    assert found["same"].corrected == found["same"].p == 1
    assert found["few"].p is None
    assert (found["gone"].n_reference, found["gone"].n) == (30, 0)
    assert not any(own.drifted for own in found.values())


@given(NUMBERS)
def test_a_sketch_survives_its_file(values):
    own = sketched(values)
    assert sample_of(json.loads(json.dumps(own.to_json()))) == own


@pytest.mark.parametrize(
    "raw",
    [
        {},
        [],
        {"n": 2, "groups": 2, "kept": [1]},
        {"n": 2, "groups": 2, "kept": [2, 1]},
        {"n": 2, "groups": 3, "kept": [1, 2]},
        {"n": 2, "groups": 2, "counts": {"a": 1}},
        {"n": "two", "groups": 2, "kept": [1, 2]},
    ],
)
def test_what_is_no_sketch_is_refused(raw):
    with pytest.raises(DataError):
        sample_of(raw)


@pytest.mark.parametrize(
    "wrong", [{"alpha": 0}, {"alpha": 1}, {"distance": 1.1}, {"psi": -1}, {"groups": 1}]
)
def test_parameters_out_of_range_are_refused(wrong):
    with pytest.raises(ParameterError, match=next(iter(wrong))):
        DriftParameters(**wrong)
