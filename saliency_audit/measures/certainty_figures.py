"""The figures of certainty, a map beside the segmenter's mask P: Table 4."""

from __future__ import annotations

from saliency_audit.measures import scores
from saliency_audit.measures.arrays import share
from saliency_audit.measures.figure import Figure, Null
from saliency_audit.measures.mask_probability import mean_mask_probability
from saliency_audit.measures.status import WITHOUT_VALUE, Status

#: Computed of an explanation, in the order of the table's columns.
CERTAINTY_FIGURES = (
    Figure(
        "c_iou",
        "c_IoU",
        "IoU of T with P (Eq 9)",
        "Certainty by IoU",
        scores.iou,
        ceiling="c_iou_ceiling",
        counterpart="iou",
        controlled=True,
        tables=("table_4",),
    ),
    Figure(
        "c_auitc",
        "c_AUITC",
        "AUITC with P (Eq 10)",
        "Certainty by AUITC",
        scores.auitc,
        counterpart="auitc",
        controlled=True,
        tables=("table_4",),
    ),
    Figure(
        "c_auitc_area",
        "c_AUITC by area",
        "the same over the kept area",
        "Certainty by AUITC",
        scores.auitc_area,
        counterpart="auitc_area",
        controlled=True,
    ),
    Figure(
        "c_iou_over_ceiling",
        "c_IoU over its ceiling",
        "c_IoU over the highest at P's area",
        "Confounders",
        scores.iou_over_ceiling,
        Null(WITHOUT_VALUE | {Status.EMPTY_MASK}),
        tables=("table_4_confounders",),
    ),
    Figure(
        "precision",
        "|T∩P| / |T|",
        "|T∩P| over |T|",
        "Confounders",
        scores.precision,
        counterpart="precision",
        tables=("table_4_confounders",),
    ),
    Figure(
        "c_iou_ceiling",
        "ceiling of c_IoU",
        "highest c_IoU at P's area",
        "Confounders",
        scores.iou_ceiling,
        tables=("table_4_confounders",),
    ),
)

#: Keys of those that are compared with controls.
COMPARED = tuple(figure.key for figure in CERTAINTY_FIGURES if figure.controlled)

#: Computed of the mask, whatever the map is.
MASK_FIGURES = (
    Figure(
        "predicted_area",
        "area of P",
        "P's share of the image",
        "Confounders",
        share,
        Null(frozenset({Status.NO_PREDICTED_MASK})),
        tables=("table_4_confounders",),
    ),
    Figure(
        "mean_mask_probability",
        "segmenter's mean probability in P",
        "the segmenter's mean probability inside P",
        "Confounders",
        mean_mask_probability,
        Null(
            frozenset({Status.NO_PREDICTED_MASK, Status.EMPTY_MASK}),
            "M in place of P, P without a pixel",
            None,
        ),
        tables=("table_4_confounders",),
    ),
)


def printed_in(table: str) -> tuple[str, ...]:
    """Give the keys of the figures that a table prints, in its order."""
    return tuple(figure.key for figure in CERTAINTY_FIGURES if table in figure.tables)
