"""Quasi-random points: each uniform by itself, together more even than chance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: The roots above 1 of x² = x + 1 and x³ = x + 1.
GOLDEN = 1.6180339887498949
PLASTIC = 1.3247179572447460


def line_points(offset: float, start: int, count: int) -> NDArray[np.float64]:
    """Give points ``start`` to ``start + count`` of a sequence that fills [0, 1), (count,).

    The additive recurrence with the golden ratio, moved by ``offset`` in [0, 1). With a random
    offset each point is uniform, so a mean over any number of points is unbiased.

    >>> line_points(0.0, 1, 3).round(3).tolist()
    [0.618, 0.236, 0.854]
    """
    return np.asarray((offset + np.arange(start, start + count) / GOLDEN) % 1)


def square_points(offset: NDArray[np.float64], start: int, count: int) -> NDArray[np.float64]:
    """Give points ``start`` to ``start + count`` of a sequence that fills [0, 1)², (count, 2).

    As ``line_points``, with powers of the plastic number (R2, Roberts 2018) and two offsets.

    >>> square_points(np.zeros(2), 1, 2).round(3).tolist()
    [[0.755, 0.57], [0.51, 0.14]]
    """
    steps = np.array([PLASTIC**-1, PLASTIC**-2])
    return np.asarray((offset + np.arange(start, start + count)[:, None] * steps) % 1)
