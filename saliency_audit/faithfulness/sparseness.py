"""Sparseness: how few pixels hold the saliency.

Source: the Gini index of Hurley and Rickard 2009 on the magnitudes of an attribution as in
Chalasani et al. 2020.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from saliency_audit.faithfulness.map_status import map_status
from saliency_audit.measures.arrays import SaliencyMap
from saliency_audit.measures.status import Status


@dataclass(frozen=True)
class Sparseness:
    """The Gini index of a map.

    ``gini``: in [0, 1): 0 where all pixels have one magnitude, 1 - 1/(H·W) where one pixel holds
    all; None where the map is zero or NaN, and ``status`` says which.
    """

    gini: float | None
    status: Status


def sparseness(saliency: SaliencyMap) -> Sparseness:
    """Gini index 1 - 2 Σ_k (c_k / Σc) (N - k + 1/2) / N of the N rising magnitudes c_k of a map.

    ``saliency`` is (H, W), of either sign. It does not change with the map's scale, but does
    with its offset: of a map stored as m̂, give offset + scale · m̂. Where it is not 0, a constant
    map has sparseness 0 and status ``ok``. Raises DataError on another shape or type.

    >>> sparseness(np.array([[0.0, 0.0], [0.0, 3.0]])).gini
    0.75
    >>> sparseness(np.zeros((2, 2)))
    Sparseness(gini=None, status=<Status.ZERO_MAP: 'zero_map'>)
    """
    status = map_status(saliency)
    if status in (Status.NAN_MAP, Status.ZERO_MAP):
        return Sparseness(None, status)
    rising = np.sort(np.abs(saliency.astype(np.float64)), axis=None)
    # By the greatest, so that the sum neither overflows nor vanishes.
    rising /= rising[-1]
    count = rising.size
    # The same sum with the total taken in: of equal magnitudes, its terms cancel exactly.
    centred = 2 * np.arange(1, count + 1) - count - 1
    gini = float(np.sum(centred * rising)) / (count * float(rising.sum()))
    return Sparseness(max(0.0, gini), Status.OK)
