"""Noisy linear imputation: removed pixels filled in from their neighbours.

Source: Rong et al. 2022 (ROAD), with the weights of its authors' code: a removed pixel is the
weighted mean of its eight neighbours, removed ones among them, which makes a sparse linear system;
noise is added so that the filled region is not told from its smoothness. A removed region that is
filled shows less of its outline than one that is painted over: the outline is information on the
label.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from saliency_audit.errors import DataError
from saliency_audit.faithfulness.scoring import check_image
from saliency_audit.measures.arrays import Mask, check_mask

if TYPE_CHECKING:
    from torch import Tensor

#: Weight of a neighbour by its offset (rows, columns): 1/6 beside, 1/12 across a corner.
NEIGHBOURS = tuple(
    ((row, column), 1 / 12 if row and column else 1 / 6)
    for row in (-1, 0, 1)
    for column in (-1, 0, 1)
    if row or column
)


def impute(image: Tensor, removed: Mask, noise: NDArray[np.float64] | None = None) -> Tensor:
    """Fill removed pixels in (C, H, W): each is the weighted mean of its eight neighbours.

    ``removed``: (H, W), at least one pixel left; ``noise``: (C, H, W), added to the removed
    pixels, or None. At the border the weights of the neighbours that exist are scaled to sum
    to 1. Solved in float64, given in the image's type; the noise may leave the image's range.
    Needs scipy. Raises DataError where shapes do not fit or every pixel is removed.

    >>> import torch
    >>> impute(torch.tensor([[[0.0, 9.0, 1.0]]]), np.array([[False, True, False]]))
    tensor([[[0.0000, 0.5000, 1.0000]]])
    """
    import torch

    check_image(image)
    check_mask(removed, tuple(image.shape[1:]))
    if removed.all():
        raise DataError("every pixel is removed, so there is nothing to fill them from: keep one")
    pixels = image.detach().double().cpu().numpy()
    if noise is not None and noise.shape != pixels.shape:
        raise DataError(f"noise has shape {noise.shape}: give {pixels.shape}, the image's")
    filled = pixels.copy()
    if removed.any():
        filled[:, removed] = _solve(pixels, removed)
        if noise is not None:
            filled[:, removed] += noise[:, removed]
    return torch.from_numpy(filled).to(image.device, image.dtype)


def _solve(pixels: NDArray[np.float64], removed: Mask) -> NDArray[np.float64]:
    """Solve for the removed pixels, (C, n), row by row of the image.

    Each equation is multiplied by the sum of its weights, which makes the matrix symmetric.
    """
    from scipy.sparse import csc_array
    from scipy.sparse.linalg import splu

    height, width = removed.shape
    rows, columns = np.nonzero(removed)
    count = len(rows)
    number = np.full(removed.shape, -1)
    number[rows, columns] = np.arange(count)
    weights = np.zeros(count)
    known = np.zeros((count, len(pixels)))
    places, values = [np.arange(count).repeat(2).reshape(count, 2).T], [weights]
    for (down, right), weight in NEIGHBOURS:
        row, column = rows + down, columns + right
        exists = np.flatnonzero((row >= 0) & (row < height) & (column >= 0) & (column < width))
        weights[exists] += weight
        neighbour = number[row[exists], column[exists]]
        here = exists[neighbour < 0]
        known[here] += weight * pixels[:, row[here], column[here]].T
        both = exists[neighbour >= 0]
        places.append(np.stack([both, neighbour[neighbour >= 0]]))
        values.append(np.full(len(both), -weight))
    which = np.concatenate(places, axis=1)
    matrix = csc_array((np.concatenate(values), (which[0], which[1])), shape=(count, count))
    symmetric = {"SymmetricMode": True}
    factors = splu(matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=symmetric)
    solution: NDArray[np.float64] = factors.solve(known).T
    return solution
