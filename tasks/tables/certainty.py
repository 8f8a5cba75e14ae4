"""SegU: how far a map meets the segmenter's mask P, with its confounders: the rows of Table 4."""

import pyarrow as pa

from saliency_audit.measures.certainty_figures import CERTAINTY_FIGURES, MASK_FIGURES
from tasks.tables.figures import columns
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
        *columns(CERTAINTY_FIGURES),
        *columns(MASK_FIGURES),
        Column("status", pa.string(), "ok, empty_mask, or why values are null"),
    ),
)
