"""Where methods agree, beside what independent maps would give (XAIMed §3.2)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from saliency_audit.measures.grid import chance_of_agreement
from saliency_audit.statistics.means import Mean
from saliency_audit.statistics.resampling import Bootstrap, group_bootstrap
from tasks.summarise.figures import mean
from tasks.summarise.rows import flags, groups, numbers, pick
from tasks.summary.agreement import Agreement, NearUnanimous, OfSet, Pairs, Shared, Votes

AGREEMENT_COLUMNS = ["image_id", "label", "methods", "cell", "count", "valid_methods"]
CELL_COLUMNS = ["image_id", "label", "method", "cell", "mean", "top"]

#: Cells that a method votes for.
TOP = 3
#: Of fewer methods no agreement is claimed.
LEAST = 3


def summarise_agreement(
    counts: pa.Table,
    cells: pa.Table,
    sets: Mapping[str, Sequence[str]],
    grid: int,
    bootstrap: Bootstrap,
) -> Agreement:
    """Agreement per set of methods, and how far each two share their top cells.

    ``sets``: the methods of each set by its name; those of ``all`` are paired.
    ``counts`` and ``cells``: counted rows of the test split, of the tables of these names.
    """
    return Agreement(
        sets={
            name: _of_set(pick(counts, methods=name), len(members), grid, bootstrap)
            for name, members in sets.items()
        },
        pairs=_pairs(cells, sets["all"], grid),
        grid=grid,
    )


def _of_set(counts: pa.Table, methods: int, grid: int, bootstrap: Bootstrap) -> OfSet:
    votes = numbers(counts, "count").reshape(-1, grid**2)
    first = counts.take(pa.array(np.arange(0, len(counts), grid**2)))
    valid = numbers(first, "valid_methods").astype(int)
    known, able = Counter(valid.tolist()), valid >= LEAST
    first, votes, valid = first.filter(pa.array(able)), votes[able], valid[able]
    highest = votes.max(axis=1).astype(int) if len(votes) else np.zeros(0, int)
    correct = flags(first, "correct")
    return OfSet(
        status="ok" if len(votes) else "too_few_methods" if known else "no_rows",
        n=methods,
        rows=len(votes),
        too_few=int((~able).sum()),
        valid_methods={str(k): n for k, n in sorted(known.items())},
        highest={
            str(n): _distribution(highest[valid == n], n, grid) for n in sorted(set(valid.tolist()))
        },
        mean_votes=[mean(votes[:, cell]).mean for cell in range(grid**2)],
        highest_mean=mean(highest.astype(float)),
        highest_mean_correct=mean(highest[correct].astype(float)),
        highest_mean_incorrect=mean(highest[~correct].astype(float)),
        shared=_shared(votes, valid, groups(first), grid, bootstrap),
        near_unanimous=_near_unanimous(highest, valid, groups(first), grid, bootstrap),
    )


def _distribution(highest: NDArray[np.int64], methods: int, grid: int) -> list[Votes]:
    """Rows whose most agreed cell has exactly k votes of n methods, and their share by chance."""
    reached = [chance_of_agreement(methods, k, grid) for k in range(methods + 2)]
    return [
        Votes(k, int((highest == k).sum()), reached[k] - reached[k + 1]) for k in range(methods + 1)
    ]


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
    pairs = valid * (valid - 1) / 2
    shared = (votes * (votes - 1) / 2).sum(axis=1) / pairs
    chance = TOP * TOP / grid**2
    difference = group_bootstrap(shared - chance, group, bootstrap=bootstrap)
    found = mean(shared)
    return Shared(found.mean, found.n, chance, difference)


def _near_unanimous(
    highest: NDArray[np.int64],
    valid: NDArray[np.int64],
    group: NDArray[np.int64],
    grid: int,
    bootstrap: Bootstrap,
) -> NearUnanimous:
    """Share of rows in which all valid methods but one, or all, share a top cell, beside chance."""
    reached = (highest >= valid - 1).astype(float)
    by_valid = {v: chance_of_agreement(v, v - 1, grid) for v in sorted(set(valid.tolist()))}
    chance = np.array([by_valid[v] for v in valid.tolist()], dtype=float)
    return NearUnanimous(
        needed={str(v): v - 1 for v in by_valid},
        share=mean(reached),
        chance=mean(chance),
        difference=group_bootstrap(reached - chance, group, bootstrap=bootstrap),
    )


def _pairs(cells: pa.Table, methods: Sequence[str], grid: int) -> Pairs:
    """Mean number of top cells that two methods share, of rows where both can vote."""
    tops = {m: numbers(pick(cells, method=m), "top").reshape(-1, grid**2) for m in methods}
    found: dict[str, dict[str, Mean]] = {}
    for first, second in combinations(methods, 2):
        shared = (tops[first] * tops[second]).sum(axis=1)
        found.setdefault(first, {})[second] = mean(shared)
    return Pairs(found, TOP * TOP / grid**2)
