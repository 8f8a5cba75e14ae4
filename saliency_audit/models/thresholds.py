"""Which probabilities are high enough: decision thresholds, and what is predicted with them.

A label is predicted where p > τ (SegX paper, Eq 2). Numbers only; nothing here knows a network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from saliency_audit.errors import DataError, ParameterError
from saliency_audit.labelling import Labelling

#: A label with fewer groups (patients, lesions) that have it than this falls back.
FEWEST_GROUPS = 10
#: So does one whose best F1 is less than this above that of predicting it everywhere.
SMALLEST_GAIN = 0.02

Probabilities = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Threshold:
    """τ of one label.

    ``value``: in [0, 1], a label is predicted above it; ``status``: ``ok``, or
    ``threshold_fallback`` where it reproduces the training prevalence instead of the best F1;
    ``f1``: F1 in [0, 1] at the value on the split it was chosen on, None without a positive;
    ``predicted_share``: share of that split's images predicted, in [0, 1].
    """

    value: float
    status: Literal["ok", "threshold_fallback"]
    f1: float | None
    predicted_share: float


def fit_thresholds(
    probabilities: Probabilities,
    targets: NDArray[np.bool_],
    groups: Sequence[str],
    prevalence: Sequence[float],
) -> tuple[Threshold, ...]:
    """Choose τ of each label on the tune split, in float64.

    ``probabilities`` (images, labels) in [0, 1]; ``targets`` (images, labels); ``groups``
    (images): patient or lesion; ``prevalence`` (labels): share of the training images that have
    the label, in [0, 1]. Raises DataError on other arrays or no images.
    """
    _check(probabilities, targets, groups)
    if len(prevalence) != targets.shape[1]:
        raise DataError(f"{len(prevalence)} prevalences for {targets.shape[1]} labels: give each")
    return tuple(
        fit_threshold(probabilities[:, j], targets[:, j], groups, prevalence[j])
        for j in range(targets.shape[1])
    )


def fit_threshold(
    probability: Probabilities,
    target: NDArray[np.bool_],
    groups: Sequence[str],
    prevalence: float,
) -> Threshold:
    """Choose τ of one label: the largest of those with the highest F1.

    Candidates are the midpoints between consecutive distinct probabilities. With fewer than 10
    groups that have the label, or a best F1 less than 0.02 above that of predicting it
    everywhere, τ makes the share predicted as near to ``prevalence`` as it can (the larger τ
    where two are as near), status ``threshold_fallback``. F1 = 2TP / (2TP + FP + FN) = 2TP /
    (predicted + positives). Arguments as of ``fit_thresholds``, for one label.

    >>> groups = [str(i) for i in range(20)]
    >>> fit_threshold(np.arange(20) / 20, np.arange(20) >= 10, groups, 0.5).value
    0.475
    """
    values = probability.astype(np.float64)
    ladder = _Ladder(values, target)
    known = {group for group, has in zip(groups, target, strict=True) if has}
    if len(known) >= FEWEST_GROUPS and len(ladder.distinct) > 1:
        candidates, scores = midpoints(ladder.distinct), ladder.f1[1:-1]
        everywhere = ladder.f1[0]
        if scores.max() - everywhere >= SMALLEST_GAIN:
            best = float(candidates[np.flatnonzero(scores == scores.max())[-1]])
            return _threshold(best, "ok", values, target)
    fallback = ladder.nearest_share(prevalence)
    return _threshold(fallback, "threshold_fallback", values, target)


class _Ladder:
    """What is predicted with a threshold below all, between each two, and above all values.

    ``distinct`` (n,): the values, rising; ``predicted`` and ``f1`` (n + 1,): images predicted
    and F1, for the threshold below ``distinct[0]`` first.
    """

    def __init__(self, values: NDArray[np.float64], target: NDArray[np.bool_]) -> None:
        self.distinct, which, counts = np.unique(values, return_inverse=True, return_counts=True)
        hits = np.bincount(which, weights=target, minlength=len(counts))
        self.predicted = np.append(np.cumsum(counts[::-1])[::-1], 0)
        true_positives = np.append(np.cumsum(hits[::-1])[::-1], 0)
        # Equal fractions of whole numbers are equal floats, so ties of F1 are found exactly.
        self.f1 = 2 * true_positives / np.maximum(self.predicted + target.sum(), 1)

    def nearest_share(self, prevalence: float) -> float:
        """Threshold whose share predicted is nearest to ``prevalence``; the larger of equals."""
        lowest, highest = float(self.distinct[0]), float(self.distinct[-1])
        taus = np.array([lowest / 2, *midpoints(self.distinct), highest + (1 - highest) / 2])
        shares = self.predicted / self.predicted[0]
        if lowest == 0:  # no threshold in [0, 1] predicts a probability of 0
            taus, shares = taus[1:], shares[1:]
        distance = np.abs(shares - prevalence)
        return float(taus[np.flatnonzero(distance == distance.min())[-1]])


def midpoints(distinct: NDArray[np.float64]) -> NDArray[np.float64]:
    """Midpoints (n - 1,) between rising distinct values (n,), each below the upper of its two.

    >>> midpoints(np.array([0.0, 0.5, 1.0]))
    array([0.25, 0.75])
    """
    lower, upper = distinct[:-1], distinct[1:]
    middle = lower + (upper - lower) / 2
    # Between neighbouring floats the midpoint rounds to one of them, perhaps the upper.
    return np.where(middle < upper, middle, lower)


def f1(values: NDArray[np.float64], target: NDArray[np.bool_], tau: float) -> float:
    """F1 in [0, 1] of predicting every value (n,) above ``tau``; 0 of nothing at all."""
    predicted = values > tau
    total = int(predicted.sum()) + int(target.sum())
    return 2 * int((predicted & target).sum()) / total if total else 0.0


def _threshold(
    value: float,
    status: Literal["ok", "threshold_fallback"],
    values: NDArray[np.float64],
    target: NDArray[np.bool_],
) -> Threshold:
    score = f1(values, target, value) if target.any() else None
    return Threshold(value, status, score, float((values > value).mean()))


def _check(probabilities: Probabilities, targets: NDArray[np.bool_], groups: Sequence[str]) -> None:
    if probabilities.ndim != 2 or probabilities.shape != targets.shape:
        raise DataError(
            f"probabilities have shape {probabilities.shape} and targets {targets.shape}: "
            "give (images, labels) of both"
        )
    if not len(probabilities) or len(groups) != len(probabilities):
        raise DataError(
            f"{len(groups)} groups for {len(probabilities)} images of the tune split: "
            "give one per image, and at least one image"
        )
    check_probabilities(probabilities)


def check_probabilities(probabilities: Probabilities) -> None:
    """Raise DataError naming the first image with a probability outside [0, 1] or NaN."""
    bad = np.flatnonzero(~((probabilities >= 0) & (probabilities <= 1)).all(axis=1))
    if bad.size:
        raise DataError(
            f"image {bad[0]} has the probabilities {probabilities[bad[0]].tolist()}: "
            "give numbers from 0 to 1"
        )


def decide(
    probabilities: Probabilities,
    labelling: Labelling,
    rule: Literal["argmax", "thresholds"],
    thresholds: Sequence[float] | None = None,
) -> NDArray[np.bool_]:
    """Which labels are predicted: (images, labels), of probabilities (images, labels).

    Multi-label: p_j > τ_j, whatever ``rule`` (SegX paper, Eq 2). Multi-class: the highest (the
    lower index of equal ones), or with ``rule`` thresholds p_j > τ_j of per-class sigmoids.
    Binary: exactly one label, the positive where it is above one half, or above its τ. Raises
    ParameterError where τ are wanted and not given, DataError for probabilities outside [0, 1].

    >>> decide(np.array([[0.4, 0.4, 0.2]]), Labelling.MULTICLASS, "argmax")
    array([[ True, False, False]])
    >>> decide(np.array([[0.4, 0.4]]), Labelling.MULTILABEL, "argmax", [0.4, 0.3])
    array([[False,  True]])
    """
    if probabilities.ndim != 2:
        raise DataError(f"probabilities have shape {probabilities.shape}: give (images, labels)")
    check_probabilities(probabilities)
    if labelling is not Labelling.MULTILABEL and rule == "argmax":
        highest = probabilities.argmax(axis=1)
        chosen: NDArray[np.bool_] = np.arange(probabilities.shape[1]) == highest[:, None]
        return chosen
    if thresholds is None or len(thresholds) != probabilities.shape[1]:
        count = "none" if thresholds is None else len(thresholds)
        raise ParameterError(
            f"thresholds: {count} given for {probabilities.shape[1]} labels: give one per label"
        )
    above: NDArray[np.bool_] = probabilities.astype(np.float64) > np.array(thresholds, np.float64)
    if labelling is Labelling.BINARY:
        return np.stack([~above[:, 1], above[:, 1]], axis=1)
    return above
