"""Exact AUITC against its definition: as a sum of fractions, and as a fine Riemann sum."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from saliency_audit.errors import DataError
from saliency_audit.measures.area_curve import rank, whole_curve
from saliency_audit.measures.auitc import auitc, auitc_area
from saliency_audit.measures.overlap import iou
from saliency_audit.measures.top_fraction import ranking, top_fraction

SHAPES = st.tuples(st.integers(1, 8), st.integers(1, 8))
SETTINGS = settings(max_examples=80, deadline=None, derandomize=True)


@st.composite
def maps_and_masks(draw):
    shape = draw(SHAPES)
    halves = st.floats(0, 1, width=16) | st.sampled_from([0.0, 0.5, 1.0, 6e-8])
    saliency = draw(hnp.arrays(np.float16, shape, elements=halves)) + np.float16(0)
    mask = draw(hnp.arrays(np.bool_, shape))
    assume(mask.any())
    return saliency, mask


def exact_auitc(saliency, mask):
    """∫ IoU(M, {m ≥ τ}) dτ as a fraction, from one distinct value to the next."""
    levels = sorted({Fraction(float(v)) for v in saliency.ravel()} | {Fraction(0), Fraction(1)})
    total = Fraction(0)
    for low, high in itertools.pairwise(levels):
        region = saliency.astype(np.float64) >= float(high)
        shared, union = int((region & mask).sum()), int((region | mask).sum())
        total += (high - low) * Fraction(shared, union)
    return total


@SETTINGS
@given(maps_and_masks())
def test_auitc_is_the_exact_integral(pair):
    saliency, mask = pair
    assert auitc(saliency, mask) == pytest.approx(float(exact_auitc(saliency, mask)), abs=1e-12)


@SETTINGS
@given(maps_and_masks())
def test_counting_and_ranking_give_one_integral(pair):
    saliency, mask = pair
    by_ranking = whole_curve(rank(saliency), mask).threshold_integral()
    assert auitc(saliency, mask) == pytest.approx(by_ranking, abs=1e-12)


def test_auitc_is_the_limit_of_a_grid_of_thresholds():
    generator = np.random.default_rng(3)
    saliency = generator.random((8, 8)).astype(np.float16)
    mask = generator.random((8, 8)) < 0.3
    thresholds = (np.arange(100_000) + 0.5) / 100_000
    kept = saliency.astype(np.float64).reshape(1, -1) >= thresholds.reshape(-1, 1)
    inside = mask.reshape(1, -1)
    ious = (kept & inside).sum(axis=1) / (kept | inside).sum(axis=1)
    # Each of at most 64 steps is misplaced by at most half a threshold.
    assert auitc(saliency, mask) == pytest.approx(ious.mean(), abs=64 * 0.5e-5)


@SETTINGS
@given(maps_and_masks())
def test_auitc_area_is_the_mean_over_every_budget(pair):
    saliency, mask = pair
    order = ranking(saliency)
    total = Fraction(0)
    for kept in range(1, saliency.size + 1):
        region = set(order[:kept].tolist())
        truth = set(np.flatnonzero(mask).tolist())
        total += Fraction(len(region & truth), len(region | truth))
    assert auitc_area(saliency, mask) == pytest.approx(float(total / saliency.size), abs=1e-12)


def test_auitc_area_is_the_integral_over_the_kept_fraction():
    generator = np.random.default_rng(5)
    saliency, mask = generator.random((4, 5)), generator.random((4, 5)) < 0.4
    fractions = [round((i + 0.5) / 2000, 5) for i in range(2000)]
    ious = [iou(top_fraction(saliency, fraction), mask) for fraction in fractions]
    assert auitc_area(saliency, mask) == pytest.approx(np.mean(ious), abs=1e-9)


@SETTINGS
@given(maps_and_masks())
def test_auitc_area_depends_on_the_ranking_alone(pair):
    saliency, mask = pair
    wide = saliency.astype(np.float64)
    assert auitc_area(np.exp(5 * wide), mask) == auitc_area(wide, mask)
    assert auitc_area(wide, mask) == auitc_area(saliency, mask)


@SETTINGS
@given(hnp.arrays(np.bool_, SHAPES))
def test_the_mask_itself_as_a_map_has_auitc_one(mask):
    assume(mask.any())
    assert auitc(mask.astype(np.float16), mask) == 1.0


@SETTINGS
@given(maps_and_masks())
def test_both_lie_between_none_and_all(pair):
    saliency, mask = pair
    assert 0 <= auitc(saliency, mask) <= 1
    assert 0 < auitc_area(saliency, mask) <= 1


def test_closed_forms():
    mask = np.array([[True, False, False, False]])
    zero, constant = np.zeros((1, 4), np.float16), np.full((1, 4), 0.5, np.float16)
    assert auitc(zero, mask) == 0  # no pixel reaches any threshold above 0
    assert auitc(np.ones((1, 4), np.float16), mask) == 0.25  # every pixel reaches all of them
    assert auitc(constant, mask) == 0.125  # half of them
    perfect = np.array([[1.0, 0.0, 0.0, 0.0]])
    assert auitc_area(perfect, mask) == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 4) / 4)


def test_a_heavy_tailed_map_with_signal_can_score_below_noise_in_auitc_but_not_by_area():
    """Why auitc compares a map only with its own controls (docs/definitions)."""
    generator = np.random.default_rng(1)
    mask = np.zeros((32, 32), dtype=np.bool_)
    mask[8:24, 8:24] = True
    signal = np.where(mask, 0.01 + 0.01 * generator.random((32, 32)), 0)
    signal[16, 16] = 1
    noise = 0.5 + 0.5 * generator.random((32, 32))
    heavy, flat = signal.astype(np.float16), noise.astype(np.float16)
    assert auitc(heavy, mask) < auitc(flat, mask)
    assert auitc_area(heavy, mask) > auitc_area(flat, mask)


def test_an_empty_mask_has_no_auitc():
    saliency, empty = np.ones((2, 2), np.float16), np.zeros((2, 2), np.bool_)
    assert auitc(saliency, empty) is None
    assert auitc_area(saliency, empty) is None


@pytest.mark.parametrize(
    "saliency",
    [
        np.array([[0.5, 1.5]], np.float16),
        np.array([[0.5, -0.5]], np.float16),
        np.array([[0.5, -0.0]], np.float16),
        np.array([[0.5, np.nan]], np.float16),
        np.array([[0.5, np.inf]], np.float16),
        np.array([[0.5, 1.0]], np.float32),
        np.array([0.5, 1.0], np.float16),
    ],
)
def test_what_is_no_stored_map_is_refused(saliency):
    with pytest.raises(DataError, match="stored"):
        auitc(saliency, np.ones((1, 2), np.bool_))


def test_a_transposed_view_is_read_by_its_own_rows():
    generator = np.random.default_rng(2)
    saliency = generator.random((6, 9)).astype(np.float16)
    mask = generator.random((6, 9)) < 0.3
    assert auitc(saliency.T, mask.T) == auitc(saliency, mask)
    assert auitc(saliency[::2, ::3], mask[::2, ::3]) == auitc(
        saliency[::2, ::3].copy(), mask[::2, ::3].copy()
    )
