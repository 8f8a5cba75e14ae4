"""The maps of an audit joined to the masks of their images, row by row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from saliency_audit.labelling import MaskKind
from tasks import places
from tasks.artifacts import read_columns, read_json, read_rows
from tasks.maps import StoredRow, check_methods, read_maps
from tasks.regions import Regions, read_regions
from tasks.tables.cohort import COHORT


@dataclass(frozen=True)
class JoinedRow:
    """One explained image and label: its cohort row, its masks, its map by each method."""

    cohort: dict[str, Any]
    regions: Regions
    maps: dict[str, StoredRow]


def count_rows(audit: str) -> int:
    """Count the rows that ``join`` gives."""
    return int(read_columns(places.cohort(audit), COHORT, ["label"]).num_rows)


def join(audit: str, methods: Sequence[str]) -> Iterator[JoinedRow]:
    """Stream the rows of an audit in ascending (image_id, label), holding one at a time."""
    check_methods(audit, methods)
    description = read_json(places.predict(audit) / "audit.json")
    kind, size = MaskKind(description["mask_kind"]), description["size"]
    readers = {m: read_maps(places.explain(audit) / f"{m}.parquet", size) for m in methods}
    regions = read_regions(places.predict(audit) / "regions.parquet", kind)
    image_id, current = "", Regions(kind)
    for row in read_rows(places.cohort(audit), COHORT):
        while image_id < row["image_id"]:
            image_id, current = next(regions, (row["image_id"], Regions(kind)))
        of_image = current if image_id == row["image_id"] else Regions(kind)
        key = (row["image_id"], row["label"])
        yield JoinedRow(row, of_image, {m: _advance(readers[m], key) for m in methods})


def _advance(reader: Iterator[StoredRow], key: tuple[str, str]) -> StoredRow:
    return next(row for row in reader if (row.image_id, row.label) == key)
