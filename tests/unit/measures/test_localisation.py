"""Rows of Table 3 against the single measures that they put side by side."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from saliency_audit.errors import DataError
from saliency_audit.measures.auitc import auitc, auitc_area
from saliency_audit.measures.controls import Saliency, centred, shuffled
from saliency_audit.measures.explained import Reading
from saliency_audit.measures.localisation import localisation
from saliency_audit.measures.localisation_figures import LOCALISATION_FIGURES
from saliency_audit.measures.overlap import iou, iou_ceiling
from saliency_audit.measures.segx import (
    segx_auitc,
    segx_auitc_area,
    segx_explanation,
    segx_map,
    segx_refill_auitc,
    segx_refill_auitc_area,
    segx_refill_explanation,
)
from saliency_audit.measures.status import Status
from saliency_audit.measures.top_fraction import top_fraction

KEY = (4, 2)
VALUES = tuple(figure.key for figure in LOCALISATION_FIGURES)


def rows_of(*arguments, **named):
    rows = localisation(*arguments, **named)
    assert [(r.saliency, r.reading) for r in rows] == [(s, r) for s in Saliency for r in Reading]
    return {(row.saliency, row.reading): row for row in rows}


@st.composite
def cases(draw):
    shape = draw(st.tuples(st.integers(1, 7), st.integers(1, 7)))
    halves = st.floats(0, 1, width=16) | st.sampled_from([0.0, 0.25, 1.0])
    saliency = draw(hnp.arrays(np.float16, shape, elements=halves)) + np.float16(0)
    predicted, mask = draw(hnp.arrays(np.bool_, shape)), draw(hnp.arrays(np.bool_, shape))
    mask.flat[0] = True
    return saliency, mask, predicted, draw(st.sampled_from([0.05, 0.2, 0.5]))


@settings(max_examples=80, deadline=None, derandomize=True)
@given(cases())
def test_each_row_holds_what_the_single_measures_give(case):
    saliency, mask, predicted, fraction = case
    rows = rows_of(saliency, mask, predicted, fraction, KEY)
    maps = {
        Saliency.MAP: saliency,
        Saliency.SHUFFLED: shuffled(saliency, KEY),
        Saliency.CENTRED: centred(saliency),
    }
    for name, m in maps.items():
        top = top_fraction(m, fraction)
        expected = {
            Reading.ORIGINAL: (top, auitc(m, mask), auitc_area(m, mask)),
            Reading.SEGX: (
                segx_explanation(m, predicted, fraction),
                segx_auitc(m, predicted, mask),
                segx_auitc_area(m, predicted, mask),
            ),
            Reading.SEGX_REFILL: (
                segx_refill_explanation(m, predicted, fraction),
                segx_refill_auitc(m, predicted, mask),
                segx_refill_auitc_area(m, predicted, mask),
            ),
        }
        for reading, (explanation, over_thresholds, over_area) in expected.items():
            row = rows[name, reading]
            assert row.figures["iou"] == iou(explanation, mask)
            assert row.figures["auitc"] == pytest.approx(over_thresholds, abs=1e-12)
            assert row.figures["auitc_area"] == pytest.approx(over_area, abs=1e-12)
            assert row.figures["iou"] <= row.figures["iou_ceiling"]
        hits, lost = int((top & mask).sum()), int((top & mask & ~predicted).sum())
        assert rows[name, Reading.SEGX].figures["evidence_lost"] == (lost / hits if hits else None)
        assert rows[name, Reading.ORIGINAL].figures["evidence_lost"] is None
        ceiling = iou_ceiling(int(top.sum()), int(mask.sum()))
        assert rows[name, Reading.ORIGINAL].figures["iou_ceiling"] == ceiling


@settings(max_examples=60, deadline=None, derandomize=True)
@given(cases())
def test_the_mask_alone_is_read_without_a_budget(case):
    saliency, mask, predicted, fraction = case
    rows = rows_of(saliency, mask, predicted, fraction, KEY)
    alone = iou(predicted, mask)
    indicator = predicted.astype(np.float16)
    for reading in (Reading.ORIGINAL, Reading.SEGX):
        row = rows[Saliency.MASK_ALONE, reading]
        assert row.figures["iou"] == alone
        assert row.figures["iou"] <= row.figures["iou_ceiling"]
        assert row.figures["auitc"] == pytest.approx(auitc(indicator, mask), abs=1e-12)
    refill = rows[Saliency.MASK_ALONE, Reading.SEGX_REFILL]
    assert refill.figures["iou"] == iou(
        segx_refill_explanation(indicator, predicted, fraction), mask
    )
    assert refill.figures["auitc"] == pytest.approx(alone, abs=1e-12)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(cases())
def test_every_value_is_a_share_or_null(case):
    saliency, mask, predicted, fraction = case
    for row in localisation(saliency, mask, predicted, fraction, KEY):
        assert list(row.figures) == list(VALUES)
        assert all(value is None or 0 <= value <= 1 for value in row.figures.values())
        assert row.truth_area == mask.mean()
        assert row.predicted_area == predicted.mean()


def random_case(seed=0):
    generator = np.random.default_rng(seed)
    saliency = generator.random((10, 10)).astype(np.float16)
    mask, predicted = np.zeros((2, 10, 10), np.bool_)
    mask[2:6, 2:6], predicted[3:7, 3:7] = True, True
    return saliency, mask, predicted


def test_a_planted_map_beats_its_controls_and_noise_does_not():
    generator = np.random.default_rng(8)
    planted, noise = [], []
    for seed in range(40):
        mask = np.zeros((20, 20), np.bool_)
        row, column = generator.integers(0, 14, 2)
        mask[row : row + 6, column : column + 6] = True
        for found, strength in ((planted, 1.0), (noise, 0.0)):
            raw = generator.random((20, 20)) + strength * mask
            m = ((raw - raw.min()) / (raw.max() - raw.min())).astype(np.float16)
            rows = rows_of(m, mask, mask, 0.05, (seed,))
            gain = (
                rows[Saliency.MAP, Reading.SEGX].figures["iou"]
                - rows[Saliency.SHUFFLED, Reading.SEGX].figures["iou"]
            )
            found.append(gain)
    assert np.mean(planted) > 0.3
    # Of noise the paired gain has mean 0; allow four standard errors.
    assert abs(np.mean(noise)) < 4 * np.std(noise) / np.sqrt(len(noise))


def test_an_empty_predicted_mask_is_a_value_of_zero():
    saliency, mask, _ = random_case()
    rows = rows_of(saliency, mask, np.zeros_like(mask), 0.05, KEY)
    assert rows[Saliency.MAP, Reading.ORIGINAL].status == Status.OK
    for (name, reading), row in rows.items():
        if reading is not Reading.ORIGINAL or name is Saliency.MASK_ALONE:
            assert (row.figures["iou"], row.figures["auitc"], row.figures["auitc_area"]) == (
                0,
                0,
                0,
            )
            assert row.status == Status.EMPTY_MASK


def test_a_mask_below_the_budget_is_marked_under_refill_only():
    saliency, mask, predicted = random_case()
    rows = rows_of(saliency, mask, predicted, 0.16, KEY)  # 16 pixels, as many as P has
    marked = {key for key, row in rows.items() if row.status == Status.MASK_BELOW_BUDGET}
    assert marked == {(name, Reading.SEGX_REFILL) for name in Saliency}
    statuses = {row.status for row in rows_of(saliency, mask, predicted, 0.15, KEY).values()}
    assert Status.MASK_BELOW_BUDGET not in statuses


@pytest.mark.parametrize("reason", [Status.LABEL_ABSENT, Status.NO_GROUND_TRUTH])
def test_without_ground_truth_every_value_is_null_and_says_why(reason):
    saliency, _, predicted = random_case()
    for row in localisation(saliency, None, predicted, 0.05, KEY, absent=reason):
        assert row.status == reason
        assert all(row.figures[name] is None for name in VALUES)
        assert row.truth_area is None
        assert row.predicted_area == 0.16


def test_an_empty_ground_truth_is_told_from_an_absent_label():
    saliency, mask, predicted = random_case()
    for row in localisation(saliency, np.zeros_like(mask), predicted, 0.05, KEY):
        assert row.status == Status.GROUND_TRUTH_EMPTY
        assert row.figures["iou"] is None


@pytest.mark.parametrize("status", [Status.NAN_MAP, Status.ZERO_MAP, Status.CONSTANT_MAP])
def test_a_map_without_values_leaves_only_the_mask_alone(status):
    _, mask, predicted = random_case()
    stored = np.zeros(mask.shape, np.float16)
    for saliency in (None, stored):
        rows = rows_of(saliency, mask, predicted, 0.05, KEY, map_status=status)
        with_map = rows_of(random_case()[0], mask, predicted, 0.05, KEY)
        for (name, reading), row in rows.items():
            if name is Saliency.MASK_ALONE:
                assert row.status == Status.OK
                assert row == with_map[name, reading]
            else:
                assert row.status == status
                assert all(row.figures[value] is None for value in VALUES)


def test_without_a_segmenter_only_the_original_reading_has_values():
    saliency, mask, _ = random_case()
    rows = rows_of(saliency, mask, None, 0.05, KEY)
    for (name, reading), row in rows.items():
        has_value = reading is Reading.ORIGINAL and name is not Saliency.MASK_ALONE
        assert (row.figures["iou"] is not None) == has_value
        assert row.status == (Status.OK if has_value else Status.NO_PREDICTED_MASK)


def test_of_a_sparse_map_only_positive_pixels_are_kept():
    mask, predicted = np.zeros((2, 10, 10), np.bool_)
    mask[0, :4], predicted[0, :3] = True, True
    saliency = np.zeros((10, 10), np.float16)
    saliency[0, :2], saliency[5, 5] = (1.0, 0.5), 0.25
    rows = rows_of(saliency, mask, predicted, 0.1, KEY, map_status=Status.SPARSE_MAP)
    original = rows[Saliency.MAP, Reading.ORIGINAL]
    assert original.status == Status.SPARSE_MAP
    assert original.figures["iou"] == iou(saliency > 0, mask) == 2 / 5
    assert original.figures["iou_ceiling"] == 3 / 4
    assert rows[Saliency.MAP, Reading.SEGX].figures["iou"] == iou(
        segx_map(saliency, predicted) > 0, mask
    )
    full = rows_of(saliency, mask, predicted, 0.1, KEY)[Saliency.MAP, Reading.ORIGINAL]
    assert full.figures["iou"] == iou(top_fraction(saliency, 0.1), mask)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(cases())
def test_sparse_readings_are_those_of_the_positive_top_pixels(case):
    saliency, mask, predicted, fraction = case
    rows = rows_of(saliency, mask, predicted, fraction, KEY, map_status=Status.SPARSE_MAP)
    top = top_fraction(saliency, fraction) & (saliency > 0)
    assert rows[Saliency.MAP, Reading.ORIGINAL].figures["iou"] == iou(top, mask)
    assert rows[Saliency.MAP, Reading.SEGX].figures["iou"] == iou(top & predicted, mask)
    # No threshold above 0 keeps a pixel of value 0, sparse or not.
    full = rows_of(saliency, mask, predicted, fraction, KEY)
    for key, row in rows.items():
        assert row.figures["auitc"] == full[key].figures["auitc"]
        assert row.figures["iou"] <= row.figures["iou_ceiling"]


def test_bad_arrays_are_refused():
    saliency, mask, predicted = random_case()
    with pytest.raises(DataError, match="scale the mask"):
        localisation(saliency, mask[:5], predicted, 0.05, KEY)
    with pytest.raises(DataError, match="booleans"):
        localisation(saliency, mask, predicted.astype(np.uint8), 0.05, KEY)
    with pytest.raises(DataError, match="stored"):
        localisation(saliency.astype(np.float32), mask, predicted, 0.05, KEY)
    with pytest.raises(DataError, match="nothing to measure"):
        localisation(None, None, None, 0.05, KEY)
    with pytest.raises(DataError, match="height, width"):
        localisation(saliency.ravel(), mask, predicted, 0.05, KEY)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(cases())
def test_an_explanation_that_segx_empties_says_so(case):
    saliency, mask, predicted, fraction = case
    rows = rows_of(saliency, mask, predicted, fraction, KEY)
    left = {
        Reading.ORIGINAL: top_fraction(saliency, fraction),
        Reading.SEGX: segx_explanation(saliency, predicted, fraction),
        Reading.SEGX_REFILL: segx_refill_explanation(saliency, predicted, fraction),
    }
    for reading, explanation in left.items():
        row = rows[Saliency.MAP, reading]
        if row.status == Status.EMPTY_EXPLANATION:
            assert predicted.any()
            assert row.figures["iou"] == 0
        said = {Status.EMPTY_EXPLANATION, Status.EMPTY_MASK, Status.MASK_BELOW_BUDGET}
        assert explanation.any() or row.status in said
        assert not (explanation.any() and row.status == Status.EMPTY_EXPLANATION)
