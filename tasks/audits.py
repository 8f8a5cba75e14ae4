"""The parameters of the audit itself: what is audited, what is explained, how it is measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from saliency_audit.errors import ParameterError
from saliency_audit.parameters import Checked
from saliency_audit.ranges import (
    Count,
    Distinct,
    Interval,
    Length,
    PositiveShare,
    Replicates,
    Seed,
    Text,
)

#: Names of methods, each once.
Names = Annotated[tuple[Text, ...], Distinct()]
#: The methods of an audit: one, at least.
Methods = Annotated[tuple[Text, ...], Length(1), Distinct()]
#: The methods that vote in XAIMed, and the cells per side of its grid (§3.2).
XAIMED, XAIMED_GRID = ("lime", "rise", "gradcam", "gradcam_plus_plus"), 3
#: Which splits are explained.
Splits = Annotated[tuple[Literal["validation", "test"], ...], Length(1), Distinct()]


@dataclass(frozen=True)
class Audit(Checked):
    """A dataset and a classifier.

    ``dataset``: a key of ``datasets``; ``classifier``: a folder of ``classifiers/``; ``images``:
    how many images of validation and test to explain (1 or more; None for all); ``methods``: those
    of ``methods`` at the top that are to explain it (None for all); ``block``: of the network, that
    class activation methods explain in place of their own ``block``.
    """

    dataset: Text
    classifier: Text
    images: Count | None = None
    methods: Methods | None = None
    block: Text | None = None


@dataclass(frozen=True)
class PredictParameters(Checked):
    """What is predicted and what of it is explained.

    ``rule``: for multi-class, the highest score or per-class thresholds (Eq 2);
    ``explain_labels``: every predicted label, or the highest score besides where nothing is
    predicted (such rows stay out of the tables); ``splits``: which splits to explain;
    ``background``: training images that SHAP compares with (1 or more); ``seed``: of the choice.
    """

    rule: Literal["argmax", "thresholds"] = "argmax"
    explain_labels: Literal["predicted", "predicted_or_top1"] = "predicted"
    splits: Splits = ("validation", "test")
    background: Count = 100
    seed: Seed = 0


@dataclass(frozen=True)
class MeasureParameters(Checked):
    """How maps become numbers.

    ``kept_fraction``: q, the share of pixels in an explanation, in (0, 1]; ``control_seed``: of
    the shuffled control.
    """

    kept_fraction: PositiveShare = 0.05
    control_seed: Seed = 0


@dataclass(frozen=True)
class AgreementParameters(Checked):
    """How the methods' agreement is counted (XAIMed §3.2).

    ``preset``: ``xaimed`` for the paper's four methods on its 3×3 grid, or None for one's own:
    ``grid``, cells per side (2 or more), and ``methods``, those that vote.
    """

    preset: Literal["xaimed"] | None = "xaimed"
    grid: Annotated[int, Interval(ge=2)] = XAIMED_GRID
    methods: Names = XAIMED

    def __post_init__(self) -> None:
        """Check that the preset is what it says; raises ParameterError."""
        super().__post_init__()
        if self.preset is not None and (self.grid, set(self.methods)) != (XAIMED_GRID, set(XAIMED)):
            raise ParameterError(
                f"preset is {self.preset}, which is {', '.join(XAIMED)} on a grid of "
                f"{XAIMED_GRID}: leave grid and methods out, or set preset to null"
            )


@dataclass(frozen=True)
class ReportParameters(Checked):
    """What the report shows.

    ``gallery``: right and wrong predictions shown, each (0 or more); ``seed``: of their choice and
    of resampling; ``replicates``: bootstrap replicates of an interval (100 or more).
    """

    gallery: Annotated[int, Interval(ge=0)] = 6
    seed: Seed = 0
    replicates: Replicates = 1000
