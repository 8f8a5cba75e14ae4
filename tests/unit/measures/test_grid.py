"""Cells cover a map once; agreement and its chance against enumeration."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saliency_audit.errors import DataError, ParameterError
from saliency_audit.measures.grid import (
    Grid,
    agreement,
    cell_bounds,
    cell_statistics,
    chance_of_agreement,
    top_cells,
)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.integers(1, 300), st.integers(1, 12))
def test_cells_cover_every_pixel_once_and_differ_by_at_most_one(size, side):
    if side > size:
        with pytest.raises(ParameterError, match="side"):
            cell_bounds(size, side)
        return
    bounds = cell_bounds(size, side)
    assert [pixel for start, stop in bounds for pixel in range(start, stop)] == list(range(size))
    lengths = {stop - start for start, stop in bounds}
    assert max(lengths) - min(lengths) <= 1
    assert len(bounds) == side


@pytest.mark.parametrize("shape", [(6, 9), (7, 10), (3, 3)])
def test_statistics_of_each_cell_pixel_by_pixel(shape):
    saliency = np.random.default_rng(0).random(shape).astype(np.float16)
    statistics = cell_statistics(saliency, 3)
    cells = [[] for _ in range(9)]
    rows, columns = cell_bounds(shape[0], 3), cell_bounds(shape[1], 3)
    for r, c in product(range(shape[0]), range(shape[1])):
        i = next(i for i, (start, stop) in enumerate(rows) if start <= r < stop)
        j = next(j for j, (start, stop) in enumerate(columns) if start <= c < stop)
        cells[3 * i + j].append(float(saliency[r, c]))
    for i, values in enumerate(cells):
        mean = sum(values) / len(values)
        assert statistics.mean[i] == pytest.approx(mean)
        assert statistics.minimum[i] == min(values)
        assert statistics.maximum[i] == max(values)
        assert statistics.median[i] == pytest.approx(np.percentile(values, 50))
        variance = sum((value - mean) ** 2 for value in values) / len(values)
        assert statistics.deviation[i] == pytest.approx(variance**0.5)


def test_equal_means_tie_exactly_in_cells_of_different_size():
    statistics = cell_statistics(np.full((64, 64), 0.1, np.float16), 3)
    assert len(set(statistics.mean.tolist())) == 1
    assert top_cells(statistics.mean) == (0, 1, 2)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.integers(0, 4), min_size=9, max_size=9))
def test_top_cells_are_the_highest_and_ties_go_to_the_lower_index(means):
    expected = sorted(range(9), key=lambda cell: (-means[cell], cell))[:3]
    assert top_cells(np.array(means, np.float64)) == tuple(sorted(expected))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.none() | st.sets(st.integers(0, 8), min_size=3, max_size=3), max_size=6))
def test_counts_sum_to_three_per_method_that_votes(votes):
    counts = agreement([None if vote is None else sorted(vote) for vote in votes])
    assert counts.sum() == 3 * sum(vote is not None for vote in votes)
    for cell in range(9):
        assert counts[cell] == sum(vote is not None and cell in vote for vote in votes)


@pytest.mark.parametrize(("methods", "count"), [(1, 1), (2, 2), (3, 2), (3, 3), (4, 3), (4, 4)])
def test_chance_is_the_share_among_all_possible_votes(methods, count):
    """Enumerated over every combination of votes; the first is fixed by symmetry."""
    sets = np.zeros((84, 9), dtype=np.int64)
    for row, chosen in zip(sets, combinations(range(9), 3), strict=True):
        row[list(chosen)] = 1
    totals = sets[:1]
    for _ in range(methods - 1):
        totals = (totals[:, np.newaxis] + sets).reshape(-1, 9)
    expected = (totals.max(axis=1) >= count).mean()
    assert chance_of_agreement(methods, count) == pytest.approx(expected, abs=1e-12)


def test_four_independent_methods_agree_by_three_in_three_quarters_of_images():
    assert chance_of_agreement(4, 3) == pytest.approx(445_284 / 592_704, abs=1e-15)


@pytest.mark.parametrize(("side", "top"), [(1, 1), (2, 2), (2, 4)])
def test_chance_on_small_grids(side, top):
    everything = list(combinations(range(side**2), top))
    hits = sum(
        max(sum(cell in vote for vote in votes) for cell in range(side**2)) >= 2
        for votes in product(everything, repeat=3)
    )
    expected = hits / len(everything) ** 3
    assert chance_of_agreement(3, 2, side, top) == pytest.approx(expected, abs=1e-12)


def test_certain_and_impossible_agreements():
    assert chance_of_agreement(4, 0) == 1
    assert chance_of_agreement(2, 3) == 0
    assert chance_of_agreement(0, 1) == 0
    assert chance_of_agreement(7, 3) == 1  # 21 votes on 9 cells, of which 18 fit below 3


def test_bad_votes_and_parameters_are_named():
    with pytest.raises(DataError, match="votes for"):
        agreement([(0, 0, 1)])
    with pytest.raises(DataError, match="votes for"):
        agreement([(0, 1, 9)])
    with pytest.raises(DataError, match="not finite"):
        top_cells(np.array([np.nan, 1.0, 2.0, 3.0]))
    with pytest.raises(ParameterError, match="top"):
        top_cells(np.array([1.0, 2.0]))
    with pytest.raises(ParameterError, match="top"):
        Grid(side=2, top=5)
    with pytest.raises(ParameterError, match="side"):
        Grid(side=0)
    with pytest.raises(ParameterError, match="side"):
        cell_statistics(np.zeros((2, 9)), 3)
    with pytest.raises(ParameterError, match="methods"):
        chance_of_agreement(-1, 2)
