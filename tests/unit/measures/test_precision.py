"""Precision in M against scikit-learn and against a count pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import precision_score

from saliency_audit.measures.controls import Saliency, centred, shuffled
from saliency_audit.measures.explained import Reading
from saliency_audit.measures.localisation import localisation
from saliency_audit.measures.segu import certainty_with_controls
from saliency_audit.measures.status import Status
from saliency_audit.measures.top_fraction import top_fraction

KEY = (5,)
SPARSE = st.sampled_from([Status.OK, Status.SPARSE_MAP])


@st.composite
def cases(draw):
    shape = draw(st.tuples(st.integers(1, 6), st.integers(1, 6)))
    halves = st.floats(0, 1, width=16) | st.sampled_from([0.0, 0.0, 0.25, 1.0])
    saliency = draw(hnp.arrays(np.float16, shape, elements=halves)) + np.float16(0)
    saliency.flat[-1] = 1  # a stored map that can be read has a highest value
    predicted, mask = draw(hnp.arrays(np.bool_, shape)), draw(hnp.arrays(np.bool_, shape))
    mask.flat[0] = True
    return saliency, mask, predicted, draw(st.sampled_from([0.05, 0.2, 0.5, 1.0])), draw(SPARSE)


def counted(explanation, mask):
    """The share as it is defined, pixel by pixel; None of no pixel."""
    inside = kept = 0
    for row in range(mask.shape[0]):
        for column in range(mask.shape[1]):
            kept += bool(explanation[row, column])
            inside += bool(explanation[row, column] and mask[row, column])
    if not kept:
        return None
    assert inside / kept == precision_score(mask.ravel(), explanation.ravel())
    return inside / kept


def explanations(saliency, predicted, fraction, status):
    top = top_fraction(saliency, fraction)
    if status == Status.SPARSE_MAP:
        top &= saliency > 0
    restricted = np.where(predicted, saliency, np.float16(0))
    refilled = top_fraction(restricted, fraction) & (restricted > 0)
    return {
        Reading.ORIGINAL: top,
        Reading.SEGX: top & predicted,
        Reading.SEGX_REFILL: refilled,
    }


@settings(max_examples=80, deadline=None, derandomize=True)
@given(cases())
def test_precision_is_the_share_of_the_explanation_in_m(case):
    saliency, mask, predicted, fraction, status = case
    rows = {
        (row.saliency, row.reading): row
        for row in localisation(saliency, mask, predicted, fraction, KEY, map_status=status)
    }
    maps = {
        Saliency.MAP: saliency,
        Saliency.SHUFFLED: shuffled(saliency, KEY),
        Saliency.CENTRED: centred(saliency),
    }
    for name, own in maps.items():
        for reading, explanation in explanations(own, predicted, fraction, status).items():
            row = rows[name, reading]
            assert row.figures["precision"] == counted(explanation, mask)
            if row.figures["precision"] is None:
                assert row.status in ("empty_mask", "empty_explanation", "mask_below_budget")
    for reading in (Reading.ORIGINAL, Reading.SEGX):
        alone = rows[Saliency.MASK_ALONE, reading]
        assert alone.figures["precision"] == counted(predicted, mask)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(cases())
def test_with_m_in_place_of_p_it_is_the_precision_of_certainty(case):
    saliency, mask, predicted, fraction, status = case
    located = localisation(saliency, mask, predicted, fraction, KEY, map_status=status)
    scored = certainty_with_controls(saliency, mask, fraction, KEY, map_status=status)
    own = {r.saliency: r.figures["precision"] for r in located if r.reading is Reading.ORIGINAL}
    assert {r.saliency: r.figures["precision"] for r in scored}.items() <= own.items()


@pytest.mark.parametrize("inside", [0, 3, 10])
def test_of_ten_pixels_so_many_lie_in_m(inside):
    saliency, mask = np.zeros((10, 10), np.float16), np.zeros((10, 10), np.bool_)
    saliency[0] = 1
    mask[1:5], mask[0, :inside] = True, True
    (row, *_) = localisation(saliency, mask, None, 0.1, KEY)
    assert row.figures["precision"] == inside / 10
