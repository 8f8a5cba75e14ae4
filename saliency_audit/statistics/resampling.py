"""How far a figure would move with other patients: the bootstrap over groups.

Images of one patient or lesion resemble each other, so whole groups are
drawn with replacement, never images (Davison and Hinkley 1997, §3.8).
Intervals are those of the percentile method. Two models or two maps of the
same images are compared paired: their difference per row is resampled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saliency_audit.errors import DataError
from saliency_audit.parameters import Checked
from saliency_audit.ranges import OpenShare, Replicates, Seed
from saliency_audit.statistics.columns import Flags, Numbers, check_column, check_flags

#: Below these an interval is marked, or not given.
FEW_GROUPS = 250
FEW_INCORRECT = 50
TOO_FEW_INCORRECT_GROUPS = 10

#: Draws held at a time, so that memory depends on neither rows nor replicates.
_DRAWS_AT_A_TIME = 1 << 20

#: A statistic that more replicates than this leave undefined has no interval.
_UNDEFINED_SHARE = 0.1


@dataclass(frozen=True)
class Bootstrap(Checked):
    """How an interval is computed.

    ``replicates``: resamples (100 or more); ``level``: coverage, in (0, 1); ``seed``: 0 or more.

    >>> Bootstrap(level=95)
    Traceback (most recent call last):
    saliency_audit.errors.ParameterError: level is 95: give above 0, below 1
    """

    replicates: Replicates = 2000
    level: OpenShare = 0.95
    seed: Seed = 0


class IntervalStatus(StrEnum):
    """Whether there is an interval and how far to trust it; the first that applies.

    - ``NO_VALUES``: no row, or the statistic is undefined; no figure at all.
    - ``ONE_GROUP``: nothing to resample; no interval.
    - ``TOO_FEW_INCORRECT``: under ``TOO_FEW_INCORRECT_GROUPS`` groups with an incorrect
      prediction; no interval.
    - ``UNDEFINED``: over a tenth of the replicates have no value; no interval.
    - ``FEW_GROUPS``, ``FEW_INCORRECT``, ``FEW_GROUPS_AND_INCORRECT``: fewer than that
      many groups or incorrect predictions; the interval is marked.
    """

    OK = "ok"
    NO_VALUES = "no_values"
    ONE_GROUP = "one_group"
    TOO_FEW_INCORRECT = "too_few_incorrect"
    UNDEFINED = "undefined"
    FEW_GROUPS = "few_groups"
    FEW_INCORRECT = "few_incorrect"
    FEW_GROUPS_AND_INCORRECT = "few_groups_and_incorrect"


@dataclass(frozen=True)
class Interval:
    """A figure with its interval; ``low`` and ``high`` are None where the status says so.

    ``rows`` and ``groups`` are those that have a value.
    """

    estimate: float | None
    low: float | None
    high: float | None
    rows: int
    groups: int
    status: IntervalStatus


#: Gives a figure of resampled rows (m,) or (m, columns), or None where it is undefined.
Statistic = Callable[[NDArray[Any]], float | None]


def group_bootstrap(
    values: NDArray[Any],
    groups: NDArray[Any],
    statistic: Statistic | None = None,
    *,
    bootstrap: Bootstrap = Bootstrap(),
    incorrect: Flags | None = None,
) -> Interval:
    """Interval of a statistic of rows, by drawing groups with replacement.

    Raises DataError where the columns differ in length.

    Parameters
    ----------
    values
        (n,) or (n, columns). Of (n,) floats, NaN is null and left out.
    groups
        (n,) of the patient or lesion of each row.
    statistic
        of the rows drawn, a row as often as its group; None is the mean, which needs no
        rows but sums per group.
    bootstrap
        replicates, level and seed.
    incorrect
        (n,) where the figure speaks of wrong predictions: then their number counts, too.

    Examples
    --------
    >>> scores = np.arange(600.0)
    >>> interval = group_bootstrap(scores, np.arange(600) // 2)
    >>> interval.low < interval.estimate < interval.high
    True
    """
    rows = _Rows.of(values, groups, incorrect)
    if statistic is None:
        if rows.values.ndim != 1:
            raise DataError(f"values have shape {values.shape}: a mean needs (n,)")
        sums = np.bincount(rows.group, weights=rows.values, minlength=rows.groups)
        return _means_interval(rows, sums[:, np.newaxis], rows.sizes[:, np.newaxis], bootstrap)
    if not len(rows.group):
        return _no_interval(rows, None, IntervalStatus.NO_VALUES)
    drawn = (
        statistic(rows.values[rows.of_groups(draw)])
        for draws in _draws(rows.groups, bootstrap)
        for draw in draws
    )
    return _interval(rows, statistic(rows.values), _statistics(drawn, bootstrap), bootstrap.level)


def paired_difference(
    first: Numbers,
    second: Numbers,
    groups: NDArray[Any],
    *,
    bootstrap: Bootstrap = Bootstrap(),
    incorrect: Flags | None = None,
) -> Interval:
    """Interval of the mean of ``first`` - ``second`` over rows where neither is null (NaN).

    Both are (n,) and of the same rows, as of two models, or of a map and its control: of SegX that
    is the gain beyond masking. Raises DataError where the columns differ in length.

    >>> base = np.arange(600.0)
    >>> paired_difference(base + 1, base, np.arange(600)).low
    1.0
    """
    check_column(second, "second", len(first))
    return group_bootstrap(first - second, groups, bootstrap=bootstrap, incorrect=incorrect)


def difference_of_means(
    values: Numbers,
    selected: Flags,
    groups: NDArray[Any],
    *,
    bootstrap: Bootstrap = Bootstrap(),
    incorrect: Flags | None = None,
) -> Interval:
    """Interval of the mean of selected rows minus that of the others, as correct and incorrect.

    ``values`` (n,), NaN is null; ``selected`` (n,); a group may have rows on both sides. Raises
    DataError where the columns differ in length.
    """
    check_flags(selected, "selected", len(values))
    rows = _Rows.of(values, groups, incorrect)
    sides = [selected[rows.kept], ~selected[rows.kept]]
    sums = np.stack(
        [np.bincount(rows.group, weights=rows.values * s, minlength=rows.groups) for s in sides],
        axis=1,
    )
    counts = np.stack(
        [np.bincount(rows.group, weights=s, minlength=rows.groups) for s in sides], axis=1
    )
    return _means_interval(rows, sums, counts, bootstrap)


@dataclass(frozen=True)
class _Rows:
    """Rows that have a value, sorted by group: ``group`` is the index of each one's group."""

    values: NDArray[Any]
    group: NDArray[np.int64]
    groups: int
    sizes: NDArray[np.int64]
    incorrect: Flags | None
    kept: NDArray[np.int64]

    @classmethod
    def of(cls, values: NDArray[Any], groups: NDArray[Any], incorrect: Flags | None) -> _Rows:
        check_column(groups, "groups", len(values))
        if incorrect is not None:
            check_flags(incorrect, "incorrect", len(values))
        present = np.ones(len(values), dtype=np.bool_)
        if values.ndim == 1 and np.issubdtype(values.dtype, np.floating):
            present = ~np.isnan(values)
        names, which = np.unique(groups[present], return_inverse=True)
        by_group = np.argsort(which, kind="stable")
        kept = np.flatnonzero(present)[by_group]
        return cls(
            values=values[kept],
            group=which[by_group].astype(np.int64),
            groups=len(names),
            sizes=np.bincount(which, minlength=len(names)).astype(np.int64),
            incorrect=None if incorrect is None else incorrect[kept],
            kept=kept,
        )

    def of_groups(self, draw: NDArray[np.int64]) -> NDArray[np.int64]:
        """Rows of the groups drawn, each as often as its group."""
        starts = np.cumsum(self.sizes) - self.sizes
        sizes = self.sizes[draw]
        before = np.cumsum(sizes) - sizes
        rows: NDArray[np.int64] = np.repeat(starts[draw] - before, sizes)
        return rows + np.arange(len(rows))


def _draws(groups: int, bootstrap: Bootstrap) -> Iterator[NDArray[np.int64]]:
    """Draw groups with replacement, in portions (replicates, groups)."""
    generator = np.random.default_rng([bootstrap.seed])
    portion = max(1, _DRAWS_AT_A_TIME // groups)
    for start in range(0, bootstrap.replicates, portion):
        count = min(portion, bootstrap.replicates - start)
        yield generator.integers(groups, size=(count, groups))


def _statistics(drawn: Iterator[float | None], bootstrap: Bootstrap) -> NDArray[np.float64]:
    values = (np.nan if value is None else value for value in drawn)
    return np.fromiter(values, dtype=np.float64, count=bootstrap.replicates)


def _means_interval(
    rows: _Rows, sums: NDArray[Any], counts: NDArray[Any], bootstrap: Bootstrap
) -> Interval:
    """Interval of one mean, or of the first minus the second, from sums per group (groups, 1 or 2).

    A mean of drawn groups is their sum of values over their sum of counts.
    """
    if not len(rows.group):
        return _no_interval(rows, None, IntervalStatus.NO_VALUES)
    figures = [
        _difference(sums[draws].sum(axis=1), counts[draws].sum(axis=1))
        for draws in _draws(rows.groups, bootstrap)
    ]
    estimate = float(_difference(sums.sum(axis=0), counts.sum(axis=0)))
    return _interval(
        rows,
        None if np.isnan(estimate) else estimate,
        np.concatenate(figures),
        bootstrap.level,
    )


def _difference(sums: NDArray[Any], counts: NDArray[Any]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore", divide="ignore"):
        means: NDArray[np.float64] = sums / np.where(counts > 0, counts, np.nan)
    difference: NDArray[np.float64] = (
        means[..., 0] if means.shape[-1] == 1 else means[..., 0] - means[..., 1]
    )
    return difference


def _interval(
    rows: _Rows, estimate: float | None, replicates: NDArray[np.float64], level: float
) -> Interval:
    defined = replicates[~np.isnan(replicates)]
    refusal = _refusal(rows, estimate, len(defined) / len(replicates))
    if refusal is not None:
        return _no_interval(rows, estimate, refusal)
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return Interval(estimate, float(low), float(high), len(rows.group), rows.groups, _mark(rows))


def _refusal(rows: _Rows, estimate: float | None, defined: float) -> IntervalStatus | None:
    """Why there is no interval, if so."""
    if estimate is None:
        return IntervalStatus.NO_VALUES
    if rows.groups < 2:
        return IntervalStatus.ONE_GROUP
    if rows.incorrect is not None:
        concerned = len(np.unique(rows.group[rows.incorrect]))
        if concerned < TOO_FEW_INCORRECT_GROUPS:
            return IntervalStatus.TOO_FEW_INCORRECT
    return IntervalStatus.UNDEFINED if defined < 1 - _UNDEFINED_SHARE else None


def _mark(rows: _Rows) -> IntervalStatus:
    """How far to trust an interval that is given."""
    few_groups = rows.groups < FEW_GROUPS
    few_incorrect = rows.incorrect is not None and int(rows.incorrect.sum()) < FEW_INCORRECT
    if few_groups and few_incorrect:
        return IntervalStatus.FEW_GROUPS_AND_INCORRECT
    if few_groups:
        return IntervalStatus.FEW_GROUPS
    return IntervalStatus.FEW_INCORRECT if few_incorrect else IntervalStatus.OK


def _no_interval(rows: _Rows, estimate: float | None, status: IntervalStatus) -> Interval:
    return Interval(estimate, None, None, len(rows.group), rows.groups, status)
