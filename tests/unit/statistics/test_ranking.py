"""AUROC, average precision and risk-coverage against scikit-learn, pairs and permutations."""

from __future__ import annotations

from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata
from sklearn.metrics import average_precision_score, roc_auc_score

from saliency_audit.errors import DataError
from saliency_audit.statistics.ranking import auroc, average_precision, mid_ranks, risk_coverage

SETTINGS = settings(max_examples=80, deadline=None, derandomize=True)


@st.composite
def columns(draw, longest=40):
    rows = draw(st.integers(1, longest))
    levels = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9]) | st.floats(-5, 5)
    scores = draw(st.lists(levels, min_size=rows, max_size=rows))
    flags = draw(st.lists(st.booleans(), min_size=rows, max_size=rows))
    return np.array(scores), np.array(flags)


@SETTINGS
@given(columns())
def test_auroc_is_the_share_of_ordered_pairs(pair):
    scores, positive = pair
    if positive.all() or not positive.any():
        assert auroc(scores, positive) is None
        return
    difference = scores[positive][:, np.newaxis] - scores[~positive]
    expected = ((difference > 0) + 0.5 * (difference == 0)).mean()
    assert auroc(scores, positive) == pytest.approx(expected, abs=1e-12)
    assert auroc(scores, positive) == pytest.approx(roc_auc_score(positive, scores), abs=1e-12)
    assert auroc(-scores, positive) == pytest.approx(1 - expected, abs=1e-12)


@SETTINGS
@given(columns())
def test_average_precision_is_scikit_learns(pair):
    scores, positive = pair
    if not positive.any():
        assert average_precision(scores, positive) is None
        return
    expected = average_precision_score(positive, scores)
    assert average_precision(scores, positive) == pytest.approx(expected, abs=1e-12)
    assert average_precision(scores, positive) <= 1


@SETTINGS
@given(columns())
def test_mid_ranks_are_scipys(pair):
    assert (mid_ranks(pair[0]) == rankdata(pair[0])).all()


@settings(max_examples=30, deadline=None, derandomize=True)
@given(columns(longest=6))
def test_risk_is_the_mean_over_every_order_of_ties(pair):
    scores, correct = pair
    curves = []
    for order in permutations(range(len(scores))):
        if all(scores[a] >= scores[b] for a, b in pairwise(order)):
            wrong = ~correct[list(order)]
            curves.append(np.cumsum(wrong) / np.arange(1, len(scores) + 1))
    curve = risk_coverage(scores, correct)
    assert curve.risk == pytest.approx(np.mean(curves, axis=0), abs=1e-12)
    assert curve.aurc == pytest.approx(np.mean(curves), abs=1e-12)
    assert curve.coverage == pytest.approx(np.arange(1, len(scores) + 1) / len(scores))


def test_risk_is_the_mean_over_random_orders_of_ties():
    generator = np.random.default_rng(0)
    scores, correct = generator.integers(0, 5, 60) / 4, generator.random(60) < 0.7
    curves = []
    for _ in range(4000):
        order = np.lexsort((generator.random(60), -scores))
        curves.append(np.cumsum(~correct[order]) / np.arange(1, 61))
    # A risk in [0, 1] over 4,000 orders has a standard error of at most 0.008.
    assert risk_coverage(scores, correct).risk == pytest.approx(np.mean(curves, axis=0), abs=0.04)
    assert risk_coverage(scores, correct).aurc == pytest.approx(np.mean(curves), abs=0.002)


def test_closed_forms_of_risk_and_coverage():
    correct = np.array([True, True, False, False])
    best = risk_coverage(np.array([4.0, 3.0, 2.0, 1.0]), correct)
    assert best.risk.tolist() == [0, 0, 1 / 3, 1 / 2]
    blind = risk_coverage(np.zeros(4), correct)
    assert blind.risk.tolist() == [0.5] * 4
    assert risk_coverage(np.zeros(0), np.zeros(0, np.bool_)) is None


def test_risk_stays_a_share_of_many_thirds():
    curve = risk_coverage(np.zeros(3000), np.arange(3000) < 0)
    assert curve.risk.max() == 1


@pytest.mark.parametrize("measure", [auroc, average_precision, risk_coverage])
def test_bad_columns_are_named(measure):
    yes = np.array([True, False])
    with pytest.raises(DataError, match="scores is NaN or infinite in 1 rows, the first row 1"):
        measure(np.array([0.5, np.nan]), yes)
    with pytest.raises(DataError, match="a value per row"):
        measure(np.array([0.5, 0.2, 0.1]), yes)
    with pytest.raises(DataError, match="booleans"):
        measure(np.array([0.5, 0.2]), np.array([1, 0]))
