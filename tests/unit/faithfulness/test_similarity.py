"""Rank correlation is scipy's; structural similarity is that of its formula, window by window."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from saliency_audit.errors import DataError, ParameterError
from saliency_audit.faithfulness.similarity import rank_correlation, similarity
from saliency_audit.measures.status import Status

LEVELS = st.sampled_from([-1.0, -0.5, 0.0, 0.25, 0.5, 1.0])
PAIRS = st.tuples(st.integers(1, 7), st.integers(2, 7)).flatmap(
    lambda shape: st.tuples(
        hnp.arrays(np.float64, shape, elements=LEVELS),
        hnp.arrays(np.float64, shape, elements=LEVELS),
    )
)


@given(PAIRS)
def test_rank_correlation_is_scipys(pair):
    first, second = pair
    found = rank_correlation(first, second)
    if any(values.min() == values.max() for values in pair):
        assert found.spearman is None
        assert found.status in (Status.ZERO_MAP, Status.CONSTANT_MAP)
        return
    assert found.status is Status.OK
    expected = stats.spearmanr(first.ravel(), second.ravel()).statistic
    assert found.spearman == pytest.approx(expected, abs=1e-12)
    assert -1 <= found.spearman <= 1
    assert rank_correlation(second, first).spearman == found.spearman
    assert rank_correlation(first, first).spearman == 1
    assert rank_correlation(first, -first).spearman == -1
    assert rank_correlation(np.exp(first), second).spearman == found.spearman


def test_large_maps_stay_exact():
    values = np.random.default_rng(0).normal(size=(224, 224)).astype(np.float32)
    assert rank_correlation(values, values).spearman == 1
    assert rank_correlation(values, -values).spearman == -1


@given(PAIRS)
def test_similarity_is_of_magnitudes(pair):
    first, second = pair
    found = similarity(first, second)
    expected = rank_correlation(np.abs(first), np.abs(second))
    assert (found.spearman, found.status) == (expected.spearman, expected.status)
    assert similarity(-first, second) == found
    assert found.ssim is None


def slow_ssim(first, second, window):
    """Wang et al. 2004, Eq 13, with sample covariances, over every window that fits."""
    scaled = []
    for values in (np.abs(first), np.abs(second)):
        scaled.append((values - values.min()) / (values.max() - values.min()))
    luminance, contrast = 0.01**2, 0.03**2
    found = []
    for row in range(first.shape[0] - window + 1):
        for column in range(first.shape[1] - window + 1):
            x, y = (s[row : row + window, column : column + window].ravel() for s in scaled)
            covariance = np.cov(x, y)
            found.append(
                (2 * x.mean() * y.mean() + luminance)
                * (2 * covariance[0, 1] + contrast)
                / (x.mean() ** 2 + y.mean() ** 2 + luminance)
                / (covariance[0, 0] + covariance[1, 1] + contrast)
            )
    return np.mean(found)


@pytest.mark.parametrize("window", [3, 7])
def test_structural_similarity_is_that_of_the_formula(window):
    random = np.random.default_rng(1)
    first, second = random.normal(size=(2, 12, 9))
    found = similarity(first, 40 * second, ssim_window=window)
    assert found.ssim == pytest.approx(slow_ssim(first, second, window), abs=1e-12)
    assert similarity(first, 3 * first, ssim_window=window).ssim == pytest.approx(1, abs=1e-12)


def test_maps_that_rank_no_pixels():
    ranked = np.array([[1.0, -2.0, 3.0]])
    for other, status in (
        (np.zeros((1, 3)), Status.ZERO_MAP),
        (np.full((1, 3), 2.0), Status.CONSTANT_MAP),
        (np.array([[1.0, np.nan, 0.0]]), Status.NAN_MAP),
        (np.array([[1.0, -1.0, 1.0]]), Status.CONSTANT_MAP),  # its magnitudes
    ):
        for pair in ((ranked, other), (other, ranked)):
            found = similarity(*pair)
            assert (found.spearman, found.ssim, found.status) == (None, None, status)
    assert rank_correlation(ranked, np.array([[1.0, -1.0, 1.0]])).status is Status.OK


def test_wrong_input_is_refused():
    square = np.eye(8)
    for window in (2, 4, 1, 9, -3):
        with pytest.raises(ParameterError, match="ssim_window"):
            similarity(square, square, ssim_window=window)
    with pytest.raises(DataError, match="one size"):
        rank_correlation(square, np.eye(7))
    with pytest.raises(DataError, match="type"):
        rank_correlation(square, np.eye(8, dtype=int))
