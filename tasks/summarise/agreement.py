"""Where methods agree, beside what independent maps would give (XAIMed §3.2)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from saliency_audit.measures.grid import chance_of_agreement
from saliency_audit.statistics.means import Mean
from saliency_audit.statistics.resampling import Bootstrap, group_bootstrap
from tasks.summarise.figures import mean
from tasks.summarise.rows import distinct, flags, groups, numbers, pick
from tasks.summary.agreement import Agreement, NearUnanimous, OfSet, Pairs, Shared, Votes

AGREEMENT_COLUMNS = ["image_id", "label", "methods", "cell", "count", "valid_methods"]
CELL_COLUMNS = ["image_id", "label", "method", "cell", "mean", "top"]

#: Cells that a method votes for.
TOP = 3


def summarise_agreement(
    counts: pa.Table, cells: pa.Table, methods: Sequence[str], grid: int, bootstrap: Bootstrap
) -> Agreement:
    """Agreement per set of methods, and how far each two share their top cells.

    ``counts`` and ``cells``: counted rows of the test split, of the tables of these names.
    """
    return Agreement(
        sets={
            name: _of_set(pick(counts, methods=name), grid, bootstrap)
            for name in distinct(counts, "methods")
        },
        pairs=_pairs(cells, methods, grid),
        grid=grid,
    )


def _of_set(counts: pa.Table, grid: int, bootstrap: Bootstrap) -> OfSet:
    votes = numbers(counts, "count").reshape(-1, grid**2)
    first = counts.take(pa.array(np.arange(0, len(counts), grid**2)))
    valid = numbers(first, "valid_methods").astype(int)
    highest = votes.max(axis=1).astype(int) if len(votes) else np.zeros(0, int)
    correct = flags(first, "correct")
    return OfSet(
        rows=len(votes),
        valid_methods={str(k): n for k, n in sorted(Counter(valid.tolist()).items())},
        highest=_distribution(highest, valid, grid),
        mean_votes=[mean(votes[:, cell]).mean for cell in range(grid**2)],
        highest_mean=mean(highest.astype(float)),
        highest_mean_correct=mean(highest[correct].astype(float)),
        highest_mean_incorrect=mean(highest[~correct].astype(float)),
        shared=_shared(votes, valid, groups(first), grid, bootstrap),
        near_unanimous=_near_unanimous(highest, valid, groups(first), grid, bootstrap),
    )


def _distribution(highest: NDArray[np.int64], valid: NDArray[np.int64], grid: int) -> list[Votes]:
    """Rows whose most agreed cell has exactly k votes, and the share that chance would give."""
    found = []
    for k in range(int(valid.max(initial=0)) + 1):
        chance = [
            chance_of_agreement(v, k, grid) - (chance_of_agreement(v, k + 1, grid))
            for v in sorted(set(valid.tolist()))
        ]
        sizes = [int((valid == v).sum()) for v in sorted(set(valid.tolist()))]
        expected = sum(c * n for c, n in zip(chance, sizes, strict=True)) / max(1, sum(sizes))
        found.append(Votes(k, int((highest == k).sum()), expected))
    return found


def _shared(
    votes: NDArray[np.float64],
    valid: NDArray[np.int64],
    group: NDArray[np.int64],
    grid: int,
    bootstrap: Bootstrap,
) -> Shared:
    """Mean number of top cells that two valid methods share, of those that can be paired.

    A cell with v votes is shared by v(v - 1)/2 pairs of methods.
    """
    able = valid >= 2
    pairs = valid[able] * (valid[able] - 1) / 2
    shared = (votes[able] * (votes[able] - 1) / 2).sum(axis=1) / pairs
    chance = TOP * TOP / grid**2
    difference = group_bootstrap(shared - chance, group[able], bootstrap=bootstrap)
    found = mean(shared)
    return Shared(found.mean, found.n, chance, difference)


def _near_unanimous(
    highest: NDArray[np.int64],
    valid: NDArray[np.int64],
    group: NDArray[np.int64],
    grid: int,
    bootstrap: Bootstrap,
) -> NearUnanimous:
    """Share of rows in which all valid methods but one, or all, share a top cell, beside chance.

    Rows with fewer than two valid methods are left out.
    """
    able = valid >= 2
    needed = np.maximum(valid[able] - 1, 2)
    reached = (highest[able] >= needed).astype(float)
    by_valid = {
        v: chance_of_agreement(v, max(v - 1, 2), grid) for v in sorted(set(valid[able].tolist()))
    }
    chance = np.array([by_valid[v] for v in valid[able].tolist()], dtype=float)
    return NearUnanimous(
        needed={str(v): max(v - 1, 2) for v in by_valid},
        share=mean(reached),
        chance=mean(chance),
        difference=group_bootstrap(reached - chance, group[able], bootstrap=bootstrap),
    )


def _pairs(cells: pa.Table, methods: Sequence[str], grid: int) -> Pairs:
    """Mean number of top cells that two methods share, of rows where both can vote."""
    tops = {m: numbers(pick(cells, method=m), "top").reshape(-1, grid**2) for m in methods}
    found: dict[str, dict[str, Mean]] = {}
    for first, second in combinations(methods, 2):
        shared = (tops[first] * tops[second]).sum(axis=1)
        found.setdefault(first, {})[second] = mean(shared)
    return Pairs(found, TOP * TOP / grid**2)
