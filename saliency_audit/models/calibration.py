"""Scores become probabilities that can be taken at their word.

Temperature scaling for labels that exclude each other (Guo et al. 2017), a
line per label otherwise (Platt 1999), both by maximum likelihood in float64 on
a split that neither trained the classifier nor chose its thresholds. Numbers
only; nothing here knows a network.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from saliency_audit.errors import DataError
from saliency_audit.labelling import Labelling

#: The slope is at least this, so that calibrating never turns the order of scores around.
SMALLEST_SLOPE = 0.01

Scores = NDArray[np.floating[Any]]
Status = Literal["ok", "no_images", "one_class", "constant_scores", "separable", "uninformative"]


@dataclass(frozen=True)
class Calibration:
    """How scores become calibrated probabilities.

    Multi-class: softmax(slope · scores), slope = 1 / temperature, one for all labels. Multi-label:
    sigmoid(slope_j · score_j + intercept_j). Binary: the same of the positive label, its
    complement for the negative. ``status`` per fitted entry:

    - ``ok``: the maximum-likelihood fit;
    - ``no_images``, ``one_class``, ``constant_scores``: it cannot be fitted; the raw probability
      stays (slope 1, intercept 0);
    - ``separable``: scores tell the classes apart without a fault, so that the likelihood grows
      for ever; fitted to targets drawn in by one image (Platt 1999: (n + 1) / (n + 2));
    - ``uninformative``: the best slope is below 0.01 or negative; it is held at 0.01.
    """

    labelling: Labelling
    slope: tuple[float, ...]
    intercept: tuple[float, ...]
    status: tuple[Status, ...]

    def apply(self, scores: Scores) -> NDArray[np.float64]:
        """Calibrated probabilities (images, labels), float64, of scores (images, labels)."""
        _check_scores(scores)
        values = scores.astype(np.float64)
        if self.labelling is Labelling.MULTICLASS:
            return softmax(self.slope[0] * values)
        if self.labelling is Labelling.BINARY:
            positive = sigmoid(self.slope[0] * values[:, 1] + self.intercept[0])
            return np.stack([1 - positive, positive], axis=1)
        if values.shape[1] != len(self.slope):
            raise DataError(f"scores of {values.shape[1]} labels: {len(self.slope)} were fitted")
        return sigmoid(np.array(self.slope) * values + np.array(self.intercept))

    def to_json(self) -> dict[str, Any]:
        """Give it as plain values; floats keep every digit."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Calibration:
        """Read what ``to_json`` gave; raises DataError where a key is missing."""
        try:
            return cls(
                Labelling(plain["labelling"]),
                tuple(float(value) for value in plain["slope"]),
                tuple(float(value) for value in plain["intercept"]),
                tuple(plain["status"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"this is no calibration ({error}): run predict again") from None


def calibrate(scores: Scores, targets: NDArray[np.bool_], labelling: Labelling) -> Calibration:
    """Fit a calibration to scores (images, labels) and targets (images, labels).

    Scores as the classifier gives them, before softmax or sigmoid. Where there is nothing to fit,
    the status says so and the raw probabilities stay. Raises DataError on other arrays.

    >>> scores = np.array([[2.0, 0.0]] * 4)
    >>> targets = np.array([[True, False]] * 3 + [[False, True]])
    >>> round(1 / calibrate(scores, targets, Labelling.MULTICLASS).slope[0], 3)  # e^(2/T) = 3
    1.82
    """
    _check_scores(scores)
    if targets.shape != scores.shape:
        raise DataError(f"scores have shape {scores.shape} and targets {targets.shape}")
    values, truth = scores.astype(np.float64), targets.astype(bool)
    if labelling is Labelling.MULTICLASS:
        slope, status = _temperature(values, truth)
        return Calibration(labelling, (slope,), (0.0,), (status,))
    columns = [1] if labelling is Labelling.BINARY else range(scores.shape[1])
    fitted = [_platt(values[:, j], truth[:, j]) for j in columns]
    return Calibration(
        labelling,
        tuple(slope for slope, _, _ in fitted),
        tuple(intercept for _, intercept, _ in fitted),
        tuple(status for _, _, status in fitted),
    )


def softmax(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Softmax over the last axis of (images, labels)."""
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    shares: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return shares


def sigmoid(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 / (1 + e^-x), without overflow.

    >>> sigmoid(np.array([-1000.0, 0.0, 1000.0]))
    array([0. , 0.5, 1. ])
    """
    small = np.exp(-np.abs(values))
    probabilities: NDArray[np.float64] = np.where(values >= 0, 1.0, small) / (1 + small)
    return probabilities


def _check_scores(scores: Scores) -> None:
    if scores.ndim != 2:
        raise DataError(f"scores have shape {scores.shape}: give (images, labels)")
    bad = np.flatnonzero(~np.isfinite(scores).all(axis=1))
    if bad.size:
        raise DataError(f"image {bad[0]} has scores that are NaN or infinite: check the weights")


def _temperature(scores: NDArray[np.float64], truth: NDArray[np.bool_]) -> tuple[float, Status]:
    """Slope 1/T that maximises the likelihood of softmax(slope · scores)."""
    images, labels = scores.shape
    if not images:
        return 1.0, "no_images"
    if np.count_nonzero(truth.any(axis=0)) < 2:
        return 1.0, "one_class"
    if (scores == scores[:, :1]).all():
        return 1.0, "constant_scores"
    # Newton sees scores of deviation 1, and so is at ease with any scale.
    scale = float(scores.std())
    scaled = scores / scale
    target = truth.astype(np.float64)
    status: Status = "ok"
    if (scores <= (scores * target).sum(axis=1, keepdims=True)).all():
        right = (images + 1) / (images + 2)
        target = np.where(truth, right, (1 - right) / (labels - 1))
        status = "separable"

    def derivatives(point: NDArray[np.float64]) -> _Derivatives:
        values = point[0] * scaled
        shifted = values - values.max(axis=1, keepdims=True)
        log_sum = np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        probabilities = np.exp(shifted - log_sum)
        mean = (probabilities * scaled).sum(axis=1, keepdims=True)
        variance = (probabilities * (scaled - mean) ** 2).sum(axis=1)
        gradient = ((probabilities - target) * scaled).sum() / images
        loss = float((target * (log_sum - shifted)).sum() / images)
        return loss, np.array([gradient]), np.array([[variance.mean()]])

    slope = float(_newton(derivatives, np.ones(1))[0]) / scale
    if slope < SMALLEST_SLOPE:
        return SMALLEST_SLOPE, "uninformative"
    return slope, status


def _platt(score: NDArray[np.float64], truth: NDArray[np.bool_]) -> tuple[float, float, Status]:
    """Slope and intercept that maximise the likelihood of sigmoid(slope · score + intercept)."""
    if not len(score):
        return 1.0, 0.0, "no_images"
    if truth.all() or not truth.any():
        return 1.0, 0.0, "one_class"
    if score.min() == score.max():
        return 1.0, 0.0, "constant_scores"
    target = truth.astype(np.float64)
    status: Status = "ok"
    if score[~truth].max() <= score[truth].min():
        positives, negatives = truth.sum(), (~truth).sum()
        target = np.where(truth, (positives + 1) / (positives + 2), 1 / (negatives + 2))
        status = "separable"
    # Newton sees scores of mean 0 and deviation 1, and so is at ease with any scale.
    mean, deviation = float(score.mean()), float(score.std())
    centred = (score - mean) / deviation
    lowest = SMALLEST_SLOPE * deviation
    turned = score[truth].max() <= score[~truth].min()
    slope, intercept = (-np.inf, 0.0) if turned else _logistic(centred, target)
    if slope < lowest:
        slope, intercept = _logistic(centred, target, lowest)
        status = "uninformative"
    return float(slope / deviation), float(intercept - slope * mean / deviation), status


def _logistic(
    score: NDArray[np.float64], target: NDArray[np.float64], held_slope: float | None = None
) -> NDArray[np.float64]:
    """(slope, intercept) of the logistic regression; of the intercept alone where slope is held."""
    design = np.stack([score, np.ones_like(score)], axis=1)
    offset = np.zeros_like(score)
    if held_slope is not None:
        design, offset = design[:, 1:], held_slope * score

    def derivatives(point: NDArray[np.float64]) -> _Derivatives:
        values = design @ point + offset
        probability = sigmoid(values)
        # -ln sigmoid(v) is logaddexp(0, -v), without overflow.
        losses = target * np.logaddexp(0, -values) + (1 - target) * np.logaddexp(0, values)
        spread = probability * (1 - probability)
        gradient = design.T @ (probability - target) / len(score)
        return float(losses.mean()), gradient, (design.T * spread) @ design / len(score)

    found = _newton(derivatives, np.zeros(design.shape[1]))
    return found if held_slope is None else np.array([held_slope, found[0]])


_Derivatives = tuple[float, NDArray[np.float64], NDArray[np.float64]]


def _newton(
    derivatives: Callable[[NDArray[np.float64]], _Derivatives], start: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Minimise a convex function by Newton's steps, halved until they lower it."""
    point = start
    value, gradient, curvature = derivatives(point)
    for _ in range(200):
        step = np.linalg.lstsq(curvature, -gradient, rcond=None)[0]
        # Where the function is all but flat, Newton's step would leap out of reach.
        step *= min(1.0, 10 / max(float(np.abs(step).max()), 1e-300))
        factor = 1.0
        while True:
            moved = point + factor * step
            found = derivatives(moved)
            if found[0] <= value or factor < 1e-10:
                break
            factor /= 2
        if found[0] > value or np.abs(moved - point).max() <= 1e-14 * (1 + np.abs(point).max()):
            return point
        point, (value, gradient, curvature) = moved, found
    return point
