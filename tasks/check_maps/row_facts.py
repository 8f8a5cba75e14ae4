"""Facts of each explained image and label: how many maps there are, and whether it counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tasks import places
from tasks.artifacts import read_columns
from tasks.gates.rule import Facts
from tasks.tables.cohort import COHORT
from tasks.tables.predictions import PREDICTIONS

#: Reasons of the cohort that a map gives.
OF_MAPS = ("nan_map",)


def row_facts(audit: str, maps: Facts, methods: Sequence[str]) -> Facts:
    """Give the facts of each row that is explained, that has a map, or that the cohort has.

    ``maps``: how many it has; ``explained``: whether it should have any; ``in_cohort``: whether it
    stands there; ``spoilt``: whether that says that a map keeps it out of the tables, and
    ``faulty``: whether some map's status does.
    """
    columns = ["image_id", "label", "explained"]
    path = places.predict(audit) / "predictions.parquet"
    rows = read_columns(path, PREDICTIONS, columns).to_pydict()
    keys = zip(rows["image_id"], rows["label"], strict=True)
    explained = {key for key, own in zip(keys, rows["explained"], strict=True) if own}
    found = list(zip(maps.columns["image_id"], maps.columns["label"], strict=True))
    counts = Counter(found)
    faulty = {key for key, s in zip(found, maps.columns["status"], strict=True) if s in OF_MAPS}
    cohort = read_columns(places.cohort(audit), COHORT, ["image_id", "label", "reason"]).to_pydict()
    reasons = dict(
        zip(zip(cohort["image_id"], cohort["label"], strict=True), cohort["reason"], strict=True)
    )
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
        },
    )
