"""Facts of what a source gave besides pictures: what it could not use, and its strata."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from saliency_audit.quality.outliers import robust_deviations
from tasks import places
from tasks.artifacts import read_columns
from tasks.gates.rule import Facts
from tasks.tables.images import IMAGES
from tasks.tables.set_aside import SET_ASIDE

#: Share of a stratum's values that are numbers from which the others are taken to be slips.
MOSTLY = 0.5


def source_facts(dataset: str, images: Facts) -> Facts:
    """Give each image, and each row or file that is none, with whether it is used."""
    path = places.ingest(dataset) / "set_aside.parquet"
    rows = read_columns(path, SET_ASIDE, ["image_id", "source_file", "reason"]).to_pydict()
    names = zip(rows["image_id"], rows["source_file"], strict=True)
    ids = images.columns["image_id"]
    return Facts(
        "source",
        ("image_id",),
        {
            "image_id": [*ids, *(one or other or "" for one, other in names)],
            "reason": [*([None] * len(ids)), *rows["reason"]],
        },
    )


def stratum_facts(dataset: str) -> Facts:
    """Give each image's stratum that is known.

    ``folded``: the stratum and its value without case, spaces and the like, and ``written`` as it
    stands; ``number``: whether the value is one where most of the stratum's are, else None;
    ``apart``: robust standard deviations from the median, of numbers.
    """
    path = places.ingest(dataset) / "images.parquet"
    found = read_columns(path, IMAGES, ["image_id", "strata"]).to_pydict()
    known: dict[str, list[tuple[str, str]]] = {}
    for image_id, strata in zip(found["image_id"], found["strata"], strict=True):
        for name, value in strata:
            if value:
                known.setdefault(name, []).append((image_id, value))
    columns: dict[str, list[object]] = {
        name: [] for name in ("image_id", "stratum", "value", "folded", "written", "number")
    }
    apart: list[float | None] = []
    for name, pairs in sorted(known.items()):
        values = [value for _, value in pairs]
        numbers = [_number(value) for value in values]
        numeric = sum(number is not None for number in numbers) > MOSTLY * len(numbers)
        columns["image_id"] += [image_id for image_id, _ in pairs]
        columns["stratum"] += [name] * len(pairs)
        columns["value"] += values
        columns["folded"] += [None if numeric else f"{name}: {fold(value)}" for value in values]
        columns["written"] += values
        columns["number"] += [number is not None if numeric else None for number in numbers]
        apart += _apart(numbers) if numeric else [None] * len(pairs)
    return Facts("strata", ("image_id", "stratum"), {**columns, "apart": apart})


def fold(name: str) -> str:
    """Give a name without case, and with one hyphen for spaces, hyphens and underscores.

    >>> fold("Lesion_ 07"), fold("lesion-07")
    ('lesion-07', 'lesion-07')
    """
    return "-".join(name.casefold().replace("_", " ").replace("-", " ").split())


def folded(names: Sequence[str]) -> list[str]:
    """Fold names, leaving those alone that are written in one way: they need no comparison."""
    spelt = Counter(fold(name) for name in set(names))
    return [fold(name) if spelt[fold(name)] > 1 else name for name in names]


def _number(value: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if np.isfinite(number) else None


def _apart(numbers: Sequence[float | None]) -> list[float | None]:
    known = [number for number in numbers if number is not None]
    found = iter(np.abs(robust_deviations(known)).tolist())
    return [None if number is None else next(found) for number in numbers]
