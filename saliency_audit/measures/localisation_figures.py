"""The figures of localisation, a map beside the clinician's mask M: Table 3."""

from __future__ import annotations

from saliency_audit.measures import scores
from saliency_audit.measures.arrays import share
from saliency_audit.measures.figure import Figure, Null
from saliency_audit.measures.pointing import hit_of
from saliency_audit.measures.status import WITHOUT_VALUE, Status

#: Computed of an explanation, in the order of the table's columns.
LOCALISATION_FIGURES = (
    Figure(
        "iou",
        "IoU@{kept}",
        "IoU of the explanation with M",
        "IoU at 5 percent",
        scores.iou,
        ceiling="iou_ceiling",
        controlled=True,
        tables=(
            "table_3",
            "table_3_controls",
            "table_3_gains",
            "table_3_strict",
            "table_3_by_label",
            "plots",
        ),
    ),
    Figure(
        "iou_ceiling",
        "ceiling of IoU@{kept}",
        "the highest IoU at this budget",
        "IoU ceiling",
        scores.iou_ceiling,
        tables=("table_3_controls",),
    ),
    Figure(
        "auitc",
        "AUITC",
        "exact AUITC (Eq 12)",
        "AUITC",
        scores.auitc,
        controlled=True,
        tables=("table_3", "table_3_gains", "table_3_strict", "table_3_by_label", "plots"),
        note=(
            "AUITC: IoU of M with the map thresholded at τ, averaged over τ from 0 to 1 (Eq 12); "
            "it depends on a map's values, so compare it with the map's own controls only."
        ),
    ),
    Figure(
        "auitc_area",
        "AUITC by area",
        "AUITC over the kept area",
        "AUITC over area",
        scores.auitc_area,
        controlled=True,
        tables=("table_3", "table_3_gains"),
        note=(
            "AUITC by area: averaged over the share of pixels kept; it depends on the ranking "
            "alone."
        ),
    ),
    Figure(
        "precision",
        "Precision in M",
        "share of the explanation that lies in M",
        "Precision in M",
        scores.precision,
        Null(
            WITHOUT_VALUE | {Status.EMPTY_MASK, Status.EMPTY_EXPLANATION},
            "`segx_refill` of a map that is 0 in all of P",
            frozenset({Status.MASK_BELOW_BUDGET}),
        ),
        controlled=True,
        tables=("table_3", "table_3_gains"),
        note="Precision in M: |T∩M| / |T|, of rows where T, or what P leaves of it, has a pixel.",
    ),
    Figure(
        "hit",
        "Hit rate",
        "share in M of the pixels where the map is highest",
        "Hit rate",
        hit_of,
        controlled=True,
        tables=("table_3", "table_3_gains"),
        note="Hit rate: how often the map is highest inside M; where pixels tie, their share in M.",
    ),
    Figure(
        "evidence_lost",
        "Evidence lost",
        "|T∩M outside P| over |T∩M|",
        "Evidence lost",
        scores.evidence_lost,
        Null(when="other readings than `segx`, T∩M without a pixel", beside=None),
        tables=("table_3_controls",),
    ),
)

#: Keys of those that are compared with controls.
COMPARED = tuple(figure.key for figure in LOCALISATION_FIGURES if figure.controlled)

#: Computed of the masks, whatever the map is.
MASK_FIGURES = (
    Figure(
        "truth_area",
        "Area of M",
        "M's share of the image",
        "Ground-truth mask",
        share,
        Null(frozenset({Status.LABEL_ABSENT, Status.NO_GROUND_TRUTH})),
    ),
    Figure(
        "predicted_area",
        "Area of P",
        "P's share of the image",
        "Predicted mask",
        share,
        Null(
            frozenset({Status.NO_PREDICTED_MASK}),
            "there is no segmenter",
            None,
        ),
    ),
)


def printed_in(table: str) -> tuple[str, ...]:
    """Give the keys of the figures that a table prints, in its order."""
    return tuple(figure.key for figure in LOCALISATION_FIGURES if table in figure.tables)
