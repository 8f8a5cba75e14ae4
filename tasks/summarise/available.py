"""Figures over every map that there is, also of rows that another method's map keeps out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from saliency_audit.measures.controls import Saliency
from saliency_audit.measures.explained import Reading
from saliency_audit.measures.status import Status
from tasks.summarise.figures import mean
from tasks.summarise.rows import TEST, numbers, pick
from tasks.summary.localisation import Available

#: Reasons of the cohort for which a row of the test split is in one of the two columns.
PREDICTED = ("ok", str(Status.NAN_MAP))


def summarise_available(
    located: pa.Table, scored: pa.Table, methods: Sequence[str], masks: str
) -> dict[str, dict[str, Available]]:
    """Give per method the means over the counted rows, and over all that it has a map of.

    ``located``, ``scored``: all rows of localisation and certainty, each with the cohort's
    ``split``, ``reason`` and ``counts``; ``masks``: the reading that the headline tables print.
    Empty where no row of the test split is out because of a map: both would be the same.
    """
    if not len(_of_test(scored, str(Status.NAN_MAP))):
        return {}
    tables = {
        "iou_original": (located, "iou", {"reading": Reading.ORIGINAL}),
        "iou_segx": (located, "iou", {"reading": Reading.SEGX}),
        "c_iou": (scored, "c_iou", {}),
    }
    return {
        method: {
            name: _both(
                pick(table, masks=masks, method=method, saliency=Saliency.MAP, **which), column
            )
            for name, (table, column, which) in tables.items()
        }
        for method in methods
    }


def _both(rows: pa.Table, column: str) -> Available:
    predicted = _of_test(rows, *PREDICTED)
    there = np.array(predicted.column("status").to_pylist(), object) != str(Status.NAN_MAP)
    return Available(
        counted=mean(numbers(predicted.filter(predicted.column("counts")), column)),
        available=mean(numbers(predicted.filter(pa.array(there)), column)),
    )


def _of_test(rows: pa.Table, *reasons: str) -> pa.Table:
    asked = pc.is_in(rows.column("reason"), value_set=pa.array(reasons, pa.string()))
    return rows.filter(pc.and_(pc.equal(rows.column("split"), TEST), asked))
