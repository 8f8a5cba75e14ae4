"""How the maps themselves are: statuses, ties, completeness, and what made them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from tasks import places
from tasks.artifacts import read_columns
from tasks.summarise.figures import mean
from tasks.summarise.rows import numbers, tally
from tasks.tables.saliency import saliency

COLUMNS = [
    "image_id",
    "label",
    "status",
    "method_status",
    "tie_share",
    "completeness",
    "scale",
    "model_digest",
    "method_digest",
]


def summarise_maps(audit: str, methods: Sequence[str], size: Sequence[int]) -> dict[str, Any]:
    """Figures per method over every map that was made, of validation and test."""
    height, width = size
    return {
        method: _of_method(
            read_columns(
                places.explain(audit) / f"{method}.parquet", saliency(height, width), COLUMNS
            )
        )
        for method in methods
    }


def _of_method(rows: pa.Table) -> dict[str, Any]:
    ties, error = numbers(rows, "tie_share"), np.abs(numbers(rows, "completeness"))
    return {
        "maps": len(rows),
        "statuses": tally(rows, "status"),
        "method_statuses": tally(rows, "method_status"),
        "tie_share": {**mean(ties), **_spread(ties)},
        "completeness": {**mean(error), **_spread(error)},
        "model_digests": sorted(tally(rows, "model_digest")),
        "method_digests": sorted(tally(rows, "method_digest")),
    }


def _spread(values: Any) -> dict[str, float | None]:
    present = values[~np.isnan(values)]
    if not len(present):
        return {"median": None, "highest": None}
    return {"median": float(np.median(present)), "highest": float(present.max())}


def summarise_cohort(cohort: pa.Table) -> dict[str, Any]:
    """Explained rows by split and reason, and how often each method's map was not finite."""
    rows = cohort.select(["split", "reason", "correct", "faulty_methods"]).to_pylist()
    reasons: dict[str, Counter[str]] = {}
    faulty: Counter[str] = Counter()
    for row in rows:
        reasons.setdefault(row["split"], Counter())[row["reason"]] += 1
        faulty.update(row["faulty_methods"])
    return {
        "rows": len(rows),
        "reasons": {split: dict(sorted(found.items())) for split, found in reasons.items()},
        "faulty_methods": dict(sorted(faulty.items())),
    }
