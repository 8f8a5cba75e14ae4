"""The metrics of classification and of agreement, each stated once.

What a metric is called, how it is taken from an audit's summary, and which rows it
is made of: ``metrics.json`` and ``saliency-audit trace`` read it here. Those of
localisation and certainty follow from the figures that
``saliency_audit.measures`` declares.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from tasks.summary.agreement import OfSet
from tasks.summary.classification import Classification

T = TypeVar("T")

#: A number, one per label, or None where there is no value.
Value = float | int | None | Mapping[str, float | None]


@dataclass(frozen=True)
class Metric(Generic[T]):
    """A number of ``metrics.json``.

    ``key``: its name there; ``take``: how it is taken from a part of the summary; ``statistic``:
    what it is of its rows, in words; ``columns``: those of its rows that it is computed from;
    ``least``: the lowest value that a column of them has.
    """

    key: str
    take: Callable[[T], Value]
    statistic: str
    columns: tuple[str, ...]
    least: Mapping[str, int] = field(default_factory=dict)


#: Of the predictions of the test split.
CLASSIFICATION: tuple[Metric[Classification], ...] = (
    Metric("images", lambda found: found.images, "count of images", ("target",)),
    Metric(
        "exact_match",
        lambda found: found.exact_match,
        "share of images whose predicted labels are theirs",
        ("predicted", "target"),
    ),
    Metric(
        "macro_auroc",
        lambda found: found.macro["auroc"].mean,
        "mean over labels of AUROC",
        ("target", "probability"),
    ),
    Metric(
        "macro_f1",
        lambda found: found.macro["f1"].mean,
        "mean over labels of F1",
        ("predicted", "target"),
    ),
    Metric(
        "ece_raw",
        lambda found: found.calibration["raw"].ece,
        "expected calibration error",
        ("target", "probability"),
    ),
    Metric(
        "ece_calibrated",
        lambda found: found.calibration["calibrated"].ece,
        "expected calibration error",
        ("target", "calibrated"),
    ),
    Metric(
        "auroc",
        lambda found: {quality.label: quality.auroc for quality in found.labels},
        "AUROC",
        ("target", "probability"),
    ),
    Metric(
        "f1",
        lambda found: {quality.label: quality.f1 for quality in found.labels},
        "F1",
        ("predicted", "target"),
    ),
    Metric(
        "nothing_predicted",
        lambda found: found.nothing_predicted.images,
        "count of images with no predicted label",
        ("predicted",),
    ),
)

#: Of a set of methods that vote, over the counted images and labels.
AGREEMENT: tuple[Metric[OfSet], ...] = (
    Metric(
        "methods",
        lambda found: found.n,
        "methods of the set that explain the audit: n",
        ("valid_methods",),
    ),
    Metric(
        "n",
        lambda found: found.rows,
        "count of images and labels in which three methods or more can vote",
        ("valid_methods", "count"),
        {"valid_methods": 3},
    ),
    Metric(
        "near_unanimous",
        lambda found: found.near_unanimous.share.mean,
        "share of images and labels with a cell that all valid methods but one have, or all",
        ("valid_methods", "count"),
        {"valid_methods": 3},
    ),
    Metric(
        "chance",
        lambda found: found.near_unanimous.chance.mean,
        "the same share for independent maps",
        ("valid_methods", "count"),
        {"valid_methods": 3},
    ),
    Metric(
        "highest_mean",
        lambda found: found.highest_mean.mean,
        "mean over images and labels of the highest count of a cell",
        ("valid_methods", "count"),
        {"valid_methods": 3},
    ),
)
