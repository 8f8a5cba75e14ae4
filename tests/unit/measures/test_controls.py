"""Controls keep a map's values and lose its place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from saliency_audit.errors import DataError
from saliency_audit.measures.controls import centre_order, centred, shuffle_key, shuffled
from saliency_audit.measures.overlap import iou
from saliency_audit.measures.top_fraction import top_fraction

MAPS = hnp.arrays(
    np.float16,
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    elements=st.floats(0, 1, width=16),
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(MAPS, st.integers(0, 10))
def test_controls_keep_the_values_and_the_type(saliency, seed):
    before = saliency.copy()
    for control in (shuffled(saliency, (seed,)), centred(saliency)):
        assert control.dtype == saliency.dtype
        assert control.shape == saliency.shape
        assert (np.sort(control, axis=None) == np.sort(saliency, axis=None)).all()
    assert (saliency == before).all()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(MAPS)
def test_saliency_falls_with_distance_from_the_centre(saliency):
    control = centred(saliency).astype(np.float64)
    height, width = saliency.shape
    rows, columns = np.indices(saliency.shape)
    distance = np.hypot(rows - (height - 1) / 2, columns - (width - 1) / 2)
    for radius in np.unique(distance):
        inner, outer = control[distance < radius - 1e-9], control[distance > radius - 1e-9]
        if inner.size:
            assert inner.min() >= outer.max()


def test_pixels_at_one_distance_are_mixed_by_the_order_of_ties():
    assert sorted(centre_order(2, 2).tolist()) == [0, 1, 2, 3]
    ring = [order for order in centre_order(3, 3).tolist() if order in (1, 3, 5, 7)]
    assert ring == centre_order(3, 3).tolist()[1:5]


def test_the_key_alone_decides_the_shuffle():
    saliency = np.arange(64, dtype=np.float64).reshape(8, 8)
    key = shuffle_key(1, "ISIC_0024306", "nv")
    assert (shuffled(saliency, key) == shuffled(saliency, key)).all()
    assert not (shuffled(saliency, key) == shuffled(saliency, shuffle_key(2, *key_names()))).all()
    assert key != shuffle_key(1, "ISIC_0024306", "mel")
    assert key != shuffle_key(1, "nv", "ISIC_0024306")


def key_names():
    return ("ISIC_0024306", "nv")


def test_shuffled_maps_hit_a_mask_as_chance_does():
    """The mean overlap of k random pixels with a region of share a is k·a."""
    saliency = np.arange(400, dtype=np.float64).reshape(20, 20)
    mask = np.zeros((20, 20), np.bool_)
    mask[:10, :10] = True
    tops = [top_fraction(shuffled(saliency, (seed,)), 0.1) for seed in range(400)]
    hits = [int((top & mask).sum()) for top in tops]
    # Hypergeometric: mean 10, variance 6.8; of 400 draws the mean has deviation 0.13.
    assert np.mean(hits) == pytest.approx(10, abs=0.6)
    assert len({top.tobytes() for top in tops}) == len(tops)
    assert all(iou(top, mask) is not None for top in tops)


def test_maps_without_values_are_refused():
    broken = np.array([[np.nan, 1.0]])
    with pytest.raises(DataError, match="nan_map"):
        shuffled(broken, (1,))
    with pytest.raises(DataError, match="nan_map"):
        centred(broken)
