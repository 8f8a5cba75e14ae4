"""How well maps, and what controls them, meet the clinician's mask M: the rows of Table 3."""

import pyarrow as pa

from tasks.tables.table import Column, Table

LOCALISATION = Table(
    name="localisation",
    meaning=(
        "One row per explained image and label, method, reading of the masks, saliency (the map or "
        "a control) and way of applying P."
    ),
    key=("image_id", "label", "method", "masks", "saliency", "reading"),
    columns=(
        Column("image_id", pa.string(), "a chosen image"),
        Column("label", pa.string(), "the label explained"),
        Column("method", pa.string(), "the method's name in params.yaml"),
        Column("masks", pa.string(), "`single`, `per_label`, or `union` over labels"),
        Column("saliency", pa.string(), "`map`, or a control: `shuffled`, `centred`, `mask_alone`"),
        Column("reading", pa.string(), "`original`, `segx` or `segx_refill`"),
        Column("iou", pa.float64(), "IoU of the top fraction with M", null=True, low=0, high=1),
        Column(
            "iou_ceiling", pa.float64(), "the highest IoU at this budget", null=True, low=0, high=1
        ),
        Column("auitc", pa.float64(), "exact AUITC (Eq 12)", null=True, low=0, high=1),
        Column("auitc_area", pa.float64(), "AUITC over the kept area", null=True, low=0, high=1),
        Column(
            "evidence_lost", pa.float64(), "|T∩M outside P| over |T∩M|", null=True, low=0, high=1
        ),
        Column("truth_area", pa.float64(), "M's share of the image", null=True, low=0, high=1),
        Column("predicted_area", pa.float64(), "P's share of the image", null=True, low=0, high=1),
        Column("status", pa.string(), "ok, or why a value is null or special"),
    ),
)
