"""Both readings of SegX against their definitions, and their ceilings against every explanation."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from saliency_audit.errors import DataError
from saliency_audit.measures.auitc import auitc, auitc_area
from saliency_audit.measures.overlap import iou
from saliency_audit.measures.segx import (
    mask_below_budget,
    segx_auitc,
    segx_auitc_area,
    segx_ceiling,
    segx_explanation,
    segx_map,
    segx_refill_auitc,
    segx_refill_auitc_area,
    segx_refill_ceiling,
    segx_refill_explanation,
)
from saliency_audit.measures.top_fraction import budget, ranking, top_fraction

SETTINGS = settings(max_examples=60, deadline=None, derandomize=True)


@st.composite
def cases(draw):
    shape = draw(st.tuples(st.integers(1, 7), st.integers(1, 7)))
    halves = st.floats(0, 1, width=16) | st.sampled_from([0.0, 0.25, 1.0])
    saliency = draw(hnp.arrays(np.float16, shape, elements=halves)) + np.float16(0)
    predicted, mask = draw(hnp.arrays(np.bool_, shape)), draw(hnp.arrays(np.bool_, shape))
    assume(mask.any())
    return saliency, predicted, mask, draw(st.sampled_from([0.05, 0.2, 0.5, 1.0]))


@SETTINGS
@given(cases())
def test_both_readings_stay_inside_the_predicted_mask(case):
    saliency, predicted, _, fraction = case
    for explanation in (
        segx_explanation(saliency, predicted, fraction),
        segx_refill_explanation(saliency, predicted, fraction),
        segx_map(saliency, predicted) > 0,
    ):
        assert not (explanation & ~predicted).any()


@SETTINGS
@given(cases())
def test_with_the_true_mask_segx_never_loses(case):
    """An identity, not a finding: it takes away only pixels outside M."""
    saliency, _, mask, fraction = case
    original = iou(top_fraction(saliency, fraction), mask)
    assert iou(segx_explanation(saliency, mask, fraction), mask) >= original
    assert segx_auitc(saliency, mask, mask) >= auitc(saliency, mask) - 1e-12
    assert segx_auitc_area(saliency, mask, mask) >= auitc_area(saliency, mask) - 1e-12


@SETTINGS
@given(cases())
def test_segx_areas_follow_their_sets(case):
    saliency, predicted, mask, _ = case
    order = ranking(saliency)
    ious = []
    for kept in range(1, saliency.size + 1):
        top = np.zeros(saliency.size, np.bool_)
        top[order[:kept]] = True
        ious.append(iou(top.reshape(saliency.shape) & predicted, mask))
    assert segx_auitc_area(saliency, predicted, mask) == pytest.approx(np.mean(ious), abs=1e-12)
    by_threshold = auitc(segx_map(saliency, predicted), mask)
    assert segx_auitc(saliency, predicted, mask) == by_threshold


@SETTINGS
@given(cases())
def test_refill_keeps_the_best_positive_pixels_of_the_predicted_mask(case):
    saliency, predicted, _, fraction = case
    kept = budget(fraction, *saliency.shape)
    ranked = [p for p in ranking(saliency).tolist() if predicted.flat[p] and saliency.flat[p] > 0]
    explanation = segx_refill_explanation(saliency, predicted, fraction)
    assert sorted(np.flatnonzero(explanation)) == sorted(ranked[:kept])
    if mask_below_budget(predicted, fraction):
        assert (explanation == (predicted & (saliency > 0))).all()


@SETTINGS
@given(cases())
def test_refill_areas_follow_their_sets(case):
    saliency, predicted, mask, _ = case
    pixels = saliency.size
    ious = [
        iou(segx_refill_explanation(saliency, predicted, kept / pixels), mask)
        for kept in range(1, pixels + 1)
        if budget(kept / pixels, *saliency.shape) == kept
    ]
    assume(len(ious) == pixels)
    area = segx_refill_auitc_area(saliency, predicted, mask)
    assert area == pytest.approx(np.mean(ious), abs=1e-12)
    restricted = np.where(predicted, saliency.astype(np.float64), 0)
    levels = np.unique(np.append(restricted, 0)) / (restricted.max() or 1)
    integral = sum(
        (high - low) * iou(restricted / (restricted.max() or 1) >= high, mask)
        for low, high in pairwise(levels)
    )
    assert segx_refill_auitc(saliency, predicted, mask) == pytest.approx(integral, abs=1e-12)


def test_refill_is_normalised_by_its_own_maximum_and_segx_is_not():
    saliency = np.array([[1.0, 0.5, 0.0, 0.0]], np.float16)
    predicted = np.array([[False, True, True, False]])
    mask = np.array([[False, True, False, False]])
    assert segx_auitc(saliency, predicted, mask) == 0.5
    assert segx_refill_auitc(saliency, predicted, mask) == 1.0


def test_an_empty_predicted_mask_gives_zero_and_no_ground_truth_gives_none():
    saliency = np.array([[1.0, 0.5]], np.float16)
    empty, full = np.zeros((1, 2), np.bool_), np.ones((1, 2), np.bool_)
    measures = (segx_auitc, segx_auitc_area, segx_refill_auitc, segx_refill_auitc_area)
    for measure in measures:
        assert measure(saliency, empty, full) == 0
        assert measure(saliency, full, empty) is None
    assert mask_below_budget(empty, 0.5)
    assert not segx_refill_explanation(saliency, empty, 0.5).any()


@pytest.mark.parametrize(("pixels", "below"), [(19, True), (20, True), (21, False)])
def test_a_mask_as_large_as_the_budget_is_below_it(pixels, below):
    predicted = np.arange(400).reshape(20, 20) < pixels
    assert mask_below_budget(predicted, 0.05) == below


def test_ceilings_are_reached_by_some_explanation_and_passed_by_none():
    pixels = 6
    generator = np.random.default_rng(0)
    for _ in range(60):
        predicted, mask = generator.random((2, 3)) < 0.5, generator.random((2, 3)) < 0.5
        mask[0, 0] = True
        for kept in range(1, pixels + 1):
            regions = [
                np.isin(np.arange(pixels), chosen).reshape(2, 3)
                for size in range(kept + 1)
                for chosen in combinations(range(pixels), size)
            ]
            best = max(iou(r & predicted, mask) for r in regions if r.sum() == kept)
            assert segx_ceiling(kept, predicted, mask) == pytest.approx(best)
            best = max(iou(r, mask) for r in regions if not (r & ~predicted).any())
            assert segx_refill_ceiling(kept, predicted, mask) == pytest.approx(best)


def test_masks_of_another_size_are_refused():
    saliency, wrong = np.ones((2, 2), np.float16), np.ones((2, 3), np.bool_)
    right = np.ones((2, 2), np.bool_)
    for measure in (segx_auitc, segx_auitc_area, segx_refill_auitc, segx_refill_auitc_area):
        with pytest.raises(DataError, match="scale the mask"):
            measure(saliency, wrong, right)
        with pytest.raises(DataError, match="scale the mask"):
            measure(saliency, right, wrong)
