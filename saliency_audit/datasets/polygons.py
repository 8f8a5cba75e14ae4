"""Masks drawn from polygons and boxes at any resolution."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


def draw_polygon(points: NDArray[np.float64], size: tuple[int, int]) -> Mask:
    """Draw a polygon; gives bool (H, W).

    ``points``: (n, 2), x right and y down, in pixels of the result, where pixel (row 0, column 0)
    spans 0 to 1; closed by itself. A pixel is inside where its centre is (even-odd rule). A
    polygon so small that it holds no centre marks the pixel of its middle, so that a small
    finding never vanishes.

    >>> draw_polygon(np.array([[1, 1], [3, 1], [3, 2], [1, 2]]), (3, 4)).astype(int).tolist()
    [[0, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    """
    height, width = size
    x0, y0 = points[:, 0], points[:, 1]
    x1, y1 = np.roll(x0, -1), np.roll(y0, -1)
    centres = np.arange(height) + 0.5
    # Half-open edges: a vertex on a row of centres is counted once.
    rows, edges = np.nonzero((y0 <= centres[:, None]) != (y1 <= centres[:, None]))
    slope = (x1[edges] - x0[edges]) / (y1[edges] - y0[edges])
    crossing = x0[edges] + (centres[rows] - y0[edges]) * slope
    first = np.clip(np.ceil(crossing - 0.5), 0, width).astype(int)
    crossings = np.zeros((height, width + 1), int)
    np.add.at(crossings, (rows, first), 1)
    mask: Mask = np.cumsum(crossings, axis=1)[:, :width] % 2 == 1
    if not mask.any():
        x, y = (points.min(axis=0) + points.max(axis=0)) / 2
        mask[min(max(int(y), 0), height - 1), min(max(int(x), 0), width - 1)] = True
    return mask


def box_corners(box: Sequence[float]) -> NDArray[np.float64]:
    """Corners (4, 2) of a box (x1, y1, x2, y2).

    >>> box_corners([0, 1, 2, 3]).tolist()
    [[0.0, 1.0], [2.0, 1.0], [2.0, 3.0], [0.0, 3.0]]
    """
    left, top, right, bottom = box
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float64)
