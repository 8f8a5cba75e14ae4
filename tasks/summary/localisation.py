"""What a summary holds of localisation: Table 3, its controls, and what is left of it."""

from __future__ import annotations

from dataclasses import dataclass

from saliency_audit.statistics.means import Mean
from saliency_audit.statistics.resampling import Interval
from tasks.summary.values import Means

#: By the key of a figure (``saliency_audit.measures.localisation_figures``).
FigureMeans = dict[str, Means]
Differences = dict[str, Interval]


@dataclass(frozen=True)
class OfLabel:
    """Means over the ``rows`` of one label, before and after SegX, by figure."""

    rows: int
    original: FigureMeans
    segx: FigureMeans


@dataclass(frozen=True)
class Localisation:
    """Table 3's figures of a method.

    ``with_truth``: rows with a mask M, which all else is of, and ``groups``: their patients or
    lesions; ``statuses``: of all ``rows``; ``empty_mask``, ``mask_below_budget``: rows with that
    status; ``means``: by saliency, reading and figure; ``beyond``: the map less its control, by
    reading and control.
    """

    rows: int
    with_truth: int
    groups: int
    statuses: dict[str, int]
    empty_mask: int
    mask_below_budget: int
    truth_area: Mean
    means: dict[str, dict[str, FigureMeans]]
    beyond: dict[str, dict[str, Differences]]
    segx_minus_original: Differences
    by_label: dict[str, OfLabel]


@dataclass(frozen=True)
class Available:
    """A mean over the rows that count, and over all that the method has a map of."""

    counted: Mean
    available: Mean
