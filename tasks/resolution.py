"""How fine each method's maps are, over the rows of an audit that count in the tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from saliency_audit.attribution.grid import Grid
from saliency_audit.attribution.resolution import (
    Resolution,
    judged,
    ordinary_ceiling,
    own_ceiling,
)
from saliency_audit.labelling import MaskKind
from tasks import places
from tasks.artifacts import read_columns, read_json
from tasks.regions import read_regions
from tasks.tables.cohort import COHORT
from tasks.tables.saliency import saliency


@dataclass
class _Ceilings:
    """Ceilings row by row: those of any map, and those of each grid."""

    ordinary: list[float | None] = field(default_factory=list)
    own: dict[Grid, list[float | None]] = field(default_factory=dict)


def read_resolutions(
    audit: str, grids: Mapping[str, Grid | None], kept_fraction: float
) -> dict[str, Resolution]:
    """Judge the methods that explain an audit, by the cells of their maps.

    ``grids``: by method, None where maps are made of pixels; ``kept_fraction``: in (0, 1].
    """
    description = read_json(places.predict(audit) / "audit.json")
    cohort = read_columns(places.cohort(audit), COHORT, ["image_id", "label", "split", "counts"])
    counted = {
        (row["image_id"], row["label"])
        for row in cohort.to_pylist()
        if row["counts"] and row["split"] == "test"
    }
    cells = {grid for grid in grids.values() if grid is not None}
    kind = MaskKind(description["mask_kind"])
    ceilings = _ceilings(audit, kind, counted, cells, kept_fraction)
    found = {}
    for method, grid in grids.items():
        own = ceilings.own.get(grid, []) if grid is not None else []
        ties = _tie_shares(audit, method, description["size"], counted)
        found[method] = judged(ties, ceilings.ordinary, own)
    return found


def _tie_shares(
    audit: str, method: str, size: tuple[int, int], counted: set[tuple[str, str]]
) -> list[float | None]:
    path = places.explain(audit) / f"{method}.parquet"
    rows = read_columns(path, saliency(*size), ["image_id", "label", "tie_share"]).to_pylist()
    return [row["tie_share"] for row in rows if (row["image_id"], row["label"]) in counted]


def _ceilings(
    audit: str,
    kind: MaskKind,
    counted: set[tuple[str, str]],
    grids: set[Grid],
    kept_fraction: float,
) -> _Ceilings:
    labels: dict[str, list[str]] = {}
    for image_id, label in sorted(counted):
        labels.setdefault(image_id, []).append(label)
    found = _Ceilings(own={grid: [] for grid in grids})
    if kind is MaskKind.NONE:
        return found
    for image_id, regions in read_regions(places.predict(audit) / "regions.parquet", kind):
        for label in labels.get(image_id, []):
            mask = regions.read_truth(regions.readings()[0], label)
            if mask is not None and mask.any():
                found.ordinary.append(ordinary_ceiling(mask, kept_fraction))
                for grid, own in found.own.items():
                    own.append(own_ceiling(mask, grid, kept_fraction))
    return found
