"""Several scores of one prediction joined to one, as confidence and SegU's certainty together.

Fitted on validation rows and applied to test rows: whether two scores
together order right and wrong better than one is then a fair question.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saliency_audit.errors import DataError, ParameterError
from saliency_audit.statistics.columns import Flags, check_finite, check_flags

#: Newton's method converges in far fewer steps on a problem this small.
_MOST_STEPS = 100

#: A step that moves no coefficient further than this ends it.
_SMALLEST_STEP = 1e-12


@dataclass(frozen=True)
class Combination:
    """A fitted logistic regression: p = 1 / (1 + exp(-(intercept + weights · z))).

    ``centre`` and ``scale`` (columns,) standardise scores to z; ``weights`` (columns,).
    """

    centre: NDArray[np.float64]
    scale: NDArray[np.float64]
    weights: NDArray[np.float64]
    intercept: float

    def score(self, scores: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Joint score (n,) of rows (n, columns), in log odds: higher means more likely correct.

        Raises DataError where the columns are not those of the fit, or a score is not finite.
        """
        _check_scores(scores, len(self.centre))
        joint: NDArray[np.float64] = (
            self.intercept + (scores - self.centre) / self.scale @ self.weights
        )
        return joint


def fit_combination(
    scores: NDArray[np.floating[Any]], correct: Flags, ridge: float = 1.0
) -> Combination | None:
    """Logistic regression of ``correct`` on standardised scores, by Newton's method.

    Minimises Σ log(1 + exp(-y·η)) + ridge/2 · |weights|²; the intercept is free of it, and a
    ridge above 0 keeps the weights finite where scores separate right from wrong.

    ``scores`` (n, columns), finite; ``correct`` (n,). None where all rows are right, or all
    wrong. Raises DataError on other arrays, ParameterError where ``ridge`` is not above 0.

    >>> scores = np.array([[0.1], [0.4], [0.6], [0.9]])
    >>> fitted = fit_combination(scores, np.array([False, True, False, True]))
    >>> bool(fitted.weights[0] > 0)
    True
    """
    if not ridge > 0:
        raise ParameterError(f"ridge is {ridge}: give a number above 0")
    _check_scores(scores, scores.shape[-1])
    check_flags(correct, "correct", len(scores))
    if correct.all() or not correct.any():
        return None
    centre, scale = scores.mean(axis=0), scores.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)  # a constant column then stays 0 and weighs nothing
    design = np.column_stack([np.ones(len(scores)), (scores - centre) / scale])
    solution = _newton(design, correct.astype(np.float64), ridge)
    return Combination(centre, scale, solution[1:], float(solution[0]))


def _newton(
    design: NDArray[np.float64], target: NDArray[np.float64], ridge: float
) -> NDArray[np.float64]:
    penalty = np.full(design.shape[1], ridge)
    penalty[0] = 0.0
    solution = np.zeros(design.shape[1])
    solution[0] = np.log(target.mean() / (1 - target.mean()))
    for _ in range(_MOST_STEPS):
        likely = 0.5 * (1 + np.tanh(design @ solution / 2))  # the sigmoid, without overflow
        gradient = design.T @ (likely - target) + penalty * solution
        curvature = (design * (likely * (1 - likely))[:, np.newaxis]).T @ design
        step = np.linalg.solve(curvature + np.diag(penalty), gradient)
        before = _loss(design, target, penalty, solution)
        while np.abs(step).max() > _SMALLEST_STEP:
            if _loss(design, target, penalty, solution - step) <= before:
                break
            step = step / 2  # a full step can overshoot where scores separate the rows
        if np.abs(step).max() <= _SMALLEST_STEP:
            break
        solution = solution - step
    return solution


def _loss(
    design: NDArray[np.float64],
    target: NDArray[np.float64],
    penalty: NDArray[np.float64],
    solution: NDArray[np.float64],
) -> float:
    margins = np.where(target > 0, 1, -1) * (design @ solution)
    return float(np.logaddexp(0, -margins).sum() + penalty @ solution**2 / 2)


def _check_scores(scores: NDArray[np.floating[Any]], columns: int) -> None:
    if scores.ndim != 2 or scores.shape[1] != columns:
        raise DataError(f"scores have shape {scores.shape}: give (rows, {columns})")
    check_finite(scores.reshape(-1), "scores", scores.size)
