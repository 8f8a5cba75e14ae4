"""Smooth random fields and soft edges, from which phantoms are drawn.

Everything is a function of position in [0, 1]², so that one image looks the
same at every resolution.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]


@dataclass(frozen=True)
class Canvas:
    """Pixel centres of an image: ``x`` to the right and ``y`` down, (1, W) and (H, 1), 0 to 1.

    ``pixel``: the larger side of a pixel, in the same unit.

    >>> canvas((2, 4)).x.tolist()
    [[0.125, 0.375, 0.625, 0.875]]
    """

    size: tuple[int, int]
    x: Field
    y: Field
    pixel: float

    def around(self, centre: tuple[float, float], angle: float) -> tuple[Field, Field]:
        """Coordinates (H, W) about a centre (x, y), turned by an angle in radians."""
        dx, dy = self.x - np.float32(centre[0]), self.y - np.float32(centre[1])
        cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        return cos * dx + sin * dy, cos * dy - sin * dx


@lru_cache(maxsize=4)
def canvas(size: tuple[int, int]) -> Canvas:
    """Give the canvas of a size (H, W), pixels."""
    height, width = size
    x = ((np.arange(width) + 0.5) / width).astype(np.float32)[None, :]
    y = ((np.arange(height) + 0.5) / height).astype(np.float32)[:, None]
    return Canvas(size, x, y, 1 / min(size))


def soft(distance: Field, width: float) -> Field:
    """Cover of an edge, 0 to 1: 1 where ``distance`` is below -width/2, 0 above width/2.

    >>> soft(np.float32([-1, 0, 1]), 0.1).tolist()
    [1.0, 0.5, 0.0]
    """
    cover: Field = np.clip(np.float32(0.5) - distance / np.float32(width), 0, 1)
    return cover


def smooth_noise(
    rng: np.random.Generator, size: tuple[int, int], cells: int, octaves: int = 1
) -> Field:
    """Random field (H, W) of mean 0 and deviation about 1, with ``cells`` bumps a side.

    Each further octave has twice the bumps and half the height. The numbers drawn do not depend
    on ``size``.
    """
    total = np.zeros(size, np.float32)
    for octave in range(octaves):
        count = cells * 2**octave
        grid = rng.standard_normal((count + 3, count + 3), dtype=np.float32)
        rows, columns = _interpolation(size[0], count), _interpolation(size[1], count)
        total += np.float32(0.5**octave) * (rows @ grid @ columns.T)
    return total


@lru_cache(maxsize=64)
def _interpolation(length: int, cells: int) -> Field:
    """Cubic B-spline weights (length, cells + 3), scaled so that noise keeps its deviation."""
    position = (np.arange(length) + 0.5) / length * cells
    start = np.minimum(position.astype(int), cells - 1)
    t = position - start
    pieces = np.stack(
        [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]
    )
    weights = np.zeros((length, cells + 3))
    for offset in range(4):
        weights[np.arange(length), start + offset] = pieces[offset] / 6
    scaled: Field = (weights / np.sqrt((weights**2).sum(axis=1).mean())).astype(np.float32)
    return scaled
