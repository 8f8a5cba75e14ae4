"""SegX: an explanation restricted to a predicted mask P, in the two readings that there are.

``segx``, the headline, is the paper's Eqs 6 and 7 as written: the top
fraction is taken first and then intersected with P, and nothing is
normalised again. ``segx_refill`` is the authors' code: the map is masked
first, its top fraction taken then, and it is divided by its own maximum.
"""

from __future__ import annotations

from saliency_audit.measures.area_curve import intersected_curve, rank, refilled_curve
from saliency_audit.measures.arrays import Mask, SaliencyMap, area, check_map, check_mask
from saliency_audit.measures.auitc import auitc
from saliency_audit.measures.top_fraction import budget, top_fraction


def segx_explanation(saliency: SaliencyMap, predicted: Mask, kept_fraction: float) -> Mask:
    """T∩P (H, W): the part of the top fraction that lies in P (Eq 6).

    ``saliency`` and ``predicted`` are (H, W). Raises DataError on another map or mask,
    ParameterError where the fraction is out of (0, 1].

    >>> import numpy as np
    >>> segx_explanation(np.array([[0.9, 0.5, 0.1]]), np.array([[False, True, True]]), 0.5)
    array([[False,  True, False]])
    """
    check_mask(predicted, saliency.shape)
    return top_fraction(saliency, kept_fraction) & predicted


def segx_map(saliency: SaliencyMap, predicted: Mask) -> SaliencyMap:
    """m·P (H, W): the map inside P and 0 outside (Eq 7), not normalised again.

    Raises DataError on another map or mask.
    """
    check_map(saliency)
    check_mask(predicted, saliency.shape)
    restricted = saliency.copy()
    restricted[~predicted] = 0
    return restricted


def segx_auitc(saliency: SaliencyMap, predicted: Mask, mask: Mask) -> float | None:
    """AUITC of the sets {m·P ≥ τ}, in [0, 1]; None of an empty ``mask`` M.

    ``saliency`` is a stored map (H, W), float16 in [0, 1]. Raises DataError otherwise.
    """
    return auitc(segx_map(saliency, predicted), mask)


def segx_auitc_area(saliency: SaliencyMap, predicted: Mask, mask: Mask) -> float | None:
    """Mean over budgets k = 1, …, H·W of IoU(T_k∩P, M), in [0, 1]; None of an empty ``mask`` M.

    The kept area is that of the map's own top pixels T_k, before P takes its part: a budget means
    the same as for the original. Depends on the map's ranking alone.
    """
    check_mask(predicted, saliency.shape)
    check_mask(mask, saliency.shape)
    if not area(mask):
        return None
    return intersected_curve(rank(saliency), predicted, mask).area_mean()


def mask_below_budget(predicted: Mask, kept_fraction: float) -> bool:
    """Whether P (H, W) has no more pixels than the budget: ``segx_refill`` then says little.

    True of an empty P, too.
    """
    return area(predicted) <= budget(kept_fraction, *predicted.shape)


def segx_refill_explanation(saliency: SaliencyMap, predicted: Mask, kept_fraction: float) -> Mask:
    """Give the top k = ``budget`` pixels of m·P (H, W) among its positive ones.

    Where P has at most k pixels it is {m > 0}∩P. ``saliency`` is (H, W) in [0, 1]. Raises
    DataError on another map or mask, ParameterError where the fraction is out of (0, 1].

    >>> import numpy as np
    >>> segx_refill_explanation(np.array([[0.9, 0.5, 0.1]]), np.array([[False, True, True]]), 0.5)
    array([[False,  True,  True]])
    """
    restricted = segx_map(saliency, predicted)
    return top_fraction(restricted, kept_fraction) & (restricted > 0)


def segx_refill_auitc(saliency: SaliencyMap, predicted: Mask, mask: Mask) -> float | None:
    """AUITC of m·P divided by its own maximum, in [0, 1]; None of an empty ``mask`` M.

    0 where m·P is 0 everywhere. ``saliency`` is (H, W) in [0, 1]; the quotient is not rounded.
    Raises DataError on another map or mask.
    """
    check_mask(predicted, saliency.shape)
    check_mask(mask, saliency.shape)
    if not area(mask):
        return None
    return refilled_curve(rank(saliency), predicted, mask).threshold_integral()


def segx_refill_auitc_area(saliency: SaliencyMap, predicted: Mask, mask: Mask) -> float | None:
    """Mean over budgets k = 1, …, H·W of the refilled explanation's IoU with M, in [0, 1].

    Past the positive pixels of m·P the explanation stays {m > 0}∩P. None of an empty ``mask``.
    Raises DataError on another map or mask.
    """
    check_mask(predicted, saliency.shape)
    check_mask(mask, saliency.shape)
    if not area(mask):
        return None
    return refilled_curve(rank(saliency), predicted, mask).area_mean()


def segx_ceiling(kept: int, predicted: Mask, mask: Mask) -> float:
    """Give the highest IoU of T∩P with M that any T of ``kept`` pixels could have, in [0, 1].

    The best T has min(k, |P∩M|) pixels there and the others, as far as they fit, outside P, where
    they do not count. ``mask`` is not empty.
    """
    shared = min(kept, area(predicted & mask))
    spilt = max(0, kept - shared - (predicted.size - area(predicted)))
    return shared / (area(mask) + spilt)


def segx_refill_ceiling(kept: int, predicted: Mask, mask: Mask) -> float:
    """Give the highest IoU with M of any refilled explanation of at most ``kept`` pixels.

    That is min(k, |P∩M|) / |M|, in [0, 1]: a map may be 0 wherever it likes. ``mask`` is not empty.
    """
    return min(kept, area(predicted & mask)) / area(mask)
