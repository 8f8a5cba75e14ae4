"""A pair of an audit and a method: whether it is asked for, and whether the method can explain it.

``scope`` writes what is asked, ``explain`` what came of it, and ``cohort`` keeps that in a table:
whatever is measured of an audit reads there which methods explain it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from enum import StrEnum
from typing import Any

from saliency_audit.attribution.grid import Grid, grid_from
from saliency_audit.attribution.resolution import Resolution
from saliency_audit.errors import DataError
from tasks import places
from tasks.artifacts import read_columns, read_json, write_json
from tasks.tables.methods import GRID, METHODS, RESOLUTION


class PairStatus(StrEnum):
    """What came of a pair."""

    EXPLAINED = "explained"
    NOT_APPLICABLE = "not_applicable"
    NOT_ASKED = "not_asked"


@dataclass(frozen=True)
class Asked:
    """What an audit asks of a method: maps or none, and the ``block`` that it names for it."""

    asked: bool
    block: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of a pair, and the ``reason`` in words where there are no maps.

    ``grid``: the cells that its maps are made of; None where they are made of pixels.
    ``resolution``: how fine they are, as the cohort has it.
    """

    status: PairStatus
    reason: str = ""
    grid: Grid | None = None
    resolution: Resolution | None = None


def read_asked(audit: str, method: str) -> Asked:
    """Read what an audit asks of a method; raises DataError where that is not written."""
    found = read_json(places.scope_of_method(audit, method))
    return Asked(found["asked"], found["block"])


def write_outcome(audit: str, method: str, outcome: Outcome) -> None:
    """Write what came of a pair, beside its table of maps."""
    grid = None if outcome.grid is None else asdict(outcome.grid)
    said = {"status": outcome.status, "reason": outcome.reason, "grid": grid}
    write_json(places.explain(audit) / f"{method}.json", said)


def read_outcome(audit: str, method: str) -> Outcome:
    """Read what came of a pair; raises DataError where that is not written."""
    found = read_json(places.explain(audit) / f"{method}.json")
    grid = None if found["grid"] is None else grid_from(found["grid"])
    return Outcome(PairStatus(found["status"]), found["reason"], grid)


def read_outcomes(audit: str, methods: Sequence[str]) -> Mapping[str, Outcome]:
    """Read what came of an audit's pairs, in the order of ``methods``, as the cohort has it.

    Raises DataError where it lacks one of them.
    """
    path = places.cohort_methods(audit)
    rows = read_columns(path, METHODS, METHODS.schema.names).to_pylist()
    found = {
        row["method"]: Outcome(
            PairStatus(row["status"]), row["reason"], grid_of_row(row), resolution_of_row(row)
        )
        for row in rows
    }
    if missing := [method for method in methods if method not in found]:
        raise DataError(f"{path} lacks {', '.join(missing)}: run `saliency-audit run`")
    return {method: found[method] for method in methods}


def row_of_grid(grid: Grid | None) -> dict[str, object]:
    """Give the columns of the table of methods that say what maps are made of."""
    if grid is None:
        return dict.fromkeys(GRID)
    values = (grid.block, *grid.cells, *grid.first, *grid.step, grid.placement, grid.found)
    return dict(zip(GRID, values, strict=True))


def grid_of_row(row: Mapping[str, Any]) -> Grid | None:
    """Give what a row of the table of methods says that maps are made of."""
    if row["block"] is None:
        return None
    block, height, width, *lines, placement, found = (row[name] for name in GRID)
    first, step = (lines[0], lines[1]), (lines[2], lines[3])
    return Grid(block, (height, width), first, step, placement, found)


def row_of_resolution(resolution: Resolution | None) -> dict[str, object]:
    """Give the columns of the table of methods that say how fine maps are."""
    values = (None,) * len(RESOLUTION) if resolution is None else astuple(resolution)
    return dict(zip(RESOLUTION, values, strict=True))


def resolution_of_row(row: Mapping[str, Any]) -> Resolution | None:
    """Give what a row of the table of methods says of how fine maps are."""
    if row["status"] != PairStatus.EXPLAINED:
        return None
    return Resolution(*(row[name] for name in RESOLUTION))


def explaining(audit: str, methods: Sequence[str]) -> list[str]:
    """Give the methods of ``methods`` that explain an audit, in that order; errors as above."""
    outcomes = read_outcomes(audit, methods)
    return [m for m, own in outcomes.items() if own.status is PairStatus.EXPLAINED]
