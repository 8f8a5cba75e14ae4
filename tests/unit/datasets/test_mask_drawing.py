"""Masks scaled and drawn, against scikit-image, areas in closed form and definitions."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.draw import polygon2mask

from saliency_audit.datasets.mask_scaling import mask_notes, scale_mask
from saliency_audit.datasets.polygons import box_corners, draw_polygon

SIDES = st.integers(1, 24)
MASKS = hnp.arrays(np.bool_, st.tuples(SIDES, SIDES))


@given(MASKS, SIDES, SIDES)
def test_a_pixel_takes_the_value_where_its_centre_lies(mask, height, width):
    found = scale_mask(mask, (height, width))
    for row in range(height):
        for column in range(width):
            y = int(np.floor((row + 0.5) * mask.shape[0] / height))
            x = int(np.floor((column + 0.5) * mask.shape[1] / width))
            assert found[row, column] == mask[y, x]


@given(MASKS, st.integers(1, 4))
def test_enlarging_by_a_whole_number_repeats_pixels(mask, times):
    size = (mask.shape[0] * times, mask.shape[1] * times)
    np.testing.assert_array_equal(
        scale_mask(mask, size), mask.repeat(times, axis=0).repeat(times, axis=1)
    )


@pytest.mark.parametrize(
    ("mask", "source_size", "notes"),
    [
        (np.zeros((4, 6), bool), (6, 4), ("mask_empty",)),
        (np.ones((4, 6), bool), (6, 4), ("mask_full",)),
        (np.zeros((4, 6), bool), (12, 8), ("mask_rescaled", "mask_empty")),
        (np.zeros((4, 6), bool), (6, 6), ("mask_rescaled", "mask_aspect", "mask_empty")),
        (np.pad(np.zeros((2, 4), bool), 1, constant_values=True), (6, 4), ("mask_inverted",)),
        (np.pad(np.ones((2, 4), bool), 1), (6, 4), ()),
    ],
)
def test_notes_of_masks(mask, source_size, notes):
    assert mask_notes(mask, scale_mask(mask, (8, 8)), source_size) == notes


def test_a_mask_too_small_for_the_resolution_is_noted():
    mask = np.zeros((64, 64), bool)
    mask[0, 0] = True
    assert mask_notes(mask, scale_mask(mask, (8, 8)), (64, 64)) == ("mask_lost",)


@given(st.integers(0, 10_000), st.integers(3, 12))
def test_polygons_are_those_of_scikit_image(seed, corners):
    rng = np.random.default_rng(seed)
    size = (int(rng.integers(8, 40)), int(rng.integers(8, 40)))
    # Points in no order, so that edges cross; no coordinate falls on a centre.
    points = rng.uniform(-3, 43, (corners, 2))
    expected = polygon2mask(size, points[:, ::-1] - 0.5)
    assume(expected.any())
    found = draw_polygon(points, size)
    # scikit-image fills polygons that cross themselves by another rule in a few pixels.
    assert (found != expected).sum() <= 1


@given(
    st.tuples(st.integers(0, 10), st.integers(0, 10)),
    st.tuples(st.integers(1, 10), st.integers(1, 10)),
)
def test_the_area_of_a_box_of_whole_numbers_is_exact(corner, extent):
    (x, y), (width, height) = corner, extent
    mask = draw_polygon(box_corners([x, y, x + width, y + height]), (20, 20))
    assert mask.sum() == width * height
    assert mask[y : y + height, x : x + width].all()


def test_boxes_side_by_side_share_no_pixel_and_leave_none_out():
    cuts = [0, 2.5, 7.3, 7.31, 12, 16]
    drawn = [
        draw_polygon(box_corners([a, 0, b, 16]), (16, 16)) for a, b in pairwise(cuts) if b - a > 1
    ]
    assert (np.sum(drawn, axis=0) == 1).all()


def test_orientation_and_start_do_not_matter():
    points = np.array([[2.2, 1.1], [9.7, 3.2], [7.1, 10.4], [1.3, 8.8]])
    mask = draw_polygon(points, (12, 12))
    np.testing.assert_array_equal(draw_polygon(points[::-1], (12, 12)), mask)
    np.testing.assert_array_equal(draw_polygon(np.roll(points, 2, axis=0), (12, 12)), mask)


@pytest.mark.parametrize("where", [(3.6, 5.6), (0.0, 0.0), (12.0, 12.0)])
def test_a_polygon_below_a_pixel_marks_one(where):
    points = np.array(where) + np.array([[0, 0], [0.1, 0], [0.1, 0.1]])
    mask = draw_polygon(points, (12, 12))
    assert mask.sum() == 1
    assert mask[min(int(where[1]), 11), min(int(where[0]), 11)]


def test_the_area_of_a_disc_is_that_of_the_formula():
    turn = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    points = 100 + 80 * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    assert abs(draw_polygon(points, (200, 200)).sum() / (np.pi * 80**2) - 1) < 0.005
