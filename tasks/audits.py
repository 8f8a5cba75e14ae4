"""The parameters of the audit itself: what is audited, what is explained, how it is measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from saliency_audit.errors import ParameterError
from saliency_audit.ranges import check_at_least


@dataclass(frozen=True)
class Audit:
    """A dataset and a classifier.

    ``dataset``: a key of ``datasets``; ``classifier``: a folder of ``classifiers/``; ``images``:
    how many images of validation and test to explain (1 or more; None for all).
    """

    dataset: str
    classifier: str
    images: int | None = None

    def __post_init__(self) -> None:
        """Check the range; raises ParameterError."""
        if self.images is not None and self.images < 1:
            raise ParameterError(
                f"images is {self.images}: give 1 or more, or leave it out for all"
            )


@dataclass(frozen=True)
class PredictParameters:
    """What is predicted and what of it is explained.

    ``rule``: for multi-class, the highest score or per-class thresholds (Eq 2);
    ``explain_labels``: every predicted label, or the highest score besides where nothing is
    predicted (such rows stay out of the tables); ``splits``: which splits to explain;
    ``background``: training images that SHAP compares with (1 or more); ``seed``: of the choice.
    """

    rule: Literal["argmax", "thresholds"] = "argmax"
    explain_labels: Literal["predicted", "predicted_or_top1"] = "predicted"
    splits: tuple[Literal["validation", "test"], ...] = ("validation", "test")
    background: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the ranges; raises ParameterError."""
        check_at_least(1, background=self.background)
        if not self.splits:
            raise ParameterError("splits is empty: give validation, test or both")


@dataclass(frozen=True)
class MeasureParameters:
    """How maps become numbers.

    ``kept_fraction``: q, the share of pixels in an explanation, in (0, 1]; ``control_seed``: of
    the shuffled control.
    """

    kept_fraction: float = 0.05
    control_seed: int = 0

    def __post_init__(self) -> None:
        """Check the range; raises ParameterError."""
        if not 0 < self.kept_fraction <= 1:
            raise ParameterError(
                f"kept_fraction is {self.kept_fraction}: give more than 0, at most 1"
            )


@dataclass(frozen=True)
class AgreementParameters:
    """How the methods' agreement is counted (XAIMed §3.2).

    ``grid``: cells per side (2 or more); ``methods``: those that vote in the paper's count.
    """

    grid: int = 3
    methods: tuple[str, ...] = ("lime", "rise", "gradcam", "gradcam_plus_plus")

    def __post_init__(self) -> None:
        """Check the range; raises ParameterError."""
        check_at_least(2, grid=self.grid)


@dataclass(frozen=True)
class ReportParameters:
    """What the report shows.

    ``gallery``: right and wrong predictions shown, each (0 or more); ``seed``: of their choice and
    of resampling; ``replicates``: bootstrap replicates of an interval (100 or more).
    """

    gallery: int = 6
    seed: int = 0
    replicates: int = 1000

    def __post_init__(self) -> None:
        """Check the ranges; raises ParameterError."""
        check_at_least(0, gallery=self.gallery)
        check_at_least(100, replicates=self.replicates)
