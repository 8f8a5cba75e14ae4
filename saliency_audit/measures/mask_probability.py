"""How sure the segmenter is of the mask that it marks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from saliency_audit.errors import DataError
from saliency_audit.measures.arrays import Mask, check_mask


def mean_mask_probability(probability: NDArray[np.floating[Any]], predicted: Mask) -> float | None:
    """Mean of the segmenter's probability (H, W) inside P (H, W), in [0, 1]; None of an empty P.

    Raises DataError where the shapes differ or a probability is outside [0, 1].

    >>> mean_mask_probability(np.array([[0.75, 0.5, 0.1]]), np.array([[True, True, False]]))
    0.625
    """
    check_mask(predicted, probability.shape)
    if not ((probability >= 0) & (probability <= 1)).all():
        raise DataError("a segmenter's probability is outside [0, 1] or NaN: apply its sigmoid")
    inside = probability[predicted]
    return float(inside.mean(dtype=np.float64)) if inside.size else None
