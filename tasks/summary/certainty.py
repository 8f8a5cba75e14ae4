"""What a summary holds of certainty: Table 4, what could explain it, and confidence in words."""

from __future__ import annotations

from dataclasses import dataclass

from saliency_audit.statistics.means import Mean
from saliency_audit.statistics.resampling import Interval


@dataclass(frozen=True)
class Area:
    """AUROC of right against wrong predictions, None without both, with the rows of each side."""

    auroc: float | None
    correct: int
    incorrect: int


@dataclass(frozen=True)
class Separation:
    """A score of right and of wrong predictions; ``auroc_without_empty``: where P marks something.

    ``difference``: right minus wrong.
    """

    correct: Mean
    incorrect: Mean
    difference: Interval
    auroc: Area
    auroc_without_empty: Area


@dataclass(frozen=True)
class Coverage:
    """Risk at each coverage: the area under that curve, and some points (coverage, risk) of it."""

    aurc: float | None
    n: int
    error_rate: float | None
    curve: list[tuple[float, float]]


@dataclass(frozen=True)
class Coverages:
    """The same with and without rows where P marks nothing."""

    with_empty: Coverage
    without_empty: Coverage


@dataclass(frozen=True)
class Certainty:
    """Table 4's figures of a method.

    ``correct`` and ``incorrect``: rows of each side; ``empty_mask``: rows where P marks nothing;
    ``scores``: by score. The last three are of the headline reading, else None: AUROCs with
    intervals by score, their differences by ``first-second``, and risk by score.
    """

    rows: int
    correct: int
    incorrect: int
    groups: int
    incorrect_groups: int
    empty_mask: int
    statuses: dict[str, int]
    scores: dict[str, Separation]
    auroc: dict[str, Interval] | None = None
    auroc_difference: dict[str, Interval] | None = None
    risk_coverage: dict[str, Coverages] | None = None


@dataclass(frozen=True)
class ConfidenceBin:
    """Rows of one bin of a probability, how many are right, and their mean c_IoU by method."""

    n: int
    correct: int
    c_iou: dict[str, Mean]
