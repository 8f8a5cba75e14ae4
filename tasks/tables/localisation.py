"""How well maps, and what controls them, meet the clinician's mask M: the rows of Table 3."""

import pyarrow as pa

from saliency_audit.measures.localisation_figures import LOCALISATION_FIGURES, MASK_FIGURES
from tasks.tables.figures import columns
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
        *columns(LOCALISATION_FIGURES),
        *columns(MASK_FIGURES),
        Column("status", pa.string(), "ok, or why a value is null or special"),
    ),
)
