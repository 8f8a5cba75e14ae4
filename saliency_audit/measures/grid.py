"""Cells of a map, and how many methods agree on one (XAIMed §3.2).

The map is cut in g×g cells, numbered row by row. A method's top cells are
those of highest mean; a cell's agreement is the number of methods that have
it among them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import comb

import numpy as np
from numpy.typing import NDArray

from saliency_audit.errors import DataError, ParameterError
from saliency_audit.measures.arrays import SaliencyMap, check_map


@dataclass(frozen=True)
class Grid:
    """How a map is cut and how many cells a method votes for.

    ``side``: cells per side (1 or more; the paper's is 3); ``top``: cells that a method votes
    for, 1 to side² (the paper's is 3).

    >>> Grid(side=1)
    Traceback (most recent call last):
    saliency_audit.errors.ParameterError: top is 3: a grid of side 1 has 1 to 1 cells to vote for
    """

    side: int = 3
    top: int = 3

    def __post_init__(self) -> None:
        """Check the ranges; raises ParameterError."""
        if self.side < 1:
            raise ParameterError(f"a grid's side is {self.side}: give 1 or more")
        if not 1 <= self.top <= self.side**2:
            raise ParameterError(
                f"top is {self.top}: a grid of side {self.side} has 1 to {self.side**2} cells "
                "to vote for"
            )


@dataclass(frozen=True)
class CellStatistics:
    """Statistics of the saliency in each cell, (g²,) float64, row by row.

    ``deviation`` is the standard deviation of the population (divided by n, not n - 1).
    """

    mean: NDArray[np.float64]
    median: NDArray[np.float64]
    minimum: NDArray[np.float64]
    maximum: NDArray[np.float64]
    deviation: NDArray[np.float64]


def cell_bounds(size: int, side: int) -> list[tuple[int, int]]:
    """Cut ``size`` pixels in ``side`` runs [start, stop) that differ by at most one pixel.

    Raises ParameterError where a cell would hold no pixel.

    >>> cell_bounds(64, 3)
    [(0, 21), (21, 42), (42, 64)]
    """
    if not 1 <= side <= size:
        raise ParameterError(
            f"a grid's side is {side}: give 1 to {size}, the pixels of the shorter side of a map"
        )
    edges = [i * size // side for i in range(side + 1)]
    return list(pairwise(edges))


def cell_statistics(saliency: SaliencyMap, side: int) -> CellStatistics:
    """Mean, median, minimum, maximum and standard deviation of each cell of a map (H, W).

    Computed in float64, in which the sum of a cell's halves is exact, so cells that tie do so
    exactly. Raises DataError on a map that is not finite, ParameterError where the grid is finer
    than the map.

    >>> cell_statistics(np.array([[0.0, 1.0], [0.5, 0.5]]), 2).mean
    array([0. , 1. , 0.5, 0.5])
    """
    check_map(saliency)
    rows = cell_bounds(saliency.shape[0], side)
    columns = cell_bounds(saliency.shape[1], side)
    wide = saliency.astype(np.float64)
    cells = [wide[r0:r1, c0:c1] for r0, r1 in rows for c0, c1 in columns]
    return CellStatistics(
        mean=np.array([cell.mean() for cell in cells]),
        median=np.array([np.median(cell) for cell in cells]),
        minimum=np.array([cell.min() for cell in cells]),
        maximum=np.array([cell.max() for cell in cells]),
        deviation=np.array([cell.std() for cell in cells]),
    )


def top_cells(means: NDArray[np.float64], top: int = 3) -> tuple[int, ...]:
    """Give the ``top`` cells of highest mean (g²,), ascending by index; ties to the lower index.

    Raises ParameterError where there are fewer cells, DataError where a mean is not finite.

    >>> top_cells(np.array([0.1, 0.9, 0.5, 0.5, 0.5]))
    (1, 2, 3)
    """
    if not 1 <= top <= means.size:
        raise ParameterError(f"top is {top}: give 1 to {means.size}, the number of cells")
    if not np.isfinite(means).all():
        raise DataError("a cell's mean is not finite: a map without values votes for no cell")
    return tuple(sorted(np.argsort(-means, kind="stable")[:top].tolist()))


def agreement(votes: Sequence[Sequence[int] | None], cells: int = 9) -> NDArray[np.int64]:
    """Count, per cell (cells,), the methods that have it among their top cells.

    ``votes``: the top cells of each method, None of a method whose map is null. The counts sum
    to the votes of the others. Raises DataError where a method names a cell twice or one that is
    not there.

    >>> agreement([(0, 1, 2), None, (2, 3, 4)])
    array([1, 1, 2, 1, 1, 0, 0, 0, 0])
    """
    counts = np.zeros(cells, dtype=np.int64)
    for vote in votes:
        if vote is None:
            continue
        if len(set(vote)) != len(vote) or not all(0 <= cell < cells for cell in vote):
            raise DataError(
                f"a method votes for the cells {tuple(vote)}: give different ones, "
                f"from 0 to {cells - 1}"
            )
        counts[list(vote)] += 1
    return counts


def chance_of_agreement(methods: int, count: int, side: int = 3, top: int = 3) -> float:
    """Probability that some cell has ``count`` votes or more, of maps that are independent.

    Each of ``methods`` maps votes for a uniformly random set of ``top`` of the side² cells.
    Exact: what matters of the votes so far is how many cells have how many of them. Raises
    ParameterError where an argument is negative or the grid has not as many cells.

    >>> round(chance_of_agreement(4, 3), 3)
    0.751
    """
    grid = Grid(side, top)
    if methods < 0 or count < 0:
        raise ParameterError(f"methods is {methods} and count {count}: give 0 or more")
    if count == 0:
        return 1.0
    # A state (n_0, …, n_{count-1}) is the number of cells with that many votes, all below count.
    states = {(side**2,) + (0,) * (count - 1): Fraction(1)}
    for _ in range(methods):
        following: dict[tuple[int, ...], Fraction] = {}
        for state, probability in states.items():
            for reached, ways in _after_vote(state, grid.top):
                share = probability * Fraction(ways, comb(side**2, grid.top))
                following[reached] = following.get(reached, Fraction(0)) + share
        states = following
    return float(1 - sum(states.values(), Fraction(0)))


def _after_vote(state: tuple[int, ...], top: int) -> Iterator[tuple[tuple[int, ...], int]]:
    """States after one more vote for ``top`` cells in which no cell reaches the count, with ways.

    A vote for a cell of the last level would reach it, so none goes there.
    """
    for chosen in _shares(state[:-1], top):
        moved = (*chosen, 0)
        reached = tuple(
            cells - moved[level] + (moved[level - 1] if level else 0)
            for level, cells in enumerate(state)
        )
        ways = 1
        for cells, taken in zip(state, moved, strict=True):
            ways *= comb(cells, taken)
        yield reached, ways


def _shares(levels: tuple[int, ...], total: int) -> Iterator[tuple[int, ...]]:
    """Every way to take ``total`` cells from levels that hold that many."""
    if not levels:
        if total == 0:
            yield ()
        return
    for taken in range(min(levels[0], total) + 1):
        for rest in _shares(levels[1:], total - taken):
            yield (taken, *rest)
