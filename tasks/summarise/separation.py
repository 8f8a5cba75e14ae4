"""Whether a score tells right predictions from wrong ones: AUROC, and risk against coverage.

Every score is read as "higher is more certain". Two scores together are the
mean of their mid-ranks: that needs no fitting, so no rows to fit on.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from saliency_audit.statistics.ranking import auroc, mid_ranks, risk_coverage
from saliency_audit.statistics.resampling import (
    TOO_FEW_INCORRECT_GROUPS,
    Bootstrap,
    Interval,
    IntervalStatus,
    difference_of_means,
    group_bootstrap,
)
from tasks.summarise.figures import mean
from tasks.summary.certainty import Area, Coverage, Separation

Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]

#: Points of a risk-coverage curve that are kept for drawing.
CURVE_POINTS = 50


def together(first: Numbers, second: Numbers) -> Numbers:
    """Mean of the mid-ranks of two scores (n,), NaN where either is; no scale, only an order.

    >>> together(np.array([0.1, 0.9, np.nan]), np.array([0.3, 0.2, 0.5]))
    array([1.5, 1.5, nan])
    """
    both = ~(np.isnan(first) | np.isnan(second))
    ranks = np.full(len(first), np.nan)
    ranks[both] = (mid_ranks(first[both]) + mid_ranks(second[both])) / 2
    return ranks


def separation(
    scores: Numbers,
    correct: Flags,
    groups: NDArray[np.int64],
    marked: Flags,
    bootstrap: Bootstrap,
) -> Separation:
    """Means of right and of wrong predictions, their difference, and the score's AUROC.

    ``marked`` (n,): rows where P marks something.
    """
    return Separation(
        correct=mean(scores[correct]),
        incorrect=mean(scores[~correct]),
        difference=difference_of_means(
            scores, correct, groups, bootstrap=bootstrap, incorrect=~correct
        ),
        auroc=area(scores, correct),
        auroc_without_empty=area(scores[marked], correct[marked]),
    )


def area(scores: Numbers, correct: Flags) -> Area:
    """AUROC of the scores that are not null, with the counts of both sides."""
    present = ~np.isnan(scores)
    return Area(
        auroc(scores[present], correct[present]),
        int(correct[present].sum()),
        int((~correct[present]).sum()),
    )


def area_interval(
    scores: Numbers, correct: Flags, groups: NDArray[np.int64], bootstrap: Bootstrap
) -> Interval:
    """AUROC with its interval over patients or lesions."""
    return _interval([scores], correct, groups, bootstrap)


def area_difference(
    first: Numbers,
    second: Numbers,
    correct: Flags,
    groups: NDArray[np.int64],
    bootstrap: Bootstrap,
) -> Interval:
    """AUROC of the first score minus that of the second, on rows where neither is null."""
    return _interval([first, second], correct, groups, bootstrap)


def _interval(
    scores: list[Numbers], correct: Flags, groups: NDArray[np.int64], bootstrap: Bootstrap
) -> Interval:
    present = ~np.isnan(np.stack(scores)).any(axis=0)
    levels = [np.unique(own[present], return_inverse=True)[1] for own in scores]
    columns = np.column_stack([*levels, correct[present]])
    wrong = ~correct[present]
    few = len(np.unique(groups[present][wrong])) < TOO_FEW_INCORRECT_GROUPS
    # Where there will be no interval, its replicates need not be drawn.
    cheap = replace(bootstrap, replicates=100) if few else bootstrap
    found: Interval = group_bootstrap(
        columns, groups[present], _areas, bootstrap=cheap, incorrect=wrong
    )
    if few and found.estimate is not None:
        found = replace(found, low=None, high=None, status=IntervalStatus.TOO_FEW_INCORRECT)
    return found


def _areas(columns: NDArray[np.int64]) -> float | None:
    """AUROC of the first column against the last, less that of the second where there is one."""
    correct = columns[:, -1]
    found = [_area_of_levels(columns[:, i], correct) for i in range(columns.shape[1] - 1)]
    if found[0] is None or found[-1] is None:
        return None
    return found[0] if len(found) == 1 else found[0] - found[-1]


def _area_of_levels(level: NDArray[np.int64], correct: NDArray[np.int64]) -> float | None:
    """AUROC of a score given as the rank of its level (n,); it is ``ranking.auroc``.

    Levels are ranked once for all resamples, so each takes two counts and no sort.
    """
    rows = np.bincount(level)
    right = np.bincount(level, weights=correct)
    wrong = rows - right
    pairs = right.sum() * wrong.sum()
    below = np.cumsum(wrong) - wrong / 2
    return float(np.sum(right * below) / pairs) if pairs else None


def coverage(scores: Numbers, correct: Flags) -> Coverage:
    """Risk at each coverage, in expectation over ties, and the area under that curve."""
    present = ~np.isnan(scores)
    found = risk_coverage(scores[present], correct[present])
    if found is None:
        return Coverage(None, 0, None, [])
    count = len(found.coverage)
    kept = np.unique(np.linspace(0, count - 1, min(count, CURVE_POINTS)).round().astype(int))
    curve = [(float(found.coverage[i]), float(found.risk[i])) for i in kept]
    return Coverage(found.aurc, count, float(found.risk[-1]), curve)
