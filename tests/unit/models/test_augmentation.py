"""Random changes of images: exact where they can be, and the image's own whatever its batch."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from saliency_audit.errors import ParameterError
from saliency_audit.models.augmentation import Augmentation, augment, draws, placements


def some_images(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def drawn(**columns):
    """A draw in the middle of every range, which changes nothing, but for some columns."""
    names = ["mirror_x", "mirror_y", "angle", "shift_x", "shift_y", "brightness", "contrast"]
    row = np.full((1, 7), 0.5)
    for name, value in columns.items():
        row[0, names.index(name)] = value
    return row


FLIPS = Augmentation(horizontal_flip=True, vertical_flip=True)


@pytest.mark.parametrize(
    ("columns", "axes"),
    [
        ({}, ()),
        ({"mirror_x": 0.2}, (3,)),
        ({"mirror_y": 0.2}, (2,)),
        ({"mirror_x": 0.2, "mirror_y": 0.2}, (2, 3)),
    ],
)
def test_flips_are_those_of_numpy(columns, axes):
    images, masks = some_images(1, 3, 6, 9), some_images(1, 2, 6, 9).round()
    moved, moved_masks = augment(images, masks, FLIPS, drawn(**columns))
    torch.testing.assert_close(moved, images.flip(axes), rtol=0, atol=1e-5)
    assert torch.equal(moved_masks, masks.flip(axes))


def test_a_quarter_turn_of_a_square_is_that_of_numpy():
    images, masks = some_images(1, 3, 7, 7), some_images(1, 1, 7, 7).round()
    moved, moved_masks = augment(images, masks, Augmentation(rotation=90), drawn(angle=1.0))
    torch.testing.assert_close(moved, images.rot90(1, (2, 3)), rtol=0, atol=1e-5)
    assert torch.equal(moved_masks, masks.rot90(1, (2, 3)))


def test_a_shift_moves_by_whole_pixels_of_each_side():
    images = some_images(1, 3, 10, 20)
    moved, _ = augment(images, None, Augmentation(shift=0.1), drawn(shift_x=1.0, shift_y=0.0))
    # The pixel at (y, x) comes from (y - 1, x + 2).
    torch.testing.assert_close(moved[..., 1:, :-2], images[..., :-1, 2:], rtol=0, atol=1e-5)


@given(st.floats(0, 0.999), st.integers(2, 40), st.integers(2, 40))
def test_a_rotation_keeps_distances_whatever_the_shape(angle, height, width):
    matrix = placements(Augmentation(rotation=180), drawn(angle=angle), height / width)[0, :, :2]
    # In pixels rather than in halves of each side.
    scale = np.diag([width / 2, height / 2])
    turned = scale @ matrix.double().numpy() @ np.linalg.inv(scale)
    np.testing.assert_allclose(turned.T @ turned, np.eye(2), atol=1e-4)
    np.testing.assert_allclose(np.linalg.det(turned), 1, atol=1e-4)


def test_brightness_and_contrast_follow_their_formula_and_stay_pixels():
    images, masks = some_images(1, 3, 5, 5), some_images(1, 1, 5, 5).round()
    light = Augmentation(brightness=0.2, contrast=0.5)
    changed, kept = augment(images, masks, light, drawn(brightness=0.75, contrast=0.25))
    mean = images.double().mean()
    expected = ((images.double() - mean) * 0.75 + mean + 0.1).clamp(0, 1)
    torch.testing.assert_close(changed.double(), expected, rtol=0, atol=1e-6)
    assert kept is masks
    bright, _ = augment(images, None, Augmentation(brightness=1), drawn(brightness=1.0))
    assert bright.max() <= 1


def test_an_augmentation_of_nothing_changes_nothing():
    images = some_images(2, 3, 5, 5)
    same, _ = augment(images, None, Augmentation(), draws([0], [1, 2]))
    assert same is images


@given(st.permutations(range(5)))
def test_the_draw_of_an_image_is_its_own(order):
    every = draws([7, 3, 1], range(5))
    np.testing.assert_array_equal(draws([7, 3, 1], order), every[list(order)])
    assert not (draws([7, 3, 2], range(5)) == every).any()


@pytest.mark.parametrize(
    ("name", "value"),
    [("rotation", 181), ("shift", 0.6), ("brightness", -0.1), ("contrast", float("nan"))],
)
def test_a_range_is_held(name, value):
    with pytest.raises(ParameterError, match=f"{name} is"):
        Augmentation(**{name: value})
