"""What scores put in order: AUROC, average precision, and risk against coverage.

All depend on the order of the scores alone; higher means more certain.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from saliency_audit.statistics.columns import Flags, Numbers, check_finite, check_flags


def mid_ranks(scores: Numbers) -> NDArray[np.float64]:
    """Ranks (n,) from 1, the lowest first; equal scores share the mean of their ranks.

    >>> mid_ranks(np.array([0.5, 0.1, 0.5]))
    array([2.5, 1. , 2.5])
    """
    _, which, counts = np.unique(scores, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    means: NDArray[np.float64] = (last - (counts - 1) / 2)[which]
    return means


def auroc(scores: Numbers, positive: Flags) -> float | None:
    """Probability in [0, 1] that a positive's score is above a negative's; ties count one half.

    The Mann-Whitney statistic of mid-ranks: how far a score separates the two. ``scores`` (n,)
    finite, ``positive`` (n,). None without a positive or without a negative. Raises DataError on
    other columns.

    >>> auroc(np.array([0.1, 0.4, 0.4, 0.9]), np.array([False, False, True, True]))
    0.875
    """
    check_flags(positive, "positive", len(scores))
    check_finite(scores, "scores", len(scores))
    positives = int(positive.sum())
    negatives = len(positive) - positives
    if not positives or not negatives:
        return None
    above = mid_ranks(scores)[positive].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))


def average_precision(scores: Numbers, positive: Flags) -> float | None:
    """Average precision Σ (R_n - R_{n-1}) P_n over the distinct scores, falling; in [0, 1].

    Equal scores are taken in one step. ``scores`` (n,) finite, ``positive`` (n,). None without a
    positive. Raises DataError on other columns.

    >>> average_precision(np.array([0.9, 0.8, 0.1]), np.array([True, False, True]))
    0.8333333333333333
    """
    check_flags(positive, "positive", len(scores))
    check_finite(scores, "scores", len(scores))
    positives = int(positive.sum())
    if not positives:
        return None
    _, which = np.unique(-scores, return_inverse=True)
    hits = np.bincount(which, weights=positive)
    precision = np.cumsum(hits) / np.cumsum(np.bincount(which))
    return min(1.0, float(np.sum(precision * hits) / positives))


@dataclass(frozen=True)
class RiskCoverage:
    """Share of errors among the most certain rows, as more and more of them are answered.

    ``coverage`` (n,): 1/n, …, 1; ``risk`` (n,) in [0, 1]: expected error rate of the answered;
    ``aurc``: its mean over the coverages, the area under the curve.
    """

    coverage: NDArray[np.float64]
    risk: NDArray[np.float64]
    aurc: float


def risk_coverage(scores: Numbers, correct: Flags) -> RiskCoverage | None:
    """Risk at every coverage, in expectation over the order of equal scores; None of no rows.

    The k rows of highest score are answered. Where that cuts through t rows of one score, e of
    them wrong, each further row is wrong with probability e/t. ``scores`` (n,) finite, ``correct``
    (n,). Raises DataError on other columns.

    >>> risk_coverage(np.array([0.9, 0.5, 0.5]), np.array([True, True, False])).risk
    array([0.        , 0.25      , 0.33333333])
    """
    check_flags(correct, "correct", len(scores))
    check_finite(scores, "scores", len(scores))
    if not len(scores):
        return None
    _, which, counts = np.unique(-scores, return_inverse=True, return_counts=True)
    error_rate = np.bincount(which, weights=~correct) / counts
    answered = np.arange(1, len(scores) + 1)
    risk = np.cumsum(np.repeat(error_rate, counts)) / answered
    risk = np.minimum(risk, 1.0)  # sums of thirds may pass 1 in the last bit
    return RiskCoverage(answered / len(scores), risk, float(risk.mean()))
