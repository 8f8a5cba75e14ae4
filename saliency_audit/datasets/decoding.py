"""What readers of every file format share: the file that cannot be used, and values as 8 bits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class UnusableFile(Exception):  # noqa: N818 - it says what the file is, and never reaches a person
    """A file cannot be used; ``reason`` in one word, ``detail`` with what to do."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


def spread(values: NDArray[np.float64]) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Spread values of any range over 0 to 255, uint8; raises UnusableFile where none is finite.

    >>> spread(np.array([[0.0, 500.0, 1000.0]]))
    (array([[  0, 128, 255]], dtype=uint8), ('scaled_min_max',))
    """
    if not np.isfinite(values).all():
        raise UnusableFile("unreadable", "it holds values that are not finite: export it again")
    low, high = float(values.min()), float(values.max())
    scaled = (values - low) / ((high - low) or 1.0) * 255
    return np.floor(scaled + 0.5).astype(np.uint8), ("scaled_min_max",)
