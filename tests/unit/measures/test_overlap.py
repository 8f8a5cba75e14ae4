"""IoU and its relatives against sets of pixels, and ceilings against every region there is."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp

from saliency_audit.errors import DataError, ParameterError
from saliency_audit.measures.overlap import dice, iou, iou_ceiling, precision

MASKS = hnp.arrays(np.bool_, (3, 4))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(MASKS, MASKS)
def test_overlap_of_sets(first, second):
    a, b = set(np.flatnonzero(first).tolist()), set(np.flatnonzero(second).tolist())
    assert iou(first, second) == (float(Fraction(len(a & b), len(a | b))) if a | b else None)
    assert iou(first, second) == iou(second, first)
    total = len(a) + len(b)
    assert dice(first, second) == (float(Fraction(2 * len(a & b), total)) if total else None)
    assert precision(first, second) == (float(Fraction(len(a & b), len(a))) if a else None)


@pytest.mark.parametrize("kept", range(7))
def test_no_region_of_its_size_passes_the_ceiling_and_one_reaches_it(kept):
    for area in range(7):
        mask = np.arange(6).reshape(2, 3) < area
        found = []
        for chosen in combinations(range(6), kept):
            region = np.isin(np.arange(6), chosen).reshape(2, 3)
            found.append(iou(region, mask))
        ceiling = iou_ceiling(kept / 6, area / 6)
        if kept == area == 0:
            assert found == [None]
            assert ceiling is None
        else:
            assert max(found) == pytest.approx(ceiling)


def test_masks_that_do_not_fit_are_refused():
    fits = np.ones((2, 2), dtype=np.bool_)
    for measure in (iou, dice, precision):
        with pytest.raises(DataError, match="scale the mask"):
            measure(fits, np.ones((2, 3), dtype=np.bool_))
        with pytest.raises(DataError, match="booleans"):
            measure(fits, np.full((2, 2), 255, dtype=np.uint8))
    with pytest.raises(ParameterError, match="share"):
        iou_ceiling(-0.1, 0.5)
