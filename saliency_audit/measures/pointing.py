"""The pointing game: whether a map is highest inside a mask.

Source: Zhang et al. 2016 (Top-down neural attention by excitation backprop);
Saporta et al. 2022 (cheXlocalize), whose hit rate is the mean of ``hit``.
They take one pixel of those where a map is highest; here all of them count
alike, so that no order of pixels decides.
"""

from __future__ import annotations

import numpy as np

from saliency_audit.measures.arrays import Mask, SaliencyMap, area, check_map, check_mask
from saliency_audit.measures.explained import Explained


def hit(saliency: SaliencyMap, mask: Mask) -> float:
    """Share of the pixels where a map (H, W) is highest that lie in a mask (H, W), in [0, 1].

    1 for a hit and 0 for a miss where one pixel is highest. 0 of a map that is 0 everywhere: it
    points nowhere. Raises DataError on another map or mask.

    >>> hit(np.array([[0.1, 0.9, 0.9]]), np.array([[False, False, True]]))
    0.5
    """
    check_map(saliency)
    check_mask(mask, saliency.shape)
    highest = saliency.max()
    if highest <= 0:
        return 0.0
    pointed = saliency == highest
    return area(pointed & mask) / area(pointed)


def hit_of(found: Explained) -> float:
    """``hit`` of the map, or under either reading of SegX of m·P.

    The pixels where it is highest are those of some first steps of its curve.
    """
    curve = found.curve
    first = int(np.searchsorted(curve.kept, 1))
    if first == len(curve.kept) or curve.values[first] <= 0:
        return 0.0
    shared, pointed = curve.pixels_at(area(curve.values >= curve.values[first]))
    return shared / pointed
