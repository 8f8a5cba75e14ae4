"""Stored maps against their definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from saliency_audit.attribution.maps import quantise
from saliency_audit.attribution.method import RawMap
from saliency_audit.errors import DataError, ParameterError
from saliency_audit.measures.localisation import localisation
from saliency_audit.measures.status import MethodStatus

MAPS = arrays(np.float64, (5, 6), elements=st.floats(0, 1e300))


@given(MAPS)
def test_a_map_is_normalised_rounded_and_never_negative_zero(values):
    stored = quantise(RawMap(values), 0.1)
    assert stored.map.dtype == np.float16 and stored.map.shape == (5, 6)
    assert not np.signbit(stored.map).any()
    if stored.status in ("zero_map", "constant_map"):
        assert values.min() == values.max() and not stored.map.any()
        return
    assert stored.map.min() == 0 and stored.map.max() == 1
    exact = (values - values.min()) / (values.max() - values.min())
    # half a unit in the last place of float16, or of its smallest number
    assert (np.abs(stored.map - exact) <= np.maximum(exact * 2**-11, 2**-25) * 1.0001).all()
    assert (stored.offset, stored.scale) == (values.min(), values.max() - values.min())


@given(MAPS)
def test_rounding_keeps_the_order_of_pixels(values):
    stored = quantise(RawMap(values), 0.1)
    order = np.argsort(values, axis=None)
    assert (np.diff(stored.map.reshape(-1)[order].astype(float)) >= 0).all()


def a_map(**pixels: float) -> np.ndarray:
    values = np.zeros((10, 10))
    for place, value in pixels.items():
        values.flat[int(place[1:])] = value
    return values


@pytest.mark.parametrize(
    ("values", "own", "status"),
    [
        (a_map(p0=np.nan), None, "nan_map"),
        (a_map(p0=np.inf), None, "nan_map"),
        (a_map(p0=np.nan), "few_superpixels", "nan_map"),
        (a_map(), None, "zero_map"),
        (a_map(), "few_superpixels", "zero_map"),
        (np.full((10, 10), 0.3), None, "constant_map"),
        (np.full((10, 10), 0.3), "nonpositive_denominator", "constant_map"),
        (a_map(p0=1.0, p1=2.0), None, "sparse_map"),
        (a_map(p0=1.0, p1=2.0), "few_superpixels", "sparse_map"),
        (a_map(p0=1.0, p1=2.0), "nonpositive_denominator", "sparse_map"),
        (a_map(p0=1.0, p1=2.0) + 0.1, "few_superpixels", "ok"),
        (a_map(p0=1.0, p1=2.0, p2=1.0, p3=1.0, p4=1.0), None, "ok"),
        (a_map(p0=1.0, p1=2.0) + 0.1, None, "ok"),
    ],
)
def test_the_first_status_that_applies(values, own, status):
    stored = quantise(RawMap(values, own), 0.05)
    assert stored.status == status
    assert stored.method_status == (own or "ok")
    ranks = status not in ("nan_map", "zero_map", "constant_map")
    assert ranks == bool(stored.map.any())
    assert ranks == (stored.tie_share is not None)
    assert (stored.offset is None) == (status == "nan_map")


def test_what_a_method_says_of_a_sparse_map_changes_no_figure():
    values = a_map(p0=1.0, p1=2.0, p55=1.5)
    mask = a_map(p0=1.0, p1=1.0, p2=1.0, p3=1.0) > 0
    maps = [quantise(RawMap(values, own), 0.05) for own in (None, *MethodStatus)]
    rows = [localisation(m.map, mask, mask, 0.05, (1,), map_status=m.status) for m in maps]
    assert all(found == rows[0] for found in rows)
    # Of five pixels that may be kept the three positive ones are: two in M, which has four.
    assert rows[0][0].figures["iou"] == 2 / 5


def test_a_constant_map_keeps_its_constant():
    stored = quantise(RawMap(np.full((4, 4), 0.3)), 0.25)
    assert (stored.offset, stored.scale) == (0.3, 0.0)


def test_completeness_is_kept_and_ties_are_of_the_rounded_map():
    values = np.array([[1.0, 0.5, 0.5 + 1e-9, 0.0]])
    stored = quantise(RawMap(values, completeness=0.25), 0.5)
    assert stored.completeness == 0.25
    assert stored.tie_share == 0.5  # the two in the middle are one half


@pytest.mark.parametrize("values", [np.zeros(4), np.zeros((0, 3)), np.full((2, 2), -1.0)])
def test_what_is_no_map_is_refused(values):
    with pytest.raises(DataError):
        quantise(RawMap(values), 0.05)


def test_a_wrong_fraction_is_refused():
    with pytest.raises(ParameterError, match="kept_fraction"):
        quantise(RawMap(np.eye(3)), 5)
