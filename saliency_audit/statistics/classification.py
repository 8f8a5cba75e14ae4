"""What predicted labels get right: per label, over pairs of labels, and of whole images.

Scores and probabilities belong to ``ranking`` and ``probabilities``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saliency_audit.errors import DataError
from saliency_audit.statistics.columns import Flags, Numbers, check_flags
from saliency_audit.statistics.ranking import auroc, average_precision


@dataclass(frozen=True)
class LabelQuality:
    """Quality of one label's predictions; in [0, 1], None where undefined.

    ``support``: rows that have the label; ``predicted``: rows predicted to; ``precision``: None
    where nothing is predicted; ``recall``: None without support; ``f1``: 2·TP / (support +
    predicted), None where both are 0; ``auroc``: None with one class only;
    ``average_precision``: None without support.
    """

    label: str
    support: int
    predicted: int
    precision: float | None
    recall: float | None
    f1: float | None
    auroc: float | None
    average_precision: float | None


def label_quality(
    label: str, target: Flags, predicted: Flags, probability: Numbers
) -> LabelQuality:
    """Quality of one label's predictions over images.

    ``target`` (n,): whether the image has the label; ``predicted`` (n,); ``probability`` (n,):
    any finite score that rises with it. Raises DataError on other columns.

    >>> rows = np.array([True, False, True])
    >>> label_quality("nv", rows, np.array([True, True, False]), np.array([0.9, 0.6, 0.4])).f1
    0.5
    """
    check_flags(target, "target", len(probability))
    check_flags(predicted, "predicted", len(probability))
    support, positive = int(target.sum()), int(predicted.sum())
    hits = int((target & predicted).sum())
    return LabelQuality(
        label=label,
        support=support,
        predicted=positive,
        precision=_ratio(hits, positive),
        recall=_ratio(hits, support),
        f1=_ratio(2 * hits, support + positive),
        auroc=auroc(probability, target),
        average_precision=average_precision(probability, target),
    )


def label_qualities(
    labels: Sequence[str],
    target: NDArray[np.bool_],
    predicted: NDArray[np.bool_],
    probability: NDArray[np.floating[Any]],
) -> list[LabelQuality]:
    """Quality of each label; the arrays are (images, labels), columns in the order of ``labels``.

    Raises DataError where the shapes differ.
    """
    shape = (len(target), len(labels))
    columns = {"target": target, "predicted": predicted, "probability": probability}
    for name, values in columns.items():
        if values.shape != shape:
            raise DataError(f"{name} has shape {values.shape}: give {shape}, images by labels")
    return [
        label_quality(label, target[:, j], predicted[:, j], probability[:, j])
        for j, label in enumerate(labels)
    ]


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def confusion_matrix(
    target: NDArray[np.integer[Any]],
    predicted: NDArray[np.integer[Any]],
    labels: int,
) -> NDArray[np.int64]:
    """Count images (labels, labels) by true label (row) and predicted label (column).

    ``target`` and ``predicted`` (n,) hold one label index per image. Raises DataError where they
    are of different lengths or name a label that is not there.

    >>> confusion_matrix(np.array([0, 0, 1]), np.array([0, 1, 1]), 2)
    array([[1, 1],
           [0, 1]])
    """
    for name, indices in (("target", target), ("predicted", predicted)):
        if indices.shape != (len(target),):
            raise DataError(f"{name} has shape {indices.shape}: give ({len(target)},)")
        bad = np.flatnonzero((indices < 0) | (indices >= labels))
        if bad.size:
            raise DataError(
                f"{name} is {indices[bad[0]]} in row {bad[0]}: give an index from 0 to {labels - 1}"
            )
    pairs = target.astype(np.int64) * labels + predicted
    return np.bincount(pairs, minlength=labels * labels).reshape(labels, labels).astype(np.int64)


def exact_match(target: NDArray[np.bool_], predicted: NDArray[np.bool_]) -> float | None:
    """Share in [0, 1] of images whose predicted labels are exactly theirs; None of no images.

    Both are (images, labels). With one label per image this is the accuracy. Raises DataError
    where the shapes differ.

    >>> exact_match(np.array([[True, False], [True, True]]), np.array([[True, False]] * 2))
    0.5
    """
    if target.ndim != 2 or target.shape != predicted.shape:
        raise DataError(
            f"target has shape {target.shape} and predicted {predicted.shape}: "
            "give both as (images, labels)"
        )
    return float((target == predicted).all(axis=1).mean()) if len(target) else None
