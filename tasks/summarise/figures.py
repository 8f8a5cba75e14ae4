"""Means of columns with nulls, each with the count behind it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from saliency_audit.measures.status import COUNTED_AS_ZERO
from saliency_audit.statistics.means import Mean, macro_mean, mean_with_zeros, mean_without_nulls
from tasks.summary.values import Means


def plain(value: float) -> float | None:
    """Give a number, or None for NaN."""
    return None if np.isnan(value) else float(value)


def mean(values: NDArray[np.float64]) -> Mean:
    """Mean without nulls (NaN), and its n.

    >>> mean(np.array([0.5, np.nan, 1.0]))
    Mean(mean=0.75, n=2)
    """
    return mean_without_nulls([plain(value) for value in values.tolist()])


def means(values: NDArray[np.float64], statuses: Sequence[str], labels: Sequence[str]) -> Means:
    """Mean without nulls; with zero and constant maps as 0; and over labels; each with its n."""
    listed = [plain(value) for value in values.tolist()]
    found = mean_without_nulls(listed)
    return Means(
        found.mean,
        found.n,
        with_zeros=mean_with_zeros(listed, statuses, COUNTED_AS_ZERO),
        macro=macro_mean(listed, labels),
    )
