"""SegU: how far a map meets the segmenter's mask P, with its confounders: the rows of Table 4."""

import pyarrow as pa

from tasks.tables.table import Column, Table

CERTAINTY = Table(
    name="certainty",
    meaning="One row per explained image and label, method, reading of the masks and saliency.",
    key=("image_id", "label", "method", "masks", "saliency"),
    columns=(
        Column("image_id", pa.string(), "a chosen image"),
        Column("label", pa.string(), "the label explained"),
        Column("method", pa.string(), "the method's name in params.yaml"),
        Column(
            "masks",
            pa.string(),
            "`single`, `per_label` or `union` (P); `truth` for M in place of P",
        ),
        Column("saliency", pa.string(), "`map`, or a control: `shuffled`, `centred`"),
        Column("c_iou", pa.float64(), "IoU of T with P (Eq 9)", null=True, low=0, high=1),
        Column(
            "c_iou_ceiling", pa.float64(), "highest c_IoU at P's area", null=True, low=0, high=1
        ),
        Column("c_iou_over_ceiling", pa.float64(), "c_IoU over it", null=True, low=0, high=1),
        Column("c_auitc", pa.float64(), "AUITC with P (Eq 10)", null=True, low=0, high=1),
        Column("c_auitc_area", pa.float64(), "over the kept area", null=True, low=0, high=1),
        Column("precision", pa.float64(), "|T∩P| over |T|", null=True, low=0, high=1),
        Column("predicted_area", pa.float64(), "P's share of the image", null=True, low=0, high=1),
        Column(
            "mean_mask_probability",
            pa.float64(),
            "the segmenter's mean probability inside P",
            null=True,
            low=0,
            high=1,
        ),
        Column("status", pa.string(), "ok, empty_mask, or why values are null"),
    ),
)
