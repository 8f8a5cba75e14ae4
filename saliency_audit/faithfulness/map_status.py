"""What a map is, before anything is read from it: usable, NaN, zero or constant."""

from __future__ import annotations

import numpy as np

from saliency_audit.errors import DataError
from saliency_audit.measures.arrays import SaliencyMap, check_map
from saliency_audit.measures.status import Status


def map_status(saliency: SaliencyMap) -> Status:
    """Give the first that applies of ``NAN_MAP``, ``ZERO_MAP``, ``CONSTANT_MAP`` and ``OK``.

    ``saliency`` is (H, W), float16, float32 or float64, of either sign; ``NAN_MAP`` stands for
    infinity too. Raises DataError on another shape or type.

    >>> map_status(np.array([[0.0, 0.5]])).value, map_status(np.full((2, 2), 0.5)).value
    ('ok', 'constant_map')
    """
    if np.issubdtype(saliency.dtype, np.floating) and not np.isfinite(saliency).all():
        check_map(np.zeros_like(saliency))  # shape and type alone
        return Status.NAN_MAP
    check_map(saliency)
    lowest, highest = saliency.min(), saliency.max()
    if lowest == highest:
        return Status.ZERO_MAP if highest == 0 else Status.CONSTANT_MAP
    return Status.OK


def check_same_shape(first: SaliencyMap, second: SaliencyMap) -> None:
    """Raise DataError unless two maps have one shape."""
    if first.shape != second.shape:
        raise DataError(
            f"maps of {first.shape} and {second.shape} pixels were compared: "
            "give maps of one image in one size"
        )
