"""What maps and masks look like in this room, and the checks that hold them to it.

Measures themselves belong in the other modules.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from saliency_audit.errors import DataError

#: A saliency map (height, width), float16, float32 or float64.
SaliencyMap = NDArray[np.floating[Any]]

#: A mask (height, width): True where the region is.
Mask = NDArray[np.bool_]

#: Pixels by their flat index, row by row.
Pixels = NDArray[np.int64]

#: The bit pattern of 1.0 as float16; non-negative halves order like their patterns.
ONE = 0x3C00


def check_map(saliency: SaliencyMap) -> None:
    """Raise DataError unless the map is (height, width), floating, finite and has a pixel."""
    if saliency.ndim != 2 or saliency.size == 0:
        raise DataError(
            f"a saliency map has shape {saliency.shape}: give one map (height, width) at a time"
        )
    if saliency.dtype not in (np.float16, np.float32, np.float64):
        raise DataError(
            f"a saliency map is of type {saliency.dtype}: give float16, float32 or float64"
        )
    if not np.isfinite(saliency).all():
        raise DataError(
            "a saliency map holds NaN or infinity: such a map has the status nan_map and no measure"
        )


def check_mask(mask: Mask, shape: tuple[int, ...]) -> None:
    """Raise DataError unless the mask is boolean and has the shape of what it is laid over."""
    if mask.dtype != np.bool_:
        raise DataError(f"a mask is of type {mask.dtype}: give booleans, as mask > threshold does")
    if mask.shape != shape:
        raise DataError(
            f"a mask has shape {mask.shape} and what it is laid over {shape}: "
            "scale the mask (nearest neighbour) first"
        )


def area(mask: Mask) -> int:
    """Pixels of a mask.

    >>> area(np.array([[True, False]]))
    1
    """
    return int(np.count_nonzero(mask))


def share(mask: Mask) -> float:
    """Share of the image that a mask covers, in [0, 1].

    >>> share(np.array([[True, False]]))
    0.5
    """
    return area(mask) / mask.size


def stored_patterns(saliency: SaliencyMap) -> NDArray[np.uint16]:
    """Bit patterns (height · width,) of a stored map: float16 in [0, 1], no negative zero.

    They are at most ``ONE`` and order like the values. Raises DataError on any other map.

    >>> stored_patterns(np.array([[0.0, 0.5, 1.0]], dtype=np.float16))
    array([    0, 14336, 15360], dtype=uint16)
    """
    if saliency.ndim != 2 or saliency.size == 0 or saliency.dtype != np.float16:
        raise DataError(
            f"a stored saliency map is float16 (height, width), not {saliency.dtype} "
            f"{saliency.shape}: normalise and round it as it is stored"
        )
    patterns = np.ascontiguousarray(saliency).view(np.uint16).reshape(-1)
    if patterns.max() > ONE:
        raise DataError(
            "a stored saliency map holds a value outside [0, 1], NaN or negative zero: "
            "normalise it as it is stored"
        )
    return patterns
