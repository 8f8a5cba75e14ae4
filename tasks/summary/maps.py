"""What a summary holds of the maps themselves, and of which rows count."""

from __future__ import annotations

from dataclasses import dataclass

from saliency_audit.statistics.means import Mean


@dataclass(frozen=True)
class Spread(Mean):
    """A mean with the median and the highest value."""

    median: float | None
    highest: float | None


@dataclass(frozen=True)
class OfMethod:
    """The maps of a method, counted by status; ``completeness``: its absolute error."""

    maps: int
    statuses: dict[str, int]
    method_statuses: dict[str, int]
    tie_share: Spread
    completeness: Spread
    model_digests: list[str]
    method_digests: list[str]


@dataclass(frozen=True)
class Cohort:
    """Explained rows by split and reason, and how often each method's map was not finite."""

    rows: int
    reasons: dict[str, dict[str, int]]
    faulty_methods: dict[str, int]
