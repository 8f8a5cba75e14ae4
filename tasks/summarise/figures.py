"""Means and intervals as plain values, each with the count behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saliency_audit.measures.status import COUNTED_AS_ZERO
from saliency_audit.statistics.means import Mean, macro_mean, mean_with_zeros, mean_without_nulls
from saliency_audit.statistics.resampling import Interval


def plain(value: float) -> float | None:
    """Give a number, or None for NaN."""
    return None if np.isnan(value) else float(value)


def mean(values: NDArray[np.float64]) -> dict[str, Any]:
    """Mean without nulls (NaN), and its n.

    >>> mean(np.array([0.5, np.nan, 1.0]))
    {'mean': 0.75, 'n': 2}
    """
    return _mean(mean_without_nulls([plain(value) for value in values.tolist()]))


def means(
    values: NDArray[np.float64], statuses: Sequence[str], labels: Sequence[str]
) -> dict[str, Any]:
    """Mean without nulls; with zero and constant maps as 0; and over labels; each with its n."""
    listed = [plain(value) for value in values.tolist()]
    return {
        **_mean(mean_without_nulls(listed)),
        "with_zeros": _mean(mean_with_zeros(listed, statuses, COUNTED_AS_ZERO)),
        "macro": _mean(macro_mean(listed, labels)),
    }


def _mean(found: Mean) -> dict[str, Any]:
    return {"mean": found.mean, "n": found.n}


def interval(found: Interval) -> dict[str, Any]:
    """Give an interval's estimate, bounds, counts and status."""
    return {
        "estimate": found.estimate,
        "low": found.low,
        "high": found.high,
        "rows": found.rows,
        "groups": found.groups,
        "status": str(found.status),
    }
