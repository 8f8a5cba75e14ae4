"""How far two masks cover each other, and how far they could at their areas.

Source: SegX paper, Eqs 9 and 11.
"""

from __future__ import annotations

from saliency_audit.errors import ParameterError
from saliency_audit.measures.arrays import Mask, area, check_mask


def iou(first: Mask, second: Mask) -> float | None:
    """IoU = |A∩B| / |A∪B| in [0, 1] (Eqs 9 and 11); None of two empty masks.

    Both are boolean (H, W). Raises DataError where shapes or types differ.

    >>> import numpy as np
    >>> iou(np.array([[True, True, False]]), np.array([[False, True, True]]))
    0.3333333333333333
    """
    check_mask(first, second.shape)
    check_mask(second, first.shape)
    union = area(first | second)
    return area(first & second) / union if union else None


def dice(first: Mask, second: Mask) -> float | None:
    """Dice = 2|A∩B| / (|A| + |B|) in [0, 1]; None of two empty masks.

    Of P and M it is what the segmenter is judged by. Both are boolean (H, W). Raises DataError
    where shapes or types differ.

    >>> import numpy as np
    >>> dice(np.array([[True, True, False]]), np.array([[False, True, True]]))
    0.5
    """
    check_mask(first, second.shape)
    check_mask(second, first.shape)
    total = area(first) + area(second)
    return 2 * area(first & second) / total if total else None


def precision(explanation: Mask, mask: Mask) -> float | None:
    """Share |T∩P| / |T| in [0, 1] of an explanation that lies in a mask; None of an empty one.

    Both are boolean (H, W). Raises DataError where shapes or types differ.

    >>> import numpy as np
    >>> precision(np.array([[True, True, False]]), np.array([[False, True, True]]))
    0.5
    """
    check_mask(explanation, mask.shape)
    check_mask(mask, explanation.shape)
    kept = area(explanation)
    return area(explanation & mask) / kept if kept else None


def iou_ceiling(kept_fraction: float, area_fraction: float) -> float | None:
    """Give min(q/a, a/q), the highest IoU of a region of share q with one of share a.

    Shares of the image in [0, 1], or both in pixels. 0 where one is 0; None where both are.
    Raises ParameterError where one is negative.

    >>> iou_ceiling(0.05, 0.2)
    0.25
    """
    smaller, larger = sorted((kept_fraction, area_fraction))
    if smaller < 0:
        raise ParameterError(f"a region's share is {smaller}: give 0 or more")
    return smaller / larger if larger else None
