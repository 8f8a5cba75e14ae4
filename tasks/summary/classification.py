"""What a summary holds of predictions: their quality, and what their probabilities are worth."""

from __future__ import annotations

from dataclasses import dataclass

from saliency_audit.statistics.classification import LabelQuality
from saliency_audit.statistics.means import Mean
from saliency_audit.statistics.probabilities import ReliabilityBin
from saliency_audit.statistics.resampling import Interval


@dataclass(frozen=True)
class Calibration:
    """How far ``n`` stated probabilities are from what happened."""

    n: int
    ece: float | None
    brier: float | None
    log_loss: float | None
    bins: list[ReliabilityBin]


@dataclass(frozen=True)
class NothingPredicted:
    """Images without a predicted label; how many have one, and which labels were ``missed``."""

    images: int
    with_a_label: int
    missed: dict[str, int]


@dataclass(frozen=True)
class Classification:
    """Predictions of the test split.

    ``macro``: means over labels, by figure; ``largest_class_share``: None of many labels an image;
    ``confusion``: images by true and predicted label, None unless each has one of both;
    ``calibration``: ``raw`` and ``calibrated``; ``explained``: rows by split.
    """

    images: int
    groups: int
    images_by_split: dict[str, int]
    labels: list[LabelQuality]
    macro: dict[str, Mean]
    exact_match: float | None
    exact_match_interval: Interval
    largest_class_share: float | None
    confusion: list[list[int]] | None
    calibration: dict[str, Calibration]
    nothing_predicted: NothingPredicted
    explained: dict[str, int]
