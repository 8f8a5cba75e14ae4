"""How well maps meet the clinician's mask, beside their controls: the paper's Table 3."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from saliency_audit.errors import DataError
from saliency_audit.measures.controls import Saliency
from saliency_audit.measures.explained import Reading
from saliency_audit.measures.localisation_figures import COMPARED, LOCALISATION_FIGURES
from saliency_audit.measures.status import Status
from saliency_audit.statistics.resampling import Bootstrap, paired_difference
from tasks.summarise.figures import mean, means
from tasks.summarise.rows import distinct, groups, numbers, pick, tally, texts
from tasks.summary.localisation import Differences, FigureMeans, Localisation, OfLabel
from tasks.summary.values import Means
from tasks.tables.localisation import LOCALISATION

COLUMNS = [column.name for column in LOCALISATION.columns]
#: Figures of which a mean is enough: no control has another.
ALONE = tuple(f.key for f in LOCALISATION_FIGURES if not f.controlled)
CONTROLS = (Saliency.SHUFFLED, Saliency.CENTRED)

#: Statuses of rows without a mask M: no side of Table 3 has them.
WITHOUT_TRUTH = (Status.LABEL_ABSENT, Status.NO_GROUND_TRUTH, Status.GROUND_TRUTH_EMPTY)


def summarise_localisation(
    rows: pa.Table, methods: Sequence[str], bootstrap: Bootstrap
) -> dict[str, dict[str, Localisation]]:
    """Figures by reading of the masks and method, of the counted rows of the test split."""
    return {
        masks: {
            method: _of_method(pick(rows, masks=masks, method=method), bootstrap)
            for method in methods
        }
        for masks in distinct(rows, "masks")
    }


def _of_method(rows: pa.Table, bootstrap: Bootstrap) -> Localisation:
    whole = pick(rows, saliency=Saliency.MAP, reading=Reading.ORIGINAL)
    statuses = np.array(texts(whole, "status"), dtype=object)
    with_truth = ~np.isin(statuses, [str(status) for status in WITHOUT_TRUTH])
    cells = {
        (saliency, reading): _cell(rows, whole, with_truth, saliency, reading)
        for saliency in Saliency
        for reading in Reading
    }
    original, segx = (cells[Saliency.MAP, r] for r in (Reading.ORIGINAL, Reading.SEGX))
    refill = cells[Saliency.MAP, Reading.SEGX_REFILL]
    return Localisation(
        rows=len(whole),
        with_truth=len(original),
        groups=len(np.unique(groups(original))),
        statuses=tally(whole, "status"),
        empty_mask=tally(segx, "status").get(Status.EMPTY_MASK, 0),
        mask_below_budget=tally(refill, "status").get(Status.MASK_BELOW_BUDGET, 0),
        truth_area=mean(numbers(original, "truth_area")),
        means={
            str(saliency): {str(reading): _means(cells[saliency, reading]) for reading in Reading}
            for saliency in Saliency
        },
        beyond={
            str(reading): {
                str(control): _differences(
                    cells[Saliency.MAP, reading], cells[control, reading], bootstrap
                )
                for control in CONTROLS
            }
            for reading in (Reading.ORIGINAL, Reading.SEGX)
        },
        segx_minus_original=_differences(segx, original, bootstrap),
        by_label={
            label: _of_label(pick(original, label=label), pick(segx, label=label))
            for label in distinct(original, "label")
        },
    )


def _cell(
    rows: pa.Table,
    whole: pa.Table,
    with_truth: NDArray[np.bool_],
    saliency: Saliency,
    reading: Reading,
) -> pa.Table:
    """Rows of one saliency and reading that have a mask M, the same ones for every cell."""
    cell = pick(rows, saliency=saliency, reading=reading)
    for key in ("image_id", "label"):
        if not cell.column(key).equals(whole.column(key)):
            raise DataError(
                f"the localisation table has other rows for {saliency}, {reading} than for the "
                "maps: delete it and run `saliency-audit run`"
            )
    return cell.filter(pa.array(with_truth))


def _means(cell: pa.Table) -> FigureMeans:
    statuses, labels = texts(cell, "status"), texts(cell, "label")
    compared = {name: means(numbers(cell, name), statuses, labels) for name in COMPARED}
    return {**compared, **_plain_means(cell, ALONE)}


def _plain_means(cell: pa.Table, names: Sequence[str]) -> FigureMeans:
    found = {name: mean(numbers(cell, name)) for name in names}
    return {name: Means(own.mean, own.n) for name, own in found.items()}


def _differences(first: pa.Table, second: pa.Table, bootstrap: Bootstrap) -> Differences:
    """Intervals of the paired difference of each measure, over patients or lesions."""
    return {
        name: paired_difference(
            numbers(first, name), numbers(second, name), groups(first), bootstrap=bootstrap
        )
        for name in COMPARED
    }


def _of_label(original: pa.Table, segx: pa.Table) -> OfLabel:
    names = [figure.key for figure in LOCALISATION_FIGURES]
    return OfLabel(len(original), _plain_means(original, names), _plain_means(segx, names))
