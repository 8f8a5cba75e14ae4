"""Decision thresholds against all thresholds there are, and the rules of prediction."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from saliency_audit.errors import DataError, ParameterError
from saliency_audit.labelling import Labelling
from saliency_audit.models.thresholds import decide, fit_threshold, fit_thresholds, midpoints


def brute_force(values, target):
    """The best F1 as a fraction, and every midpoint that reaches it."""
    distinct = sorted(set(values.tolist()))
    candidates = [(a + b) / 2 for a, b in pairwise(distinct)]
    scores = {}
    for tau in candidates:
        hit = sum(bool(t) and v > tau for v, t in zip(values, target, strict=True))
        predicted = int((values > tau).sum())
        scores[tau] = Fraction(2 * hit, predicted + int(target.sum()))
    best = max(scores.values())
    return best, [tau for tau, score in scores.items() if score == best]


@given(st.data())
def test_the_threshold_is_the_largest_of_the_best(data):
    count = data.draw(st.integers(12, 40))
    # Few distinct values, exact in binary: ties of values and of F1 are common.
    values = data.draw(hnp.arrays(np.int64, count, elements=st.integers(0, 12))) / 16
    target = data.draw(hnp.arrays(bool, count))
    groups = [str(number) for number in range(count)]
    found = fit_threshold(values, target, groups, 0.3)
    positives = int(target.sum())
    if positives >= 10 and len(set(values)) > 1:
        best, where = brute_force(values, target)
        if float(best) - float(Fraction(2 * positives, count + positives)) >= 0.02:
            assert found.status == "ok"
            assert found.value == max(where)
            assert found.f1 == pytest.approx(float(best), abs=1e-15)
            return
    assert found.status == "threshold_fallback"
    shares = [(values > tau).mean() for tau in np.linspace(0, 1, 2001)]
    nearest = min(abs(share - 0.3) for share in shares)
    assert abs(found.predicted_share - 0.3) == pytest.approx(nearest, abs=1e-12)


def test_few_positive_groups_fall_back_though_images_are_many():
    values = np.arange(40) / 40
    target = values >= 0.5
    nine = [f"g{number % 9}" if positive else "n" for number, positive in enumerate(target)]
    ten = [f"g{number % 10}" if positive else "n" for number, positive in enumerate(target)]
    assert fit_threshold(values, target, nine, 0.25).status == "threshold_fallback"
    assert fit_threshold(values, target, nine, 0.25).predicted_share == 0.25
    assert fit_threshold(values, target, ten, 0.25).status == "ok"
    assert fit_threshold(values, target, ten, 0.25).f1 == 1


def test_an_uninformative_score_falls_back_to_the_prevalence():
    rng = np.random.default_rng(0)
    values, target = rng.random(4000), rng.random(4000) < 0.3
    found = fit_threshold(values, target, [str(i) for i in range(4000)], 0.3)
    assert found.status == "threshold_fallback"
    assert found.predicted_share == pytest.approx(0.3, abs=1 / 4000)


def test_equally_near_shares_give_the_larger_threshold():
    values = np.array([0.25, 0.75])
    # Nothing and one half predicted are as near to a quarter.
    found = fit_threshold(values, np.array([False, True]), ["a", "b"], 0.25)
    assert found.value == 0.875 and found.predicted_share == 0


@pytest.mark.parametrize("prevalence", [0.0, 0.5, 1.0])
def test_one_distinct_probability_has_a_threshold_beside_it(prevalence):
    found = fit_threshold(
        np.full(20, 0.5), np.arange(20) < 15, list(map(str, range(20))), prevalence
    )
    assert found.status == "threshold_fallback"
    assert found.value in (0.25, 0.75)
    assert 0 <= found.value <= 1


def test_a_label_without_a_positive_has_no_f1():
    found = fit_threshold(np.arange(12) / 12, np.zeros(12, bool), list("abcdefghijkl"), 0.25)
    assert found.f1 is None and found.status == "threshold_fallback"
    assert found.predicted_share == 0.25


@given(hnp.arrays(np.float64, st.integers(2, 8), elements=st.floats(0, 1), unique=True))
def test_a_midpoint_parts_its_two_neighbours(values):
    distinct = np.sort(values)
    middle = midpoints(distinct)
    assert (distinct[:-1] <= middle).all() and (middle < distinct[1:]).all()


def test_neighbouring_floats_are_parted():
    low = 0.1
    high = np.nextafter(low, 1)
    assert low <= midpoints(np.array([low, high]))[0] < high


def test_labels_are_fitted_each_on_its_own():
    rng = np.random.default_rng(1)
    values, target = rng.random((60, 3)), rng.random((60, 3)) < 0.5
    groups = [str(i) for i in range(60)]
    every = fit_thresholds(values, target, groups, [0.1, 0.2, 0.3])
    for j in range(3):
        assert every[j] == fit_threshold(values[:, j], target[:, j], groups, [0.1, 0.2, 0.3][j])


def test_multiclass_takes_the_highest_and_the_lower_of_equals():
    values = np.array([[0.2, 0.5, 0.3], [0.4, 0.2, 0.4]])
    expected = [[False, True, False], [True, False, False]]
    assert decide(values, Labelling.MULTICLASS, "argmax").tolist() == expected


def test_thresholds_are_passed_strictly():
    values = np.array([[0.5, 0.6], [0.6, 0.5]])
    expected = [[False, True], [True, False]]
    for labelling, rule in [(Labelling.MULTILABEL, "argmax"), (Labelling.MULTICLASS, "thresholds")]:
        assert decide(values, labelling, rule, [0.5, 0.5]).tolist() == expected


@given(hnp.arrays(np.float64, (5, 2), elements=st.floats(0, 1)), st.floats(0, 1))
def test_binary_predicts_exactly_one_label(values, tau):
    for rule in ("argmax", "thresholds"):
        predicted = decide(values, Labelling.BINARY, rule, [0.5, tau])
        assert (predicted.sum(axis=1) == 1).all()
    assert (predicted[:, 1] == (values[:, 1] > tau)).all()


def test_a_binary_tie_is_negative():
    assert decide(np.array([[0.5, 0.5]]), Labelling.BINARY, "argmax").tolist() == [[True, False]]


def test_bad_arrays_are_refused():
    good, target = np.full((12, 2), 0.5), np.zeros((12, 2), bool)
    groups = list("abcdefghijkl")
    with pytest.raises(DataError, match="image 3"):
        bad = good.copy()
        bad[3, 1] = np.nan
        fit_thresholds(bad, target, groups, [0.5, 0.5])
    with pytest.raises(DataError, match="image 0"):
        decide(np.array([[1.5, 0.0]]), Labelling.MULTILABEL, "argmax", [0.5, 0.5])
    with pytest.raises(DataError, match="11 groups for 12 images"):
        fit_thresholds(good, target, groups[1:], [0.5, 0.5])
    with pytest.raises(DataError, match="1 prevalences"):
        fit_thresholds(good, target, groups, [0.5])
    with pytest.raises(DataError, match="shape"):
        fit_thresholds(good, target[:, :1], groups, [0.5, 0.5])
    with pytest.raises(DataError, match="shape"):
        decide(good[0], Labelling.MULTILABEL, "argmax", [0.5, 0.5])
    with pytest.raises(ParameterError, match="none given for 2 labels"):
        decide(good, Labelling.MULTILABEL, "argmax")
