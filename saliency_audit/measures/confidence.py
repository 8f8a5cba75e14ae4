"""Three words for a probability (XAIMed §3.1): equal-width bins of [0, 1]."""

from __future__ import annotations

from enum import StrEnum

from saliency_audit.errors import DataError


class Confidence(StrEnum):
    """Low [0, 0.33], Medium (0.33, 0.66], High (0.66, 1]."""

    LOW = "Low"
    MEDIUM = "Medium"
    HIGH = "High"


def confidence(probability: float) -> Confidence:
    """Bin of a probability in [0, 1]; raises DataError outside, or of NaN.

    >>> confidence(0.66)
    <Confidence.MEDIUM: 'Medium'>
    """
    if not 0 <= probability <= 1:
        raise DataError(f"a probability is {probability}: give one in [0, 1]")
    if probability <= 0.33:
        return Confidence.LOW
    return Confidence.MEDIUM if probability <= 0.66 else Confidence.HIGH
