"""Agreement of seeds is scipy's, pair by pair; what was planted is found."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from saliency_audit.errors import DataError, ParameterError
from saliency_audit.faithfulness.repeatability import repeatability
from saliency_audit.measures.status import Status
from saliency_audit.measures.top_fraction import top_fraction

STACKS = hnp.arrays(
    np.float64, st.tuples(st.integers(2, 5), st.just(4), st.just(5)), elements=st.floats(0, 9)
).filter(lambda stack: all(len(np.unique(m)) > 1 for m in stack))
FRACTIONS = st.sampled_from([0.05, 0.3, 1.0])


@given(STACKS, FRACTIONS)
def test_it_is_the_mean_over_pairs(stack, fraction):
    found = repeatability(list(stack), fraction)
    pairs = list(combinations(stack, 2))
    correlations = [stats.spearmanr(a.ravel(), b.ravel()).statistic for a, b in pairs]
    overlaps = []
    for pair in pairs:
        one, other = (set(np.flatnonzero(top_fraction(m, fraction))) for m in pair)
        overlaps.append(len(one & other) / len(one | other))
    assert found.spearman == pytest.approx(np.mean(correlations), abs=1e-12)
    assert found.iou == pytest.approx(np.mean(overlaps), abs=1e-12)
    np.testing.assert_allclose(found.standard_error, stats.sem(stack, axis=0), atol=1e-12)
    assert (found.maps, found.status) == (len(stack), Status.OK)


@given(STACKS, FRACTIONS)
def test_the_order_of_seeds_does_not_matter_and_equal_maps_agree_wholly(stack, fraction):
    one, other = (repeatability(list(m), fraction) for m in (stack, stack[::-1]))
    assert one.spearman == pytest.approx(other.spearman, abs=1e-12)
    assert one.iou == pytest.approx(other.iou, abs=1e-12)
    same = repeatability([stack[0]] * 3, fraction)
    assert (same.spearman, same.iou) == (1, 1)
    np.testing.assert_allclose(same.standard_error, 0, atol=1e-14)


def test_noise_lowers_agreement_and_the_standard_error_is_that_of_the_noise():
    """Planted: a smooth map and noise of a known size, at three sizes."""
    rows, columns = np.indices((40, 40))
    smooth = np.exp(-((rows - 15) ** 2 + (columns - 22) ** 2) / 80)
    random = np.random.default_rng(0)
    noises = (0.01, 0.1, 1.0)
    found = [
        repeatability([smooth + noise * random.normal(size=(40, 40)) for _ in range(16)], 0.05)
        for noise in noises
    ]
    assert found[0].spearman > found[1].spearman > found[2].spearman
    assert found[0].iou > found[1].iou > found[2].iou
    for noise, each in zip(noises, found, strict=True):
        # The mean over 1,600 pixels of s²/n has the noise's variance over n, within 5 %.
        assert (each.standard_error**2).mean() == pytest.approx(noise**2 / 16, rel=0.05)


def test_a_map_that_ranks_no_pixels_leaves_no_agreement():
    ranked = np.arange(6.0).reshape(2, 3)
    found = repeatability([ranked, np.zeros((2, 3))], 0.5)
    assert (found.spearman, found.iou, found.status) == (None, None, Status.ZERO_MAP)
    np.testing.assert_allclose(found.standard_error, ranked / 2)
    found = repeatability([ranked, np.full((2, 3), np.nan)], 0.5)
    assert (found.standard_error, found.status) == (None, Status.NAN_MAP)
    assert repeatability([np.ones((2, 3)), ranked], 0.5).status is Status.CONSTANT_MAP


def test_wrong_input_is_refused():
    with pytest.raises(DataError, match="two seeds"):
        repeatability([np.eye(3)], 0.5)
    with pytest.raises(DataError, match="one size"):
        repeatability([np.eye(3), np.eye(4)], 0.5)
    with pytest.raises(ParameterError, match="kept_fraction"):
        repeatability([np.eye(3), np.eye(3)], 0)
