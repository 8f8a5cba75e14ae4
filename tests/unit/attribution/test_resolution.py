"""How fine maps are: a region itself, as the cells of a method see it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from saliency_audit.attribution.grid import Grid, stretched
from saliency_audit.attribution.resolution import judged, ordinary_ceiling, own_ceiling


def disc(radius: float, centre: tuple[float, float] = (20.0, 30.0)) -> np.ndarray:
    rows, columns = np.mgrid[:64, :64]
    return (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 <= radius**2


@given(st.integers(0, 9), st.sampled_from([1, 2, 4, 8]))
def test_pooling_to_a_stretched_grid_is_the_mean_over_its_blocks(seed, cells):
    values = np.random.default_rng(seed).random((16, 24))
    blocks = values.reshape(cells, 16 // cells, cells, 24 // cells).mean(axis=(1, 3))
    pooled = stretched("x", (cells, cells), (16, 24)).pooled(values)
    np.testing.assert_allclose(pooled, blocks, atol=1e-12)


def test_a_cell_outside_the_image_is_its_nearest_pixel():
    grid = Grid("x", (3, 1), (-9.0, 0.0), (6.0, 1.0), "field", "geometry")
    pooled = grid.pooled(np.arange(4.0)[:, None])
    np.testing.assert_allclose(pooled[:, 0], [0.0, 0.0, (1 + 2 + 3) / 3.5])


def test_cells_as_small_as_pixels_reach_the_ceiling_of_any_map():
    mask = disc(12)
    own = own_ceiling(mask, stretched("x", (64, 64), (64, 64)), 0.05)
    assert own == ordinary_ceiling(mask, 0.05) == 205 / mask.sum()


def test_coarser_cells_see_less():
    """As designed: 2×2 cells hardly meet a lesion, and 8×8 nearly reach the ceiling."""
    centres = ((20, 30), (35, 33), (44, 25))
    masks = [disc(radius, centre) for radius in (8, 12) for centre in centres]
    of_all = np.mean([ordinary_ceiling(mask, 0.05) for mask in masks])
    shares = []
    for cells in (2, 4, 8, 16):
        grid = stretched("x", (cells, cells), (64, 64))
        shares.append(np.mean([own_ceiling(mask, grid, 0.05) for mask in masks]) / of_all)
    assert shares == sorted(shares)
    assert shares[0] < 0.5
    assert shares[2] > 0.9


@pytest.mark.parametrize(
    ("ties", "ceilings", "own", "status"),
    [
        ([0.6, 0.3], [0.3, 0.2], [0.3, 0.2], "ok"),  # of single rows, one is over the bound
        ([0.9, 0.3], [0.3, 0.2], [0.3, 0.2], "coarse_map"),
        ([0.0], [0.3, 0.2], [0.3, 0.14], "coarse_map"),
        ([0.0], [0.3, 0.2], [0.3, 0.16], "ok"),
        ([None, 0.2], [0.3], [], "ok"),
        ([], [], [], None),
        ([None], [0.3], [], None),
    ],
)
def test_a_method_is_judged_by_means(ties, ceilings, own, status):
    assert judged(ties, ceilings, own).status == status
