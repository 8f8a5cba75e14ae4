"""What the classifier gets right on the test split, and what its probabilities are worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from saliency_audit.errors import DataError
from saliency_audit.labelling import Labelling
from saliency_audit.statistics.classification import (
    confusion_matrix,
    exact_match,
    label_qualities,
)
from saliency_audit.statistics.means import mean_without_nulls
from saliency_audit.statistics.probabilities import (
    brier_score,
    expected_calibration_error,
    log_loss,
    reliability,
)
from saliency_audit.statistics.resampling import Bootstrap, group_bootstrap
from tasks.summarise.rows import TEST, numbers, pick, tally, texts
from tasks.summary.classification import Calibration, Classification, NothingPredicted

COLUMNS = [
    "image_id",
    "label",
    "group_id",
    "split",
    "label_index",
    "probability",
    "calibrated",
    "threshold",
    "predicted",
    "target",
    "explained",
]


@dataclass(frozen=True)
class Predictions:
    """Columns of the test split as (images, labels); ``group`` (images,) is a number."""

    labels: tuple[str, ...]
    probability: NDArray[np.float64]
    calibrated: NDArray[np.float64]
    predicted: NDArray[np.bool_]
    target: NDArray[np.bool_]
    group: NDArray[np.int64]


def pivot(rows: pa.Table, labels: Sequence[str]) -> Predictions:
    """Lay out the test rows of a predictions table by image and label, in the labels' order.

    Raises DataError where an image has not a row for every label.
    """
    test = pick(rows, split=TEST)
    order = [("image_id", "ascending"), ("label_index", "ascending")]
    test = test.sort_by(order)
    count, width = len(test) // max(1, len(labels)), len(labels)
    if texts(test, "label") != list(labels) * count or len(test) != count * width:
        raise DataError(
            "an image of the predictions lacks a row of a label: run `saliency-audit run`"
        )
    shape = (count, width)
    names = np.array(texts(test, "group_id")[::width] if count else [], dtype=object)
    return Predictions(
        tuple(labels),
        numbers(test, "probability").reshape(shape),
        numbers(test, "calibrated").reshape(shape),
        numbers(test, "predicted").reshape(shape) > 0,
        numbers(test, "target").reshape(shape) > 0,
        np.unique(names, return_inverse=True)[1].astype(np.int64),
    )


def summarise_classification(
    rows: pa.Table, labels: Sequence[str], labelling: Labelling, bootstrap: Bootstrap
) -> Classification:
    """Quality per label and overall, confusion, calibration, images without a prediction."""
    found = pivot(rows, labels)
    match = (found.target == found.predicted).all(axis=1)
    qualities = label_qualities(labels, found.target, found.predicted, found.probability)
    return Classification(
        images=len(match),
        groups=len(np.unique(found.group)),
        images_by_split={s: n // len(labels) for s, n in tally(rows, "split").items()},
        labels=qualities,
        macro={
            name: mean_without_nulls([getattr(q, name) for q in qualities])
            for name in ("precision", "recall", "f1", "auroc", "average_precision")
        },
        exact_match=exact_match(found.target, found.predicted),
        exact_match_interval=group_bootstrap(
            match.astype(float), found.group, bootstrap=bootstrap, incorrect=~match
        ),
        largest_class_share=_largest_share(found, labelling),
        confusion=_confusion(found),
        calibration=_calibration(found, labelling),
        nothing_predicted=_nothing_predicted(found),
        explained=_explained(rows),
    )


def _largest_share(found: Predictions, labelling: Labelling) -> float | None:
    """Share of images that have the commonest label: the accuracy of always saying it."""
    if labelling is Labelling.MULTILABEL or not len(found.target):
        return None
    return float(found.target.mean(axis=0).max())


def _confusion(found: Predictions) -> list[list[int]] | None:
    """Count images by true (row) and predicted label; None unless every image has one of each."""
    one_each = (found.target.sum(axis=1) == 1) & (found.predicted.sum(axis=1) == 1)
    if not len(one_each) or not one_each.all():
        return None
    counts = confusion_matrix(
        found.target.argmax(axis=1), found.predicted.argmax(axis=1), len(found.labels)
    )
    rows: list[list[int]] = counts.tolist()
    return rows


def stated(
    probability: NDArray[np.float64], found: Predictions, labelling: Labelling
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Give the probabilities that calibration speaks of, and whether each came true.

    Multi-class: of the most probable label; binary: of the positive one; multi-label: of every
    label of every image.
    """
    if labelling is Labelling.MULTICLASS:
        rows, top = np.arange(len(probability)), probability.argmax(axis=1)
        return probability[rows, top], found.target[rows, top]
    if labelling is Labelling.BINARY:
        return probability[:, 1], found.target[:, 1]
    return probability.reshape(-1), found.target.reshape(-1)


def _calibration(found: Predictions, labelling: Labelling) -> dict[str, Calibration]:
    quality = {}
    for name, values in (("raw", found.probability), ("calibrated", found.calibrated)):
        probability, occurred = stated(values, found, labelling)
        quality[name] = Calibration(
            n=len(probability),
            ece=expected_calibration_error(probability, occurred),
            brier=brier_score(probability, occurred),
            log_loss=log_loss(probability, occurred),
            bins=reliability(probability, occurred),
        )
    return quality


def _nothing_predicted(found: Predictions) -> NothingPredicted:
    """Images for which no label is predicted, and the labels that they have."""
    silent = ~found.predicted.any(axis=1)
    missed = found.target[silent].sum(axis=0)
    return NothingPredicted(
        images=int(silent.sum()),
        with_a_label=int(found.target[silent].any(axis=1).sum()),
        missed={label: int(n) for label, n in zip(found.labels, missed, strict=True) if n},
    )


def _explained(rows: pa.Table) -> dict[str, int]:
    return tally(rows.filter(rows.column("explained")), "split")
