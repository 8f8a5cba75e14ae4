"""Whether maps of so many cells can meet regions of such a size at all.

A map of 2×2 cells cannot point at a lesion of 20 pixels, however right the model is: that is a fact
of the method and the block, not a finding about the model. It is judged over all rows at once,
because a row at a time would leave out the small lesions of coarse methods alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from saliency_audit.attribution.grid import Grid
from saliency_audit.measures import scores
from saliency_audit.measures.area_curve import rank
from saliency_audit.measures.arrays import Mask, area
from saliency_audit.measures.explained import whole
from saliency_audit.measures.overlap import iou_ceiling
from saliency_audit.measures.top_fraction import budget

#: The least share of the ceiling that a region pooled to the cells and painted again must reach.
LEAST_OF_CEILING = 0.9
#: The highest mean share of the kept pixels that ties may have chosen.
MOST_TIES = 0.5


@dataclass(frozen=True)
class Resolution:
    """How fine a method's maps are, as means over rows; None where no row has a value.

    ``tie_share``: as of each map; ``iou_ceiling``: the highest IoU that any map could have with a
    row's region M; ``own_ceiling``: the IoU of M itself, pooled to the method's cells and painted
    again, None of a method whose maps are made of pixels. All in [0, 1]. ``status``:
    ``coarse_map`` where ``own_ceiling`` is under 90 % of ``iou_ceiling`` or ``tie_share`` above
    0.5, else ``ok``; None where neither is known.
    """

    tie_share: float | None
    iou_ceiling: float | None
    own_ceiling: float | None
    status: Literal["ok", "coarse_map"] | None


def own_ceiling(mask: Mask, grid: Grid, kept_fraction: float) -> float:
    """Give the IoU, in [0, 1], of a region with the top fraction of itself as the cells see it.

    ``mask``: M (H, W), not empty: pooled to the cells and painted as any map of theirs.
    """
    import torch

    cells = torch.from_numpy(grid.pooled(mask))[None]
    painted = grid.painted(cells, (mask.shape[0], mask.shape[1]))[0]
    kept = budget(kept_fraction, *mask.shape)
    sparse = int(np.count_nonzero(painted > 0)) < kept
    return scores.iou(whole(rank(painted, sparse=sparse), kept, mask))


def ordinary_ceiling(mask: Mask, kept_fraction: float) -> float | None:
    """Give the highest IoU, in [0, 1], that a map of any resolution could have with M (H, W)."""
    return iou_ceiling(budget(kept_fraction, *mask.shape), area(mask))


def judged(
    tie_shares: Iterable[float | None],
    ceilings: Iterable[float | None],
    own_ceilings: Iterable[float | None],
) -> Resolution:
    """Judge a method by the values of its rows; the two kinds of ceilings are of the same rows.

    >>> judged([1.0], [0.3], [0.1]).status, judged([0.0], [0.3], [0.28]).status
    ('coarse_map', 'ok')
    >>> judged([0.1], [0.3], [None])
    Resolution(tie_share=0.1, iou_ceiling=0.3, own_ceiling=None, status='ok')
    """
    ties, ceiling, own = _mean(tie_shares), _mean(ceilings), _mean(own_ceilings)
    if ties is None and own is None:
        return Resolution(ties, ceiling, own, None)
    tied = ties is not None and ties > MOST_TIES
    blunt = own is not None and ceiling is not None and own < LEAST_OF_CEILING * ceiling
    return Resolution(ties, ceiling, own, "coarse_map" if tied or blunt else "ok")


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
