"""Area under the IoU-threshold curve, exactly: over saliency, and over the kept area.

Source: SegX paper, Eqs 10 and 12. ``auitc`` depends on the histogram of a
map's values and compares a map with its own controls only; ``auitc_area``
depends on the ranking alone and compares methods.
"""

from __future__ import annotations

import numpy as np

from saliency_audit.measures.area_curve import rank, whole_curve
from saliency_audit.measures.arrays import ONE, Mask, SaliencyMap, area, check_mask, stored_patterns

#: The values that a stored map can have, 0 to 1, and their distances.
_VALUES = np.arange(ONE + 1, dtype=np.uint16).view(np.float16).astype(np.float64)
_STEPS = np.diff(_VALUES)

#: Beyond every pattern: pixels in the mask are counted that much further up.
_INSIDE = 1 << 14


def auitc(saliency: SaliencyMap, mask: Mask) -> float | None:
    """AUITC = ∫₀¹ IoU(M, {m ≥ τ}) dτ in [0, 1], exactly (Eqs 10 and 12); None of an empty mask.

    ``saliency`` is a stored map (H, W), float16 in [0, 1]; ``mask`` is M (H, W). The integrand is
    a step function with its steps at halves, of which there are 15,361: pixels are counted by bit
    pattern, in and out of M. Above the map's maximum the IoU is 0. τ = 0, which keeps every pixel,
    has no width. Raises DataError on another map or mask.

    >>> auitc(np.array([[1.0, 0.5, 0.0]], dtype=np.float16), np.array([[True, False, False]]))
    0.75
    """
    patterns = stored_patterns(saliency)
    check_mask(mask, saliency.shape)
    truth = area(mask)
    if not truth:
        return None
    keys = patterns + (mask.reshape(-1).view(np.uint8).astype(np.uint16) << np.uint16(14))
    outside, inside = np.bincount(keys, minlength=2 * _INSIDE).reshape(2, _INSIDE)
    shared = np.cumsum(inside[ONE:0:-1])[::-1]
    other = np.cumsum(outside[ONE:0:-1])[::-1]
    return min(1.0, float(np.sum(_STEPS * (shared / (truth + other)))))


def auitc_area(saliency: SaliencyMap, mask: Mask) -> float | None:
    """AUITC with τ as the kept area fraction, in [0, 1]; None of an empty mask.

    ``saliency`` is (H, W), finite; ``mask`` is M (H, W). An area fraction α in (0, 1] keeps the
    ⌈α·H·W⌉ pixels of highest saliency, ties in ``pixel_order``, so the integral over α is the
    mean over k = 1, …, H·W of IoU(top k, M). Raises DataError on another map or mask.

    >>> auitc_area(np.array([[1.0, 0.5, 0.0]]), np.array([[True, False, False]]))
    0.611111111111111
    """
    check_mask(mask, saliency.shape)
    if not mask.any():
        return None
    return whole_curve(rank(saliency), mask).area_mean()
