"""SegU against the single measures with P in the place of M."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from saliency_audit.errors import DataError
from saliency_audit.measures.auitc import auitc, auitc_area
from saliency_audit.measures.certainty_figures import CERTAINTY_FIGURES
from saliency_audit.measures.controls import Saliency, centred, shuffled
from saliency_audit.measures.mask_probability import mean_mask_probability
from saliency_audit.measures.overlap import iou, precision
from saliency_audit.measures.segu import certainty, certainty_with_controls
from saliency_audit.measures.status import Status
from saliency_audit.measures.top_fraction import top_fraction

KEY = (9,)
SCORES = tuple(figure.key for figure in CERTAINTY_FIGURES)


@st.composite
def cases(draw):
    shape = draw(st.tuples(st.integers(1, 7), st.integers(1, 7)))
    saliency = draw(hnp.arrays(np.float16, shape, elements=st.floats(0, 1, width=16)))
    predicted = draw(hnp.arrays(np.bool_, shape))
    predicted.flat[0] = True
    return saliency + np.float16(0), predicted, draw(st.sampled_from([0.05, 0.2, 0.5, 1.0]))


@settings(max_examples=80, deadline=None, derandomize=True)
@given(cases())
def test_scores_are_those_of_the_predicted_mask(case):
    saliency, predicted, fraction = case
    rows = certainty_with_controls(saliency, predicted, fraction, KEY)
    maps = [saliency, shuffled(saliency, KEY), centred(saliency)]
    assert [r.saliency for r in rows] == [Saliency.MAP, Saliency.SHUFFLED, Saliency.CENTRED]
    for row, m in zip(rows, maps, strict=True):
        top = top_fraction(m, fraction)
        small, large = sorted((int(top.sum()), int(predicted.sum())))
        assert row.figures["c_iou"] == iou(top, predicted)
        assert row.figures["c_iou_ceiling"] == small / large
        assert row.figures["c_iou_over_ceiling"] == pytest.approx(
            row.figures["c_iou"] * large / small
        )
        assert row.figures["c_iou_over_ceiling"] <= 1
        assert row.figures["c_auitc"] == pytest.approx(auitc(m, predicted), abs=1e-12)
        assert row.figures["c_auitc_area"] == pytest.approx(auitc_area(m, predicted), abs=1e-12)
        assert row.figures["precision"] == precision(top, predicted)
        assert row.predicted_area == predicted.mean()
        assert row.status == Status.OK


def test_an_empty_predicted_mask_is_a_certainty_of_zero():
    saliency = np.array([[0.0, 1.0]], np.float16)
    row = certainty(saliency, np.zeros((1, 2), np.bool_), 0.5)
    assert (
        row.figures["c_iou"],
        row.figures["c_auitc"],
        row.figures["c_auitc_area"],
        row.figures["precision"],
    ) == (0, 0, 0, 0)
    assert row.figures["c_iou_over_ceiling"] is None
    assert row.status == Status.EMPTY_MASK


@pytest.mark.parametrize("status", [Status.NAN_MAP, Status.ZERO_MAP, Status.CONSTANT_MAP])
@pytest.mark.parametrize("saliency", [None, np.zeros((2, 3), np.float16)])
def test_a_map_without_values_has_no_certainty_but_its_confounders(status, saliency):
    predicted = np.array([[True, False, False], [False, False, False]])
    rows = certainty_with_controls(saliency, predicted, 0.5, KEY, 0.75, map_status=status)
    for row in rows:
        assert row.status == status
        assert all(row.figures[score] is None for score in SCORES)
        assert row.predicted_area == pytest.approx(1 / 6)
        assert row.mean_mask_probability == 0.75


def test_of_a_sparse_map_only_positive_pixels_are_kept():
    saliency = np.zeros((5, 4), np.float16)
    saliency[0, 0], saliency[1, 1] = 1.0, 0.5
    predicted = np.zeros((5, 4), np.bool_)
    predicted[0, :2] = True
    row = certainty(saliency, predicted, 0.5, map_status=Status.SPARSE_MAP)
    assert row.figures["c_iou"] == 1 / 3
    assert row.figures["precision"] == 1 / 2
    assert row.figures["c_iou_ceiling"] == 1
    assert row.status == Status.SPARSE_MAP


def test_the_segmenters_probability_is_read_inside_the_mask():
    predicted = np.array([[True, True, False]])
    probability = np.array([[0.6, 0.8, 0.4]], np.float32)
    assert mean_mask_probability(probability, predicted) == pytest.approx(0.7)
    assert mean_mask_probability(probability, np.zeros((1, 3), np.bool_)) is None
    saliency = np.array([[0.0, 0.5, 1.0]], np.float16)
    for given_as in (probability, 0.7):
        row = certainty(saliency, predicted, 0.5, given_as)
        assert row.mean_mask_probability == pytest.approx(0.7)


def test_bad_arrays_are_refused():
    saliency, predicted = np.array([[0.0, 1.0]], np.float16), np.ones((1, 2), np.bool_)
    with pytest.raises(DataError, match="scale the mask"):
        certainty(saliency, np.ones((1, 3), np.bool_), 0.5)
    with pytest.raises(DataError, match="stored"):
        certainty(saliency * np.float16(2), predicted, 0.5)
    with pytest.raises(DataError, match="sigmoid"):
        certainty(saliency, predicted, 0.5, np.array([[2.0, 0.0]]))
    with pytest.raises(DataError, match="scale the mask"):
        certainty(saliency, predicted, 0.5, np.ones((2, 2)))
