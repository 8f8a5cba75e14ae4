"""Quasi-random points: prefix-stable, each uniform, together more even than chance."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from saliency_audit.attribution.quasi_random import line_points, square_points


@given(st.floats(0, 0.999), st.integers(1, 300), st.integers(0, 299))
def test_a_point_does_not_depend_on_how_many_are_asked(offset, count, start):
    for points, first in ((line_points, offset), (square_points, np.array([offset, 0.3]))):
        whole = points(first, 0, start + count)
        np.testing.assert_array_equal(points(first, start, count), whole[start:])
        assert ((whole >= 0) & (whole < 1)).all()


def test_points_of_a_line_are_as_even_as_three_gaps_allow():
    """The three-distance theorem (Sós 1958): gaps of at most three lengths, none far from 1/n."""
    for count in (2, 7, 64, 200):
        gaps = np.diff(np.sort(line_points(0.2, 0, count)))
        assert len(np.unique(gaps.round(9))) <= 3
        assert gaps.max() < 2.7 / count


def test_points_of_the_square_have_a_smaller_discrepancy_than_chance():
    """The largest error of the share of points in a box at the origin, over many boxes."""
    edges = np.linspace(0.1, 1, 10)

    def discrepancy(points: np.ndarray) -> float:
        return max(
            abs(((points[:, 0] < right) & (points[:, 1] < top)).mean() - right * top)
            for right in edges
            for top in edges
        )

    for seed in range(20):
        random = np.random.default_rng(seed)
        even = discrepancy(square_points(random.random(2), 0, 200))
        assert even < min(0.03, discrepancy(random.random((200, 2))))
