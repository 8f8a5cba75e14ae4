"""How the maps themselves are: statuses, ties, completeness, and what made them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks import places
from tasks.artifacts import read_columns
from tasks.summarise.figures import mean
from tasks.summarise.rows import numbers, tally
from tasks.summary.maps import Cohort, OfMethod, Spread
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


def summarise_maps(audit: str, methods: Sequence[str], size: Sequence[int]) -> dict[str, OfMethod]:
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


def _of_method(rows: pa.Table) -> OfMethod:
    return OfMethod(
        maps=len(rows),
        statuses=tally(rows, "status"),
        method_statuses=tally(rows, "method_status"),
        tie_share=_spread(numbers(rows, "tie_share")),
        completeness=_spread(np.abs(numbers(rows, "completeness"))),
        model_digests=sorted(tally(rows, "model_digest")),
        method_digests=sorted(tally(rows, "method_digest")),
    )


def _spread(values: NDArray[np.float64]) -> Spread:
    present, found = values[~np.isnan(values)], mean(values)
    if not len(present):
        return Spread(found.mean, found.n, None, None)
    return Spread(found.mean, found.n, float(np.median(present)), float(present.max()))


def summarise_cohort(cohort: pa.Table) -> Cohort:
    """Explained rows by split and reason, and how often each method's map was not finite."""
    rows = cohort.select(["split", "reason", "correct", "faulty_methods"]).to_pylist()
    reasons: dict[str, Counter[str]] = {}
    faulty: Counter[str] = Counter()
    for row in rows:
        reasons.setdefault(row["split"], Counter())[row["reason"]] += 1
        faulty.update(row["faulty_methods"])
    return Cohort(
        rows=len(rows),
        reasons={split: dict(sorted(found.items())) for split, found in reasons.items()},
        faulty_methods=dict(sorted(faulty.items())),
    )
