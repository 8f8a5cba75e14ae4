"""Figures of one explanation beside one mask, each in [0, 1]; None where it is undefined.

They take what ``explained`` gives, so that one sort of a map serves them all.
Which of them a table holds is declared in ``localisation_figures`` and
``certainty_figures``.
"""

from __future__ import annotations

from saliency_audit.measures.arrays import area
from saliency_audit.measures.explained import Explained, Reading


def iou(found: Explained) -> float:
    """IoU of the explanation with the mask (Eqs 9 and 11)."""
    return found.curve.at(found.budget)


def iou_ceiling(found: Explained) -> float | None:
    """Highest IoU that any map could have at this budget, and for SegX with this P."""
    return found.ceiling


def iou_over_ceiling(found: Explained) -> float | None:
    """IoU over its ceiling; None where that is 0."""
    return iou(found) / found.ceiling if found.ceiling else None


def auitc(found: Explained) -> float:
    """Area under the IoU-threshold curve (Eqs 10 and 12); see ``auitc``."""
    return found.curve.threshold_integral()


def auitc_area(found: Explained) -> float:
    """AUITC over the kept area; see ``auitc``."""
    return found.curve.area_mean()


def precision(found: Explained) -> float | None:
    """Share of the explanation that lies in the mask; None of an explanation without pixels."""
    shared, pixels = found.curve.pixels_at(found.budget)
    return shared / pixels if pixels else None


def evidence_lost(found: Explained) -> float | None:
    """|T∩M outside P| / |T∩M| under ``segx``; None elsewhere, and where T∩M has no pixel."""
    if found.reading is not Reading.SEGX or found.predicted is None:
        return None
    top = found.ranked.order[: found.kept]
    hits = found.mask.reshape(-1)[top]
    shared = area(hits)
    return area(hits & ~found.predicted.reshape(-1)[top]) / shared if shared else None
