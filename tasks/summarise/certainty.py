"""SegU's scores of right and of wrong predictions, beside what could explain them: Table 4."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from saliency_audit.errors import DataError
from saliency_audit.measures.certainty_figures import (
    CERTAINTY_FIGURES,
    COMPARED,
    MASK_FIGURES,
)
from saliency_audit.measures.confidence import Confidence, confidence
from saliency_audit.measures.controls import Saliency
from saliency_audit.measures.status import Status
from saliency_audit.statistics.resampling import Bootstrap
from tasks.summarise.figures import mean
from tasks.summarise.rows import distinct, flags, groups, numbers, pick, tally, texts
from tasks.summarise.separation import (
    area_difference,
    area_interval,
    coverage,
    separation,
    together,
)
from tasks.summary.certainty import Certainty, ConfidenceBin, Coverages
from tasks.tables.certainty import CERTAINTY

COLUMNS = [column.name for column in CERTAINTY.columns]
#: Columns of a map's own row that are scores, or confounders of them.
OWN = (*(f.key for f in (*CERTAINTY_FIGURES, *MASK_FIGURES)), "calibrated")

#: Scores whose AUROC has an interval, and pairs whose AUROCs are compared.
WITH_INTERVAL = ("c_iou", "c_auitc", "calibrated", "predicted_area", "c_iou_and_calibrated")
PAIRS = (
    ("c_iou", "calibrated"),
    ("c_iou", "predicted_area"),
    ("c_iou", "c_iou_centred"),
    ("c_iou_and_calibrated", "calibrated"),
)
#: Scores whose risk-coverage curve is drawn.
RANKED = ("c_iou", "c_auitc", "calibrated", "predicted_area", "c_iou_and_calibrated")

#: Readings of the masks beside the headline: their AUROCs have no intervals.
ASIDE = ("union", "truth")


def summarise_certainty(
    rows: pa.Table, methods: Sequence[str], bootstrap: Bootstrap
) -> dict[str, dict[str, Certainty]]:
    """Figures by reading of the masks and method, of the counted rows of the test split."""
    return {
        masks: {
            method: _of_method(
                pick(rows, masks=masks, method=method), bootstrap, headline=masks not in ASIDE
            )
            for method in methods
        }
        for masks in distinct(rows, "masks")
    }


def _of_method(rows: pa.Table, bootstrap: Bootstrap, *, headline: bool) -> Certainty:
    own = pick(rows, saliency=Saliency.MAP)
    correct, group = flags(own, "correct"), groups(own)
    scores = _scores(rows, own)
    marked = np.array(texts(own, "status"), dtype=object) != str(Status.EMPTY_MASK)
    found = Certainty(
        rows=len(own),
        correct=int(correct.sum()),
        incorrect=int((~correct).sum()),
        groups=len(np.unique(group)),
        incorrect_groups=len(np.unique(group[~correct])),
        empty_mask=int((~marked).sum()),
        statuses=tally(own, "status"),
        scores={
            name: separation(values, correct, group, marked, bootstrap)
            for name, values in scores.items()
        },
    )
    if not headline:
        return found
    return replace(
        found,
        auroc={
            name: area_interval(scores[name], correct, group, bootstrap) for name in WITH_INTERVAL
        },
        auroc_difference={
            f"{first}-{second}": area_difference(
                scores[first], scores[second], correct, group, bootstrap
            )
            for first, second in PAIRS
        },
        risk_coverage={
            name: Coverages(
                coverage(scores[name], correct),
                coverage(scores[name][marked], correct[marked]),
            )
            for name in RANKED
        },
    )


def _scores(rows: pa.Table, own: pa.Table) -> dict[str, NDArray[np.float64]]:
    """Every score that might tell right from wrong, by name; columns (n,), NaN where null."""
    scores = {name: numbers(own, name) for name in OWN}
    scores["mask_present"] = (scores["predicted_area"] > 0).astype(np.float64)
    scores["mask_present"][np.isnan(scores["predicted_area"])] = np.nan
    for control in (Saliency.SHUFFLED, Saliency.CENTRED):
        table = pick(rows, saliency=control)
        if not table.column("image_id").equals(own.column("image_id")):
            raise DataError(
                f"the certainty table has other rows for {control} than for the maps: "
                "delete it and run `saliency-audit run`"
            )
        scores |= {f"{name}_{control}": numbers(table, name) for name in COMPARED}
    for name in ("c_iou", "c_auitc"):
        scores[f"{name}_and_calibrated"] = together(scores[name], scores["calibrated"])
    return scores


def summarise_confidence(
    rows: pa.Table, cohort: pa.Table, masks: str
) -> dict[str, dict[str, ConfidenceBin]]:
    """Rows, right ones and mean c_IoU in the bins Low, Medium and High of each probability.

    ``rows``: the certainty of counted test rows; ``cohort``: those rows themselves; ``masks``:
    the reading whose c_IoU is averaged.
    """
    maps = pick(rows, masks=masks, saliency=Saliency.MAP)
    return {
        name: {str(level): _bin(maps, cohort, name, level) for level in Confidence}
        for name in ("calibrated", "probability")
    }


def _bin(maps: pa.Table, cohort: pa.Table, name: str, level: Confidence) -> ConfidenceBin:
    inside = _inside(cohort, name, level)
    in_maps = maps.filter(pa.array(_inside(maps, name, level)))
    return ConfidenceBin(
        n=int(inside.sum()),
        correct=int(flags(cohort, "correct")[inside].sum()),
        c_iou={
            method: mean(numbers(pick(in_maps, method=method), "c_iou"))
            for method in distinct(maps, "method")
        },
    )


def _inside(table: pa.Table, name: str, level: Confidence) -> NDArray[np.bool_]:
    return np.array([confidence(p) is level for p in numbers(table, name)], dtype=np.bool_)
