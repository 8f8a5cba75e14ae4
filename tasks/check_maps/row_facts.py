"""Facts of each explained image and label: how many maps there are, and whether it counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tasks import places
from tasks.artifacts import read_columns
from tasks.gates.rule import Facts
from tasks.tables.cohort import COHORT
from tasks.tables.predictions import PREDICTIONS

#: Reasons of the cohort that a map gives.
OF_MAPS = ("nan_map",)
#: What the cohort has of the predictions, by its name there.
OF_PREDICTIONS = {
    "group_id": "group_id",
    "split": "split",
    "correct": "target",
    "calibrated": "calibrated",
}


def row_facts(audit: str, maps: Facts, methods: Sequence[str]) -> Facts:
    """Give the facts of each row that is explained, that has a map, or that the cohort has.

    ``maps``: how many it has; ``explained``: whether it should have any; ``in_cohort``: whether it
    stands there; ``spoilt``: whether that says that a map keeps it out of the tables, and
    ``faulty``: whether some map's status does; ``counts``: whether the cohort counts it, which
    ``may_count`` says by its reason; ``cohort`` and ``prediction``: what both say of it, as text.
    """
    columns = ["image_id", "label", "explained", *OF_PREDICTIONS.values()]
    path = places.predict(audit) / "predictions.parquet"
    rows = read_columns(path, PREDICTIONS, columns).to_pydict()
    keys = zip(rows["image_id"], rows["label"], strict=True)
    explained = {key for key, wanted in zip(keys, rows["explained"], strict=True) if wanted}
    found = list(zip(maps.columns["image_id"], maps.columns["label"], strict=True))
    counts = Counter(found)
    faulty = {key for key, s in zip(found, maps.columns["status"], strict=True) if s in OF_MAPS}
    names = ["image_id", "label", "reason", "counts", *OF_PREDICTIONS]
    cohort = read_columns(places.cohort(audit), COHORT, names).to_pylist()
    own = {(row["image_id"], row["label"]): row for row in cohort}
    reasons = {key: row["reason"] for key, row in own.items()}
    predicted = dict(zip(zip(rows["image_id"], rows["label"], strict=True), _of(rows), strict=True))
    ids = sorted(explained | set(counts) | set(reasons))
    return Facts(
        "rows",
        ("image_id", "label"),
        {
            "image_id": [image_id for image_id, _ in ids],
            "label": [label for _, label in ids],
            "explained": [key in explained for key in ids],
            "maps": [counts[key] for key in ids],
            "methods": [len(methods) for _ in ids],
            "in_cohort": [key in reasons for key in ids],
            "spoilt": [reasons.get(key) in OF_MAPS for key in ids],
            "faulty": [key in faulty for key in ids],
            "counts": [own[key]["counts"] if key in own else None for key in ids],
            "may_count": [_may_count(reasons.get(key)) for key in ids],
            "cohort": [_said(own[key]) if key in own else None for key in ids],
            "prediction": [predicted.get(key) for key in ids],
        },
    )


def _of(predictions: Mapping[str, Sequence[Any]]) -> Iterator[str]:
    columns = [predictions[name] for name in OF_PREDICTIONS.values()]
    for values in zip(*columns, strict=True):
        yield str(values)


def _said(row: Mapping[str, Any]) -> str:
    return str(tuple(row[name] for name in OF_PREDICTIONS))


def _may_count(reason: str | None) -> bool | None:
    return None if reason is None else reason == "ok"
