"""An explanation beside the mask that it should meet: what every figure of a map is computed from.

How P takes part in an explanation is a reading, and there is one function for
each. Figures themselves belong to ``scores`` and its neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from saliency_audit.measures.area_curve import (
    AreaCurve,
    RankedMap,
    intersected_curve,
    refilled_curve,
    whole_curve,
)
from saliency_audit.measures.arrays import Mask, area
from saliency_audit.measures.overlap import iou_ceiling
from saliency_audit.measures.segx import segx_ceiling, segx_refill_ceiling


class Reading(StrEnum):
    """How P was applied: not at all, or as ``segx`` says."""

    ORIGINAL = "original"
    SEGX = "segx"
    SEGX_REFILL = "segx_refill"


@dataclass(frozen=True)
class Explained:
    """A map under one reading beside a mask (H, W) that is not empty.

    ``ranked``: the map's pixels; ``budget``: how many T may keep, k; ``mask``: M, or P where
    certainty is measured; ``predicted``: P (H, W), None where the reading has none; ``curve``:
    the explanations of every budget; ``ceiling``: the highest IoU of any map at this budget.
    """

    reading: Reading
    ranked: RankedMap
    budget: int
    mask: Mask
    predicted: Mask | None
    curve: AreaCurve
    ceiling: float | None

    @property
    def kept(self) -> int:
        """Pixels of T: the budget, or of a sparse map its positive pixels where they are fewer."""
        return min(self.budget, self.ranked.ranked)

    @property
    def pixels(self) -> int:
        """Pixels of the explanation under this reading."""
        return self.curve.pixels_at(self.budget)[1]


def whole(
    ranked: RankedMap,
    budget: int,
    mask: Mask,
    predicted: Mask | None = None,
    reading: Reading = Reading.ORIGINAL,
) -> Explained:
    """Read the map as it is: the explanation is T. ``reading``: what that is called."""
    ceiling = iou_ceiling(min(budget, ranked.ranked), area(mask))
    curve = whole_curve(ranked, mask)
    return Explained(reading, ranked, budget, mask, predicted, curve, ceiling)


def intersected(ranked: RankedMap, budget: int, mask: Mask, predicted: Mask) -> Explained:
    """Read the map as SegX does: the explanation is T∩P."""
    ceiling = segx_ceiling(min(budget, ranked.ranked), predicted, mask)
    curve = intersected_curve(ranked, predicted, mask)
    return Explained(Reading.SEGX, ranked, budget, mask, predicted, curve, ceiling)


def refilled(ranked: RankedMap, budget: int, mask: Mask, predicted: Mask) -> Explained:
    """Read the map as the authors' code does: the explanation is the top of m·P."""
    ceiling = segx_refill_ceiling(budget, predicted, mask)
    curve = refilled_curve(ranked, predicted, mask)
    return Explained(Reading.SEGX_REFILL, ranked, budget, mask, predicted, curve, ceiling)
