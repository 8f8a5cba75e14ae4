"""Imputation solves the paper's equations; ROAD is the reference library's where they agree."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pytorch_grad_cam.metrics.perturbation_confidence import (
    RemoveLeastRelevantFirst,
    RemoveMostRelevantFirst,
)
from pytorch_grad_cam.metrics.road import NoisyLinearImputer

from saliency_audit.errors import DataError, ParameterError
from saliency_audit.faithfulness.imputation import impute
from saliency_audit.faithfulness.road import SHARES, road
from saliency_audit.measures.status import Status

MASKS = hnp.arrays(np.bool_, st.tuples(st.integers(1, 6), st.integers(1, 6))).filter(
    lambda mask: not mask.all()
)


def picture(shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).random(shape))


@given(MASKS)
def test_a_removed_pixel_is_the_weighted_mean_of_its_neighbours(removed):
    """A dense matrix, written out pixel by pixel with the weights of the paper."""
    height, width = removed.shape
    image = picture((2, height, width))
    matrix = np.eye(height * width)
    right = image.flatten(1).numpy().T.copy()
    for pixel in np.flatnonzero(removed):
        row, column = divmod(int(pixel), width)
        weights = {
            (r, c): 1 / 6 if r == row or c == column else 1 / 12
            for r in range(max(0, row - 1), min(height, row + 2))
            for c in range(max(0, column - 1), min(width, column + 2))
            if (r, c) != (row, column)
        }
        right[pixel] = 0
        for (r, c), weight in weights.items():
            matrix[pixel, r * width + c] = -weight / sum(weights.values())
    expected = np.linalg.solve(matrix, right).T.reshape(image.shape)
    np.testing.assert_allclose(impute(image, removed).numpy(), expected, atol=1e-10)


@given(MASKS)
def test_without_noise_imputation_is_the_reference_librarys(removed):
    if not removed.any():  # the library cannot solve an empty system
        return
    image = picture((3, *removed.shape), seed=1).float()
    kept = torch.from_numpy(~removed).float()
    theirs = NoisyLinearImputer(noise=0)(image, kept)
    np.testing.assert_allclose(impute(image, removed).numpy(), theirs.numpy(), atol=1e-5)


@given(MASKS)
def test_a_flat_image_stays_flat_and_no_value_passes_those_that_are_left(removed):
    flat = torch.full((1, *removed.shape), 0.375, dtype=torch.float64)
    np.testing.assert_allclose(impute(flat, removed).numpy(), 0.375, atol=1e-12)
    image = picture((1, *removed.shape))
    kept = image.numpy()[:, ~removed]
    filled = impute(image, removed).numpy()
    assert kept.min() - 1e-12 <= filled.min()
    assert filled.max() <= kept.max() + 1e-12


def test_a_ramp_is_restored_where_its_border_is_left():
    rows, columns = np.indices((9, 12))
    ramp = torch.from_numpy(0.05 * rows + 0.03 * columns)[None]
    removed = np.zeros((9, 12), dtype=bool)
    removed[1:8, 1:11] = True
    np.testing.assert_allclose(impute(ramp, removed).numpy(), ramp.numpy(), atol=1e-12)


def test_noise_is_added_to_removed_pixels_alone():
    image = picture((3, 6, 7))
    removed = np.random.default_rng(2).random((6, 7)) < 0.4
    noise = np.random.default_rng(3).normal(size=(3, 6, 7))
    difference = impute(image, removed, noise).numpy() - impute(image, removed).numpy()
    np.testing.assert_allclose(difference, np.where(removed, noise, 0), atol=1e-12)


def test_road_is_the_reference_librarys_where_there_are_no_ties(image, saliency, curved, compute):
    found = road(curved, image, saliency, compute=compute, key=(0,), noise=0)
    imputer = NoisyLinearImputer(noise=0)
    cam = torch.from_numpy(saliency)
    whole = float(curved(image[None]))
    assert found.original == whole
    for index, share in enumerate(SHARES):
        # Theirs is the percentile above which pixels are removed.
        percentile = round(100 * (1 - share))
        for scores, removal in (
            (found.morf, RemoveMostRelevantFirst(percentile, imputer)),
            (found.lerf, RemoveLeastRelevantFirst(percentile, imputer)),
        ):
            theirs = float(curved(removal(image, cam)[None]))
            assert scores[index] == pytest.approx(theirs, abs=1e-5)
    assert found.mean_difference == pytest.approx(np.mean(found.lerf - found.morf), abs=1e-15)
    np.testing.assert_array_equal(found.difference, found.lerf - found.morf)


def test_the_reference_library_removes_more_where_there_are_ties(image):
    """Why it is no reference there: a share of 10 % removes every pixel of the highest level."""
    levels = np.zeros((10, 10))
    levels[:5] = 1.0
    seen = []

    def imputer(_, kept):
        seen.append(int((kept == 0).sum()))
        return image

    RemoveMostRelevantFirst(90, imputer)(image, torch.from_numpy(levels))
    assert seen == [50]


def test_the_score_counts_as_many_removed_pixels_as_the_share_says(saliency, compute):
    """The score is the number of pixels that are no longer white, which noise alone changes."""
    board = torch.ones(1, 10, 10)
    ties = np.floor(4 * saliency)

    def noticed(images):
        return (images != 1).double().sum(dim=(1, 2, 3))

    found = road(
        noticed, board, ties, compute=compute, key=(1,), shares=(0.07, 0.1, 0.95), noise=0.01
    )
    assert found.morf.tolist() == found.lerf.tolist() == [7, 10, 95]


def test_reversing_a_map_swaps_the_two_orders(image, saliency, curved, compute):
    one = road(curved, image, saliency, compute=compute, key=(2,))
    other = road(curved, image, -saliency, compute=compute, key=(2,))
    np.testing.assert_array_equal(one.morf, other.lerf)
    assert one.mean_difference == -other.mean_difference


def test_a_planted_region_is_found_and_one_beside_it_is_not(compute):
    """The score is the brightness of a patch that stands out."""
    image = torch.full((3, 16, 16), 0.2)
    image[:, 2:6, 2:6] = 0.9
    right, wrong = np.zeros((16, 16)), np.zeros((16, 16))
    right[2:6, 2:6], wrong[9:13, 9:13] = 1, 1

    def brightness(images):
        return images[:, :, 2:6, 2:6].double().mean(dim=(1, 2, 3))

    options = {"compute": compute, "key": (3,), "shares": (16 / 256,)}
    assert road(brightness, image, right, **options).mean_difference > 0.6
    # Its most relevant pixels lie beside the patch; of the others, which all tie, some lie in it.
    assert road(brightness, image, wrong, **options).mean_difference <= 0.01


def test_a_model_that_ignores_the_image_scores_alike(image, saliency, compute):
    found = road(
        lambda images: images.new_full((len(images),), 0.375),
        image,
        saliency,
        compute=compute,
        key=(4,),
    )
    assert (found.morf == 0.375).all()
    assert found.mean_difference == 0


def test_the_key_alone_decides_the_noise(image, saliency, curved, compute):
    one, same, other = (
        road(curved, image, saliency, compute=compute, key=key, noise=0.1)
        for key in ((5, 1), (5, 1), (5, 2))
    )
    np.testing.assert_array_equal(one.morf, same.morf)
    assert (one.morf != other.morf).any()


@pytest.mark.parametrize(("value", "status"), [(0.0, Status.ZERO_MAP), (2.0, Status.CONSTANT_MAP)])
def test_a_map_that_ranks_no_pixels_has_no_road(image, curved, compute, value, status):
    found = road(curved, image, np.full((10, 10), value), compute=compute, key=(0,))
    assert (found.mean_difference, found.original, found.status) == (None, None, status)
    assert found.morf.size == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shares": ()}, "at least one"),
        ({"shares": (0.5, 1.0)}, "1.0"),
        ({"shares": (0.0,)}, "0.0"),
        ({"shares": (0.999,)}, "every pixel"),
        ({"noise": -1}, "noise"),
    ],
)
def test_wrong_numbers_are_refused(image, saliency, curved, compute, options, message):
    with pytest.raises(ParameterError, match=message):
        road(curved, image, saliency, compute=compute, key=(0,), **options)


def test_wrong_masks_are_refused(image):
    with pytest.raises(DataError, match="keep one"):
        impute(image, np.ones((10, 10), dtype=bool))
    with pytest.raises(DataError, match="shape"):
        impute(image, np.ones((9, 10), dtype=bool))
    with pytest.raises(DataError, match="noise"):
        impute(image, np.eye(10, dtype=bool), np.zeros((10, 10)))
