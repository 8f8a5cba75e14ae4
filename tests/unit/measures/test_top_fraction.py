"""The top fraction keeps exactly what a slow loop over ranked pixels keeps."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from saliency_audit.errors import DataError, ParameterError
from saliency_audit.measures.top_fraction import (
    TopFraction,
    budget,
    pixel_order,
    ranking,
    tie_share,
    top_fraction,
)

SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 9))
HALVES = hnp.arrays(
    np.float16, SHAPES, elements=st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 1.0, 6e-8])
)
FRACTIONS = st.sampled_from([0.01, 0.05, 0.07, 0.3, 0.5, 0.9, 1.0])
SETTINGS = settings(max_examples=80, deadline=None, derandomize=True)


def slow_ranking(saliency):
    """Sort pixels by value and by their place in the order of ties, in plain Python."""
    place = {pixel: i for i, pixel in enumerate(pixel_order(*saliency.shape).tolist())}
    values = [float(v) for v in saliency.ravel()]
    return sorted(range(len(values)), key=lambda pixel: (-values[pixel], place[pixel]))


@SETTINGS
@given(HALVES, FRACTIONS)
def test_exactly_k_pixels_and_the_first_k_of_the_ranking(saliency, fraction):
    kept = ceil(Fraction(str(fraction)) * saliency.size)
    expected = slow_ranking(saliency)[:kept]
    assert ranking(saliency).tolist() == slow_ranking(saliency)
    assert sorted(np.flatnonzero(top_fraction(saliency, fraction))) == sorted(expected)
    assert budget(fraction, *saliency.shape) == kept


@SETTINGS
@given(HALVES, FRACTIONS)
def test_wider_types_rank_the_same(saliency, fraction):
    for wide in (np.float32, np.float64):
        assert (ranking(saliency.astype(wide)) == ranking(saliency)).all()
        assert (
            top_fraction(saliency.astype(wide), fraction) == top_fraction(saliency, fraction)
        ).all()


@SETTINGS
@given(HALVES, FRACTIONS)
def test_rising_transforms_change_nothing(saliency, fraction):
    wide = saliency.astype(np.float64)
    for rising in (np.exp(wide), 3 * wide - 7, np.cbrt(wide)):
        assert (top_fraction(rising, fraction) == top_fraction(wide, fraction)).all()
        assert tie_share(rising, fraction) == tie_share(wide, fraction)


@SETTINGS
@given(HALVES, FRACTIONS)
def test_tie_share_is_what_another_order_of_ties_could_exchange(saliency, fraction):
    kept = budget(fraction, *saliency.shape)
    values = sorted((float(v) for v in saliency.ravel()), reverse=True)
    lowest = values[kept - 1]
    level, above = values.count(lowest), sum(v > lowest for v in values)
    expected = Fraction(0) if above + level == kept else Fraction(kept - above, kept)
    assert tie_share(saliency, fraction) == float(expected)


def test_negative_halves_rank_below_positive_ones_and_zeros_tie():
    saliency = np.array([[-0.0, 0.0, -1.0, 1.0, -0.5, 0.5]], dtype=np.float16)
    assert ranking(saliency).tolist() == slow_ranking(saliency + np.float16(0))
    assert ranking(saliency).tolist()[-1] == 2


@pytest.mark.parametrize(("fraction", "pixels"), [(0.07, 7), (0.29, 29), (0.56, 56), (0.051, 6)])
def test_budget_is_exact_where_floats_are_not(fraction, pixels):
    assert budget(fraction, 10, 10) == pixels
    assert budget(np.float64(fraction), 10, 10) == pixels


def splitmix64(state):
    """Reference output of the published generator, in whole numbers."""
    mask = 2**64 - 1
    z = (state + 0x9E3779B97F4A7C15) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return z ^ (z >> 31)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (5, 7), (64, 64)])
def test_the_order_of_ties_is_that_of_a_published_hash(height, width):
    assert splitmix64(0) == 0xE220A8397B1DCDAF  # the generator's first output for seed 0
    shape = splitmix64(height << 32 | width)
    hashes = [splitmix64((i + shape) % 2**64) for i in range(height * width)]
    expected = sorted(range(height * width), key=lambda i: hashes[i])
    assert pixel_order(height, width).tolist() == expected


def test_ties_do_not_fall_at_the_top_of_the_image():
    rows = np.nonzero(top_fraction(np.zeros((64, 64), dtype=np.float16), 0.05))[0]
    # The mean row of 205 uniform draws from 0…63 has a standard deviation of 1.3.
    assert abs(rows.mean() - 31.5) < 5


def test_the_cached_order_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        pixel_order(4, 4)[0] = 1


@pytest.mark.parametrize("fraction", [0, -0.1, 1.01, float("nan")])
def test_a_fraction_out_of_range_is_named(fraction):
    with pytest.raises(ParameterError, match=r"kept_fraction is .*above 0, at most 1"):
        top_fraction(np.zeros((2, 2)), fraction)
    with pytest.raises(ParameterError, match=r"kept_fraction is .*above 0, at most 1"):
        TopFraction(fraction)


@pytest.mark.parametrize(
    ("saliency", "fault"),
    [
        (np.array([[np.nan, 1.0]]), "nan_map"),
        (np.array([[np.inf, 1.0]]), "nan_map"),
        (np.zeros((2, 2, 2)), "shape"),
        (np.zeros((0, 3)), "shape"),
        (np.zeros((2, 2), dtype=np.int64), "type int64"),
    ],
)
def test_what_is_no_map_is_refused(saliency, fault):
    for measure in (lambda m: top_fraction(m, 0.5), lambda m: tie_share(m, 0.5), ranking):
        with pytest.raises(DataError, match=fault):
            measure(saliency)
