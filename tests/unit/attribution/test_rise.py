"""RISE against its definition, with all masks of a tiny grid enumerated."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest
import torch

from saliency_audit.attribution.maps import quantise
from saliency_audit.attribution.random_masks import mask_stream
from saliency_audit.attribution.rise import Rise
from saliency_audit.compute import Compute
from saliency_audit.errors import ParameterError


def scaled_up(grid: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bilinear, by the definition: each pixel's centre between the centres of the cells."""
    result = np.zeros(size)
    for row, column in itertools.product(*map(range, size)):
        places = [
            np.clip((place + 0.5) * cells / length - 0.5, 0, cells - 1)
            for place, cells, length in zip((row, column), grid.shape, size, strict=True)
        ]
        for corner in itertools.product((0, 1), repeat=2):
            index, weight = [], 1.0
            for place, side, cells in zip(places, corner, grid.shape, strict=True):
                low = int(place)
                index.append(min(low + side, cells - 1))
                weight *= (place - low) if side else 1 - (place - low)
            result[row, column] += weight * grid[tuple(index)]
    return result


def all_masks(grid: int, size: tuple[int, int]) -> dict[tuple[int, ...], list[np.ndarray]]:
    """Every mask of a grid's every pattern: one per shift."""
    cells = [-(-length // grid) for length in size]
    larger = tuple((grid + 1) * cell for cell in cells)
    found = {}
    for pattern in itertools.product((0, 1), repeat=grid * grid):
        whole = scaled_up(np.array(pattern, dtype=float).reshape(grid, grid), larger)
        found[pattern] = [
            whole[row : row + size[0], column : column + size[1]]
            for row, column in itertools.product(*map(range, cells))
        ]
    return found


def drawn(samples: int, grid: int, size: tuple[int, int], **options) -> np.ndarray:
    settings = {"visible": 0.5, "seed": 0, "key": "key", "rows": 16, **options}
    visible = settings.pop("visible")
    return torch.cat(list(mask_stream(samples, grid, visible, size, **settings)))[:, 0].numpy()


@pytest.mark.parametrize(("grid", "size"), [(2, (4, 4)), (2, (5, 3)), (1, (2, 3))])
def test_each_mask_is_a_shifted_grid_scaled_up_and_all_of_them_come(grid, size):
    possible = np.array([mask for shifts in all_masks(grid, size).values() for mask in shifts])
    distinct = np.unique(possible.round(6), axis=0)
    found = np.unique(drawn(4000, grid, size).astype(float).round(6), axis=0)
    np.testing.assert_allclose(found, distinct, atol=2e-6)


def test_the_mean_mask_is_that_of_all_of_them_by_their_probability():
    grid, size, visible, samples = 2, (4, 4), 0.3, 20000
    mean, square = np.zeros(size), np.zeros(size)
    for pattern, shifts in all_masks(grid, size).items():
        chance = visible ** sum(pattern) * (1 - visible) ** (4 - sum(pattern)) / len(shifts)
        mean += chance * sum(shifts)
        square += chance * sum(mask**2 for mask in shifts)
    error = np.sqrt((square - mean**2) / samples)
    found = drawn(samples, grid, size, visible=visible).mean(0)
    assert (np.abs(found - mean) < 5 * error).all()


def test_masks_depend_on_seed_and_key_and_not_on_how_many_are_made_at_a_time():
    plain = drawn(37, 3, (7, 9))
    np.testing.assert_array_equal(plain, drawn(37, 3, (7, 9), rows=5))
    np.testing.assert_array_equal(plain[:20], drawn(20, 3, (7, 9)))
    assert not np.array_equal(plain, drawn(37, 3, (7, 9), seed=1))
    assert not np.array_equal(plain, drawn(37, 3, (7, 9), key="other"))


def test_in_an_orthogonal_block_any_two_cells_are_uncorrelated():
    """49 cells in blocks of twice 64; at one pixel per cell there is no shift."""
    masks = drawn(256, 7, (7, 7), design="orthogonal", rows=10).astype(np.float64)
    along = np.stack([scaled_up(np.eye(7)[[cell]], (1, 8))[0, :7] for cell in range(7)], axis=1)
    cells = np.linalg.inv(along) @ masks @ np.linalg.inv(along).T
    np.testing.assert_allclose(cells, cells.round(), atol=1e-4)
    signs = 2 * cells.round().reshape(2, 128, 49) - 1
    for block in signs:
        np.testing.assert_array_equal(block.sum(0), 0)
        np.testing.assert_array_equal(block.T @ block, 128 * np.eye(49))
    np.testing.assert_array_equal(signs[:, ::2], -signs[:, 1::2])
    assert not np.array_equal(signs[0], signs[1])


def test_each_orthogonal_mask_is_one_of_the_papers_as_likely_as_any():
    """Of the 16 patterns of a 2 x 2 grid at one shift, each comes in a sixteenth of the masks."""
    possible = np.array([mask for (mask,) in all_masks(2, (2, 2)).values()]).reshape(16, 4)
    found = drawn(16000, 2, (2, 2), design="orthogonal").reshape(-1, 4)
    which = np.abs(found[:, None] - possible).max(2).argmin(1)
    assert np.abs(found - possible[which]).max() < 1e-6
    counts = np.bincount(which, minlength=16)
    # Pairs of opposites are drawn together: twice the variance of independent draws.
    assert np.abs(counts - 1000).max() < 5 * np.sqrt(2 * 1000)


@pytest.mark.parametrize("degree", [1, 2])
def test_one_orthogonal_block_has_the_limit_of_all_masks(of_function, degree):
    """Of a score that is linear in the cells, or in products of two of them."""
    size, grid = (3, 3), 3
    weights = torch.arange(1.0, 10).view(3, 3).sin().double()

    def score(pixels):
        # Cells are recovered from the mask, as the image is white.
        cells = torch.linalg.pinv(scale) @ pixels[:, 0].flatten(1).double().T
        signs = 2 * cells - 1
        total = weights.flatten() @ signs
        if degree == 2:
            total = total + signs[0] * signs[4] - 3 * signs[2] * signs[3]
        return torch.stack([total, -total], dim=1)

    unit = [scaled_up(np.eye(9)[cell].reshape(3, 3), (4, 4))[:3, :3].ravel() for cell in range(9)]
    scale = torch.from_numpy(np.stack(unit, axis=1))
    white = torch.ones((1, 3, *size))
    ((raw,),) = Rise(samples=32, grid=grid, score="logit", design="orthogonal").explain(
        of_function(score), white, [[0]], ["key"], compute=Compute(batch=8)
    )
    masks = np.array([mask for (mask,) in all_masks(grid, size).values()])
    scores = score(torch.from_numpy(masks)[:, None].repeat(1, 3, 1, 1))[:, 0].numpy()
    expected = np.tensordot(scores - scores.mean(), masks, 1) / masks.sum(0)
    np.testing.assert_allclose(raw.values, expected - expected.min(), atol=1e-5)


def test_an_orthogonal_design_is_for_cells_seen_half_of_the_time():
    with pytest.raises(ParameterError, match="but design orthogonal shows"):
        Rise(visible=0.4, design="orthogonal")
    with pytest.raises(ParameterError, match="grid is 65, but design orthogonal"):
        Rise(grid=65, design="orthogonal")


@pytest.mark.parametrize("estimator", ["centred", "plain"])
@pytest.mark.parametrize("score", ["probability", "logit"])
@pytest.mark.parametrize(("design", "visible"), [("independent", 0.4), ("orthogonal", 0.5)])
def test_the_map_is_its_definition_mask_by_mask(small, images, estimator, score, design, visible):
    if (estimator, score) == ("plain", "logit"):
        with pytest.raises(ParameterError, match="estimator plain"):
            Rise(estimator=estimator, score=score)
        return
    samples = 50
    drawing = {"visible": visible, "seed": 2, "design": design}
    rise = Rise(samples=samples, grid=4, estimator=estimator, score=score, **drawing)
    (maps,) = rise.explain(small, images[:1], [[2, 0]], ["key"], compute=Compute(batch=8))
    masks = drawn(samples, 4, (64, 64), **drawing).astype(np.float64)
    exact = copy.deepcopy(small).double()
    for raw, label in zip(maps, (2, 0), strict=True):
        scores = []
        for mask in masks:
            found = exact(images[:1].double() * torch.from_numpy(mask))
            found = exact.probabilities(found) if score == "probability" else found
            scores.append(float(found[0, label].detach()))
        if estimator == "plain":
            expected = sum(f * m for f, m in zip(scores, masks, strict=True)) / (samples * visible)
        else:
            mean = np.mean(scores)
            summed = sum((f - mean) * m for f, m in zip(scores, masks, strict=True))
            expected = summed / sum(masks)
            expected -= expected.min()
        np.testing.assert_allclose(raw.values, expected, atol=1e-5 * expected.max())


def test_many_samples_tend_to_the_sum_over_all_masks(of_function):
    """Plain RISE of a score that is no linear function, against its expectation."""
    image = torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(0))

    def scores(points: torch.Tensor) -> torch.Tensor:
        found = 8 * points[:, 0, :2, :2].mean((1, 2)) * points[:, 1].mean((1, 2)) - 1
        return torch.stack([found, -found], dim=1)

    classifier = of_function(scores)
    mean, square, samples = 0.0, 0.0, 20000
    for shifts in all_masks(2, (4, 4)).values():
        for mask in shifts:
            points = image * torch.from_numpy(mask).float()
            f = float(classifier.probabilities(classifier(points))[0, 0])
            term = f * mask / 0.5
            mean, square = mean + term / (16 * len(shifts)), square + term**2 / (16 * len(shifts))
    ((raw,),) = Rise(samples=samples, grid=2, estimator="plain").explain(
        classifier, image, [[0]], ["key"], compute=Compute(batch=512)
    )
    assert (np.abs(raw.values - mean) < 5 * np.sqrt((square - mean**2) / samples)).all()


def test_the_part_that_the_score_hangs_on_is_found(of_function, images):
    def scores(points: torch.Tensor) -> torch.Tensor:
        found = 6 * points[:, :, 8:24, 32:48].mean((1, 2, 3)) - 1
        return torch.stack([found, -found], dim=1)

    bright = torch.ones_like(images[:1])
    ((raw, against),) = Rise(samples=1500).explain(
        of_function(scores), bright, [[0, 1]], ["key"], compute=Compute(batch=64)
    )
    inside = np.zeros((64, 64), dtype=bool)
    inside[8:24, 32:48] = True
    assert inside.flat[np.argsort(raw.values, axis=None)[-50:]].all()
    assert inside.flat[np.argsort(against.values, axis=None)[:50]].all()


def test_a_score_that_never_changes_gives_zeros_by_the_centred_estimator(of_function, images):
    constant = of_function(lambda points: points.new_full((len(points), 2), 0.7))
    ((raw,),) = Rise(samples=33).explain(
        constant, images[:1], [[0]], ["key"], compute=Compute(batch=8)
    )
    assert quantise(raw, 0.05).status == "zero_map"


def test_an_image_smaller_than_the_grid_is_refused(small):
    with pytest.raises(ParameterError, match="grid is 7, but the images have 6x9 pixels"):
        Rise().explain(small, torch.zeros(1, 3, 6, 9), [[0]], ["key"], compute=Compute(batch=2))


@pytest.mark.parametrize(
    "wrong",
    [
        {"samples": 1},
        {"samples": 0, "estimator": "plain"},
        {"grid": 0},
        {"visible": 1.0},
        {"visible": float("nan")},
        {"seed": -1},
    ],
)
def test_parameters_out_of_range_are_named(wrong):
    with pytest.raises(ParameterError, match=next(iter(wrong))):
        Rise(**wrong)
