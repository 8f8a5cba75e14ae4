"""Means with the number of values behind them, over rows and over labels.

A null is None or NaN. Sums are exact, so a mean does not depend on the order
of the rows.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from saliency_audit.errors import DataError


@dataclass(frozen=True)
class Mean:
    """A mean and the number ``n`` of values (or labels) in it; None where n is 0."""

    mean: float | None
    n: int


def _is_null(value: float | None) -> bool:
    return value is None or math.isnan(value)


def mean_without_nulls(values: Sequence[float | None]) -> Mean:
    """Mean of the values that are not null.

    >>> mean_without_nulls([0.5, None, 1.0])
    Mean(mean=0.75, n=2)
    """
    present = [value for value in values if value is not None and not math.isnan(value)]
    return Mean(math.fsum(present) / len(present) if present else None, len(present))


def mean_with_zeros(
    values: Sequence[float | None], statuses: Sequence[str], as_zero: Collection[str]
) -> Mean:
    """Mean in which a null whose status is in ``as_zero`` counts as 0; other nulls are left out.

    ``as_zero`` is ``zero_map`` and ``constant_map`` for measures of maps. Raises DataError where
    the columns differ in length.

    >>> mean_with_zeros([0.5, None, None], ["ok", "zero_map", "nan_map"], {"zero_map"})
    Mean(mean=0.25, n=2)
    """
    _check_lengths(values, statuses, "statuses")
    return mean_without_nulls(
        [
            0.0 if _is_null(value) and status in as_zero else value
            for value, status in zip(values, statuses, strict=True)
        ]
    )


def means_by_label(values: Sequence[float | None], labels: Sequence[str]) -> dict[str, Mean]:
    """Mean of each label's values that are not null, by label in sorted order.

    Raises DataError where the columns differ in length.

    >>> means_by_label([0.5, None, 1.0], ["nv", "mel", "nv"])
    {'mel': Mean(mean=None, n=0), 'nv': Mean(mean=0.75, n=2)}
    """
    _check_lengths(values, labels, "labels")
    by_label: dict[str, list[float | None]] = {label: [] for label in sorted(set(labels))}
    for value, label in zip(values, labels, strict=True):
        by_label[label].append(value)
    return {label: mean_without_nulls(own) for label, own in by_label.items()}


def macro_mean(values: Sequence[float | None], labels: Sequence[str]) -> Mean:
    """Mean over labels of each label's mean; ``n`` counts the labels that have one.

    Every label weighs the same, however many rows it has. Raises DataError where the columns
    differ in length.

    >>> macro_mean([0.0, 0.0, 1.0], ["nv", "nv", "mel"])
    Mean(mean=0.5, n=2)
    """
    return mean_without_nulls([own.mean for own in means_by_label(values, labels).values()])


def _check_lengths(values: Sequence[float | None], others: Sequence[str], name: str) -> None:
    if len(values) != len(others):
        raise DataError(f"there are {len(values)} values and {len(others)} {name}: give one each")
