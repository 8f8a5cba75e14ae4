"""The hit rate against a search pixel by pixel, chance, and what ties may not decide."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from saliency_audit.errors import DataError
from saliency_audit.measures.controls import Saliency, centred, shuffled
from saliency_audit.measures.explained import Reading
from saliency_audit.measures.localisation import localisation
from saliency_audit.measures.pointing import hit
from saliency_audit.measures.status import VALUELESS_MAPS

KEY = (5,)


@st.composite
def cases(draw):
    shape = draw(st.tuples(st.integers(1, 6), st.integers(1, 6)))
    halves = st.floats(0, 1, width=16) | st.sampled_from([0.0, 0.0, 0.25, 1.0])
    saliency = draw(hnp.arrays(np.float16, shape, elements=halves)) + np.float16(0)
    predicted, mask = draw(hnp.arrays(np.bool_, shape)), draw(hnp.arrays(np.bool_, shape))
    mask.flat[0] = True
    return saliency, mask, predicted


def searched(saliency, mask):
    """Look for the highest value, then count where it stands."""
    highest, inside, pointed = 0.0, 0, 0
    for value, within in zip(saliency.ravel().tolist(), mask.ravel().tolist(), strict=True):
        if value > highest:
            highest, inside, pointed = value, 0, 0
        if value == highest and value > 0:
            inside, pointed = inside + within, pointed + 1
    return inside / pointed if pointed else 0.0


@settings(max_examples=100, deadline=None, derandomize=True)
@given(cases())
def test_each_reading_is_searched_pixel_by_pixel(case):
    saliency, mask, predicted = case
    maps = {
        Saliency.MAP: saliency,
        Saliency.SHUFFLED: shuffled(saliency, KEY),
        Saliency.CENTRED: centred(saliency),
        Saliency.MASK_ALONE: predicted.astype(np.float16),
    }
    for row in localisation(saliency, mask, predicted, 0.2, KEY):
        own = maps[row.saliency]
        if row.reading is not Reading.ORIGINAL:
            own = np.where(predicted, own, np.float16(0))
        assert row.figures["hit"] == searched(own, mask) == hit(own, mask)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(cases(), st.integers(0, 7))
def test_no_order_of_pixels_decides(case, turn):
    saliency, mask, _ = case
    turned = [
        np.rot90(array, turn % 4)[:, :: 1 if turn < 4 else -1].copy() for array in (saliency, mask)
    ]
    assert hit(*turned) == hit(saliency, mask)


def test_a_random_map_hits_as_often_as_m_covers_the_image():
    generator = np.random.default_rng(2)
    mask = np.zeros((20, 20), np.bool_)
    mask[3:9, 4:14] = True
    hits = [hit(generator.permutation(400).reshape(20, 20) / 399, mask) for _ in range(2000)]
    assert set(hits) == {0.0, 1.0}
    assert np.mean(hits) == pytest.approx(mask.mean(), abs=4 * np.sqrt(0.15 * 0.85 / 2000))


@pytest.mark.parametrize("status", sorted(VALUELESS_MAPS))
def test_a_map_that_ranks_no_pixel_has_none(status):
    mask = np.eye(4, dtype=np.bool_)
    rows = localisation(np.zeros((4, 4), np.float16), mask, mask, 0.2, KEY, map_status=status)
    for row in rows:
        value = row.figures["hit"]
        assert value == 1 if row.saliency is Saliency.MASK_ALONE else value is None


def test_bad_arrays_are_refused():
    with pytest.raises(DataError, match="NaN"):
        hit(np.array([[np.nan, 1.0]]), np.array([[True, False]]))
    with pytest.raises(DataError, match="scale the mask"):
        hit(np.array([[0.0, 1.0]]), np.array([[True]]))
