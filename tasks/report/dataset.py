"""A dataset counted: images, instances, patients or lesions, splits, notes, what was set aside."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from tasks import places
from tasks.artifacts import read_columns, read_json, read_rows
from tasks.tables.images import IMAGES
from tasks.tables.masks import MASKS
from tasks.tables.set_aside import SET_ASIDE

SPLITS = ("train", "tune", "calibrate", "test")

#: A stratum with more values than this is a measurement, not a kind: it is not counted.
MOST_VALUES = 12


@dataclass(frozen=True)
class DatasetCounts:
    """Counts of a dataset.

    ``images`` and ``instances``: by label; ``unlabelled``: images without a label; ``masks``: by
    label, ``*`` where one holds for all; ``set_aside``: by reason, with one example each;
    ``strata``: images by stratum and value; ``split``: what the split stage found.
    """

    labels: list[str]
    labelling: str
    mask_kind: str
    size: list[int]
    total: int
    images: dict[str, int]
    instances: dict[str, int]
    unlabelled: int
    groups: int
    masks: dict[str, int]
    notes: dict[str, int]
    set_aside: dict[str, tuple[int, str]]
    strata: dict[str, dict[str, int]]
    split: dict[str, Any]


def count_dataset(dataset: str) -> DatasetCounts:
    """Count what ``ingest`` and ``split`` wrote of a dataset; holds no pixels."""
    folder = places.ingest(dataset)
    described = read_json(folder / "description.json")
    columns = ["group_id", "labels", "instances", "notes", "strata"]
    images: Counter[str] = Counter()
    instances: Counter[str] = Counter()
    notes: Counter[str] = Counter()
    strata: dict[str, Counter[str]] = {}
    groups: set[str] = set()
    total = unlabelled = 0
    for row in read_rows(folder / "images.parquet", IMAGES, columns):
        total += 1
        unlabelled += not row["labels"]
        groups.add(row["group_id"])
        images.update(row["labels"])
        instances.update(dict(zip(row["labels"], row["instances"], strict=True)))
        notes.update(row["notes"])
        for name, value in row["strata"]:
            strata.setdefault(name, Counter())["unknown" if value is None else value] += 1
    masks = read_columns(folder / "masks.parquet", MASKS, ["label"]).column("label")
    return DatasetCounts(
        labels=described["labels"],
        labelling=described["labelling"],
        mask_kind=described["mask_kind"],
        size=described["size"],
        total=total,
        images={label: images[label] for label in described["labels"]},
        instances={label: instances[label] for label in described["labels"]},
        unlabelled=unlabelled,
        groups=len(groups),
        masks=dict(Counter(masks.to_pylist())),
        notes=dict(sorted(notes.items())),
        set_aside=_set_aside(dataset),
        strata={
            name: dict(sorted(found.items()))
            for name, found in sorted(strata.items())
            if len(found) <= MOST_VALUES
        },
        split=read_json(places.split(dataset) / "split.json"),
    )


def _set_aside(dataset: str) -> dict[str, tuple[int, str]]:
    counts: Counter[str] = Counter()
    examples: dict[str, str] = {}
    for row in read_rows(places.ingest(dataset) / "set_aside.parquet", SET_ASIDE):
        counts[row["reason"]] += 1
        place = row["source_file"] or row["image_id"] or f"row {row['row']}"
        examples.setdefault(row["reason"], f"{place}: {row['detail']}")
    return {reason: (n, examples[reason]) for reason, n in sorted(counts.items())}
