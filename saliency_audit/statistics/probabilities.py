"""What probabilities are worth: reliability, expected calibration error, Brier score, log loss.

Each function takes the probability that was stated and whether it came true:
of the predicted label and its correctness, or of one label and its presence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saliency_audit.errors import DataError
from saliency_audit.ranges import check_at_least
from saliency_audit.statistics.columns import Flags, Numbers, check_flags, check_probabilities


@dataclass(frozen=True)
class ReliabilityBin:
    """Rows whose probability is in (low, high]; the first bin holds 0, too.

    ``count``: rows; ``mean_probability`` and ``frequency`` of the event in [0, 1], None of an
    empty bin.
    """

    low: float
    high: float
    count: int
    mean_probability: float | None
    frequency: float | None


def reliability(probability: Numbers, occurred: Flags, bins: int = 10) -> list[ReliabilityBin]:
    """Compare stated probability and observed frequency in ``bins`` bins of equal width.

    ``probability`` (n,) in [0, 1]; ``occurred`` (n,). Raises DataError on other columns,
    ParameterError where ``bins`` is below 1.

    >>> reliability(np.array([0.2, 0.9]), np.array([False, True]), bins=2)[1].frequency
    1.0
    """
    check_at_least(1, bins=bins)
    check_probabilities(probability, "probability", len(probability))
    check_flags(occurred, "occurred", len(probability))
    edges = np.arange(bins + 1) / bins
    which = np.clip(np.searchsorted(edges, probability, side="left") - 1, 0, None)
    return [
        _bin(float(edges[i]), float(edges[i + 1]), probability[which == i], occurred[which == i])
        for i in range(bins)
    ]


def _bin(low: float, high: float, probability: Numbers, occurred: Flags) -> ReliabilityBin:
    if not len(probability):
        return ReliabilityBin(low, high, 0, None, None)
    mean = float(probability.mean(dtype=np.float64))
    return ReliabilityBin(low, high, len(probability), mean, float(occurred.mean()))


def expected_calibration_error(
    probability: Numbers, occurred: Flags, bins: int = 10
) -> float | None:
    """ECE in [0, 1]: Σ (n_b / n) · |frequency_b - mean probability_b| (Guo et al. 2017, Eq 3).

    Arguments and errors as of ``reliability``; None of no rows.

    >>> expected_calibration_error(np.array([0.75, 0.75]), np.array([True, False]))
    0.25
    """
    rows = len(probability)
    gap = 0.0
    for group in reliability(probability, occurred, bins):
        if group.mean_probability is not None and group.frequency is not None:
            gap += group.count * abs(group.frequency - group.mean_probability)
    return gap / rows if rows else None


def brier_score(probability: Numbers, occurred: Flags) -> float | None:
    """Mean of (p - y)² in [0, 1] (Brier 1950, for one event); None of no rows.

    ``probability`` (n,) in [0, 1]; ``occurred`` (n,). Raises DataError on other columns.

    >>> brier_score(np.array([0.5, 1.0]), np.array([True, True]))
    0.125
    """
    check_probabilities(probability, "probability", len(probability))
    check_flags(occurred, "occurred", len(probability))
    squares = (probability.astype(np.float64) - occurred) ** 2
    return float(squares.mean()) if len(squares) else None


def brier_score_multiclass(
    probabilities: NDArray[np.floating[Any]], target: NDArray[np.integer[Any]]
) -> float | None:
    """Mean over images of Σ_j (p_j - y_j)², in [0, 2] (Brier 1950); None of no images.

    ``probabilities`` (images, labels) in [0, 1]; ``target`` (images,): index of the true label.
    Raises DataError on other arrays.

    >>> brier_score_multiclass(np.array([[0.5, 0.5]]), np.array([0]))
    0.5
    """
    _check_multiclass(probabilities, target)
    if not len(target):
        return None
    truth = np.eye(probabilities.shape[1])[target]
    return float(((probabilities.astype(np.float64) - truth) ** 2).sum(axis=1).mean())


#: Probabilities of what happened are taken as at least this: one sure mistake is not infinite.
SMALLEST = float(np.finfo(np.float64).eps)


def log_loss(probability: Numbers, occurred: Flags) -> float | None:
    """Mean of -ln p of what happened, 0 or more (nats); None of no rows.

    ``probability`` (n,) in [0, 1], moved into [2⁻⁵², 1 - 2⁻⁵²]; ``occurred`` (n,). Raises
    DataError on other columns.

    >>> round(log_loss(np.array([0.5, 0.5]), np.array([True, False])), 6)
    0.693147
    """
    check_probabilities(probability, "probability", len(probability))
    check_flags(occurred, "occurred", len(probability))
    stated = np.clip(probability.astype(np.float64), SMALLEST, 1 - SMALLEST)
    losses = -np.log(np.where(occurred, stated, 1 - stated))
    return float(losses.mean()) if len(losses) else None


def log_loss_multiclass(
    probabilities: NDArray[np.floating[Any]], target: NDArray[np.integer[Any]]
) -> float | None:
    """Mean of -ln p of the true label, 0 or more (nats); None of no images.

    ``probabilities`` (images, labels) in [0, 1], taken as at least 2⁻⁵²; ``target`` (images,).
    Raises DataError on other arrays.

    >>> round(log_loss_multiclass(np.array([[0.5, 0.5]]), np.array([0])), 6)
    0.693147
    """
    _check_multiclass(probabilities, target)
    if not len(target):
        return None
    stated = probabilities[np.arange(len(target)), target].astype(np.float64)
    return float(-np.log(np.maximum(stated, SMALLEST)).mean())


def _check_multiclass(
    probabilities: NDArray[np.floating[Any]], target: NDArray[np.integer[Any]]
) -> None:
    if probabilities.ndim != 2 or target.shape != (len(probabilities),):
        raise DataError(
            f"probabilities have shape {probabilities.shape} and target {target.shape}: "
            "give (images, labels) and (images,)"
        )
    check_probabilities(probabilities.reshape(-1), "probabilities", probabilities.size)
    bad = np.flatnonzero((target < 0) | (target >= probabilities.shape[1]))
    if bad.size:
        raise DataError(
            f"target is {target[bad[0]]} in row {bad[0]}: "
            f"give an index from 0 to {probabilities.shape[1] - 1}"
        )
