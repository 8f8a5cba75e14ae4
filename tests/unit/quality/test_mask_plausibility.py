"""Plausibility of masks against least squares, exact phantoms, and planted faults."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from saliency_audit.datasets.image_files import read_mask
from saliency_audit.datasets.phantom_chest import PhantomChest
from saliency_audit.datasets.phantom_skin import PhantomSkin
from saliency_audit.errors import DataError
from saliency_audit.labelling import EVERY_LABEL
from saliency_audit.quality.mask_plausibility import (
    INVERTED,
    Separation,
    enclosure,
    separation,
)

MASKS = hnp.arrays(np.bool_, (5, 6))
PICTURES = hnp.arrays(np.uint8, (5, 6, 3))


@pytest.fixture(scope="module")
def skin():
    samples = PhantomSkin(images=120, seed=11).samples()
    return [(sample.pixels, sample.masks[EVERY_LABEL]) for sample in samples]


@given(MASKS)
def test_enclosure_is_one_less_the_ratio_of_two_shares(mask):
    assume(mask.any() and not mask.all())
    rows, columns = mask.shape
    places = list(product(range(rows), range(columns)))
    rim = [(r, c) for r, c in places if r in (0, rows - 1) or c in (0, columns - 1)]
    everywhere = sum(not mask[p] for p in places) / len(places)
    at_rim = sum(not mask[p] for p in rim) / len(rim)
    assert enclosure(mask) == pytest.approx(1 - at_rim / everywhere)
    assert enclosure(mask) <= 1


@given(MASKS)
def test_a_mask_and_its_complement_are_never_both_enclosing(mask):
    assume(mask.any() and not mask.all())
    assert enclosure(mask) * enclosure(~mask) <= 1e-12


@pytest.mark.parametrize("source", [PhantomSkin(images=80), PhantomChest(images=80)])
def test_inverted_masks_of_phantoms_are_told_from_true_ones(source):
    masks = [mask for sample in source.samples() for mask in sample.masks.values()]
    assert len(masks) >= 80
    assert all(enclosure(mask) < INVERTED for mask in masks)
    assert all(enclosure(~mask) >= INVERTED for mask in masks)


def test_a_large_lesion_that_runs_over_three_sides_is_not_inverted():
    mask = np.zeros((40, 60), bool)
    mask[:32, :] = True
    assert enclosure(mask) < 0
    assert enclosure(np.pad(np.ones((36, 56), bool), 2)) < 0


def test_the_inverted_mask_of_a_lesion_on_the_border_is_found():
    lesion = np.zeros((40, 60), bool)
    lesion[10:30, :30] = True
    assert enclosure(~lesion) >= INVERTED > enclosure(lesion)


def test_inverted_masks_of_real_lesions_are_found(real_data):
    files = sorted((real_data / "ham10000" / "masks").glob("*.png"))[::50]
    masks = [read_mask(file, (300, 225), (96, 128))[0] for file in files]
    assert not any(enclosure(mask) >= INVERTED for mask in masks)
    assert np.mean([enclosure(~mask) >= INVERTED for mask in masks]) >= 0.99


@pytest.mark.parametrize("value", [False, True])
def test_an_empty_or_full_mask_has_neither(value):
    mask = np.full((4, 4), value)
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    assert enclosure(mask) is None
    assert separation(pixels, mask) is None


def test_an_image_of_one_colour_has_no_separation():
    pixels = np.full((4, 4, 3), (9, 8, 7), np.uint8)
    assert separation(pixels, np.eye(4, dtype=bool)) is None


def determination(pixels, mask):
    """R² by least squares, in float64."""
    colours = pixels.reshape(-1, 3).astype(np.float64)
    columns = np.column_stack([np.ones(len(colours)), colours])
    y = mask.ravel().astype(np.float64)
    residual = y - columns @ np.linalg.lstsq(columns, y, rcond=1e-9)[0]
    return 1 - (residual**2).sum() / ((y - y.mean()) ** 2).sum()


@given(PICTURES, MASKS)
def test_separation_is_the_r_squared_of_least_squares(pixels, mask):
    assume(mask.any() and not mask.all() and pixels.std() > 0)
    assume(pixels.reshape(-1, 3).astype(float).std(axis=0).any())
    colours = pixels.reshape(-1, 3).astype(np.float64)
    spread = np.linalg.svd(colours - colours.mean(axis=0), compute_uv=False)
    assume(not ((spread > 1e-9 * spread[0]) & (spread < 0.01 * spread[0])).any())
    result = separation(pixels, mask)
    assert result.mask == pytest.approx(determination(pixels, mask), abs=1e-9)
    height, width = mask.shape
    moves = [(a * height // 4, b * width // 4) for a in (-1, 0, 1) for b in (-1, 0, 1) if a or b]
    mirrored = [mask[:, ::-1], mask[::-1], mask[::-1, ::-1]]
    moved = [np.roll(np.roll(mask, down, 0), across, 1) for down, across in moves]
    for views, found in ((mirrored, result.mirrored), (moved, result.moved)):
        best = max(determination(pixels, view) for view in views)
        assert found == pytest.approx(best, abs=1e-9)


def test_separation_of_a_phantom_is_scikit_learns(skin):
    from sklearn.linear_model import LinearRegression

    for pixels, mask in skin[:20]:
        # The middle of each cell of two by two is enough of 64 pixels.
        colours = pixels[1::2, 1::2].reshape(-1, 3).astype(np.float64)
        marked = mask[1::2, 1::2].ravel()
        expected = LinearRegression().fit(colours, marked).score(colours, marked)
        assert separation(pixels, mask).mask == pytest.approx(expected, abs=1e-9)


@given(
    seed=st.integers(0, 1000),
    order=st.permutations([0, 1, 2]),
    gain=st.tuples(*[st.sampled_from([-1, 1, 2, 3])] * 3),
)
def test_an_affine_change_of_colours_changes_nothing(seed, order, gain):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 60, (12, 12, 3), dtype=np.uint8)
    mask = rng.random((12, 12)) < 0.4
    changed = (pixels[..., order].astype(int) * gain + 70).astype(np.uint8)
    assert separation(changed, mask).mask == pytest.approx(separation(pixels, mask).mask, abs=1e-9)


def test_grey_images_have_the_squared_correlation(skin):
    grey = skin[0][0][..., :1].repeat(3, axis=2)
    mask = skin[0][1]
    seen = grey[1::2, 1::2, 0].ravel().astype(float)
    correlation = np.corrcoef(seen, mask[1::2, 1::2].ravel())[0, 1]
    assert separation(grey, mask).mask == pytest.approx(correlation**2, abs=1e-9)


def test_a_mask_and_its_complement_separate_alike(skin):
    for pixels, mask in skin[:10]:
        assert separation(pixels, ~mask).mask == pytest.approx(separation(pixels, mask).mask)


def test_no_true_mask_of_phantom_skin_is_misplaced_and_most_swapped_ones_are(skin):
    assert not any(separation(pixels, mask).misplaced() for pixels, mask in skin)
    masks = [mask for _, mask in skin]
    # By more than the images of one group.
    swapped = [
        separation(pixels, other).misplaced()
        for (pixels, _), other in zip(skin, masks[10:] + masks[:10], strict=True)
    ]
    assert np.mean(swapped) > 0.4


def test_true_masks_fit_better_than_swapped_ones(skin):
    swapped = [mask for _, mask in skin[10:] + skin[:10]]
    true = [separation(pixels, mask).mask for pixels, mask in skin]
    other = [separation(pixels, mask).mask for (pixels, _), mask in zip(skin, swapped, strict=True)]
    assert np.mean(true) > 2 * np.mean(other)


@pytest.mark.parametrize("turned", [np.s_[:, ::-1], np.s_[::-1], np.s_[::-1, ::-1]])
def test_the_mirror_image_of_a_mask_fits_as_well_as_the_mask_when_some_pixels_are_seen(turned):
    for sample in PhantomSkin(images=20, size=(160, 160), seed=5).samples():
        pixels, mask = sample.pixels, sample.masks[EVERY_LABEL]
        true = separation(pixels, mask).mask
        assert separation(pixels, mask[turned]).mirrored >= true - 0.02


def test_a_tie_is_not_misplaced():
    assert not Separation(mask=0.4, mirrored=0.4, moved=0.4).misplaced(0, 0)


def test_other_arrays_are_named():
    mask = np.zeros((4, 6), bool)
    with pytest.raises(DataError, match="give bool"):
        enclosure(mask.astype(np.uint8))
    with pytest.raises(DataError, match=r"\(6, 4, 3\)"):
        separation(np.zeros((6, 4, 3), np.uint8), mask)
    with pytest.raises(DataError, match="float64"):
        separation(np.zeros((4, 6, 3)), mask)
