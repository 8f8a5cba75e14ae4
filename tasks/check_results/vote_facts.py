"""Facts of cells and votes: who votes for what, and what the votes add up to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saliency_audit.measures.grid import Grid, cell_bounds
from tasks import places
from tasks.check_results.columns import BETWEEN, Columns, Flags, Numbers, find, split_keys
from tasks.gates.rule import Facts
from tasks.maps import READABLE, read_maps
from tasks.tables.agreement import AGREEMENT
from tasks.tables.cells import CELLS

STATISTICS = ("mean", "median", "minimum", "maximum", "deviation")
#: Cells that a method votes for.
TOP = Grid().top


@dataclass(frozen=True)
class Cells:
    """The cells of each image, label and method: arrays (rows, cells), NaN where there is none."""

    keys: Any
    statistics: dict[str, Numbers]
    top: Numbers
    readable: Flags

    @classmethod
    def read(cls, audit: str, grid: int) -> Cells:
        """Read the cells of an audit."""
        path = places.aggregate_agreement(audit) / "cells.parquet"
        rows = Columns.read(path, CELLS, CELLS.schema.names)
        keys = rows.keys("image_id", "label", "method")
        known = keys.unique()
        row, cell = find(keys, known), rows.numbers("cell").astype(int)
        fits = cell < grid**2
        readable = np.zeros(len(known), bool)
        readable[row[rows.among("status", *READABLE)]] = True

        def spread(values: Numbers) -> Numbers:
            found = np.full((len(known), grid**2), np.nan)
            found[row[fits], cell[fits]] = values[fits]
            return found

        return cls(
            known,
            {name: spread(rows.numbers(name)) for name in STATISTICS},
            spread(rows.numbers("top")),
            readable,
        )


def own_means(audit: str, size: Sequence[int], methods: Sequence[str], cells: Cells) -> Numbers:
    """Give the means (rows, cells) that the maps themselves have in each cell; streams the maps.

    NaN where there is no such map, or its status says that it has no values.
    """
    side = round(cells.top.shape[1] ** 0.5)
    rows, columns = (np.array(cell_bounds(length, side)) for length in size)
    pixels = np.outer(np.diff(rows), np.diff(columns))
    found = np.full(cells.top.shape, np.nan)
    numbers = {key: row for row, key in enumerate(cells.keys.to_pylist())}
    for method in methods:
        for own in read_maps(places.explain(audit) / f"{method}.parquet", size):
            row = numbers.get(BETWEEN.join((own.image_id, own.label, method)))
            if row is not None and own.readable is not None:
                wide = own.readable.astype(np.float64)
                sums = np.add.reduceat(wide, rows[:, 0], axis=0)
                found[row] = (np.add.reduceat(sums, columns[:, 0], axis=1) / pixels).ravel()
    return found


def cell_facts(cells: Cells, means: Numbers, tolerance: float) -> Facts:
    """Give per image, label and method what holds of its cells.

    ``votes``: how many cells are among its top; ``own_votes``: three of a map that can be read, of
    any other none; ``wrong_top``: cells that are among them and should not be, or the reverse;
    ``wrong_mean``: cells whose mean is not that of the map's (``means``, as of ``own_means``);
    ``disorder``: cells whose mean, median or deviation does not fit their lowest and highest value.
    """
    own = np.where(cells.readable, TOP, 0)
    return Facts(
        "cells",
        ("image_id", "label", "method"),
        {
            **split_keys(cells.keys, ("image_id", "label", "method")),
            "votes": np.nansum(cells.top, axis=1).astype(int).tolist(),
            "own_votes": own.tolist(),
            "wrong_top": (_highest(cells) != np.nan_to_num(cells.top)).sum(axis=1).tolist(),
            "wrong_mean": _apart(cells.statistics["mean"], means, tolerance).sum(axis=1).tolist(),
            "disorder": _disorder(cells.statistics, tolerance).sum(axis=1).tolist(),
        },
    )


def _apart(said: Numbers, own: Numbers, tolerance: float) -> Flags:
    """Say which numbers differ, or stand on one side only."""
    bad: Flags = (np.isnan(said) != np.isnan(own)) | (np.abs(said - own) > tolerance)
    return bad


def _highest(cells: Cells) -> NDArray[np.float64]:
    """Say which cells (rows, cells) have the highest means, ties to the lower index."""
    means = cells.statistics["mean"]
    order = np.argsort(-np.nan_to_num(means, nan=-1.0), axis=1, kind="stable")[:, :TOP]
    found = np.zeros_like(means)
    np.put_along_axis(found, order, 1.0, axis=1)
    return found * cells.readable[:, None]


def _disorder(statistics: dict[str, Numbers], tolerance: float) -> Flags:
    low, high = statistics["minimum"] - tolerance, statistics["maximum"] + tolerance
    bad: Flags = low > high
    for name in ("mean", "median"):
        bad |= (statistics[name] < low) | (statistics[name] > high)
    # The deviation of values in an interval is at most half its length (Popoviciu 1935).
    return bad | (statistics["deviation"] > (high - low) / 2)


def agreement_facts(audit: str, cells: Cells, sets: dict[str, Sequence[str]], grid: int) -> Facts:
    """Give per image, label and set of methods what the counts add up to.

    ``total``: the sum of its counts; ``own_total``: three times ``valid``, its valid methods, which
    differ from ``own_valid``, those whose maps vote, by nothing; ``uneven``: whether
    its cells disagree on them; ``wrong_counts``: cells whose count is not that of the methods that
    have it among their top.
    """
    path = places.aggregate_agreement(audit) / "agreement.parquet"
    rows = Columns.read(path, AGREEMENT, AGREEMENT.schema.names)
    key = ("image_id", "label", "methods")
    keys = rows.keys(*key)
    known = keys.unique()
    row, cell = find(keys, known), rows.numbers("cell").astype(int)
    fits = cell < grid**2
    counts = np.full((len(known), grid**2), np.nan)
    counts[row[fits], cell[fits]] = rows.numbers("count")[fits]
    valid, least = np.zeros(len(known)), np.full(len(known), np.inf)
    np.maximum.at(valid, row, rows.numbers("valid_methods"))
    np.minimum.at(least, row, rows.numbers("valid_methods"))
    names = split_keys(known, key)
    votes, voters = _cast(cells, names, sets, grid)
    return Facts(
        "agreement",
        key,
        {
            **names,
            "cells": (~np.isnan(counts)).sum(axis=1).tolist(),
            "total": np.nansum(counts, axis=1).astype(int).tolist(),
            "own_total": (TOP * valid).astype(int).tolist(),
            "valid": valid.astype(int).tolist(),
            "own_valid": voters.astype(int).tolist(),
            "uneven": (valid != least).astype(int).tolist(),
            "wrong_counts": (np.nan_to_num(counts, nan=-1) != votes).sum(axis=1).tolist(),
        },
    )


def _cast(
    cells: Cells, names: dict[str, list[Any]], sets: dict[str, Sequence[str]], grid: int
) -> tuple[Numbers, Numbers]:
    """Add up who votes for each cell: votes (rows, cells) and voters (rows,)."""
    import pyarrow as pa

    rows = list(zip(names["image_id"], names["label"], names["methods"], strict=True))
    votes, voters = np.zeros((len(rows), grid**2)), np.zeros(len(rows))
    for method in sorted({method for members in sets.values() for method in members}):
        wanted = pa.array([f"{i}{BETWEEN}{label}{BETWEEN}{method}" for i, label, _ in rows])
        place = find(wanted, cells.keys)
        member = np.array([method in sets.get(name, ()) for _, _, name in rows], bool)
        has = member & (place >= 0)
        votes[has] += np.nan_to_num(cells.top[place[has]])
        voters[has] += cells.readable[place[has]]
    return votes, voters
