"""Where the clinician looks (ground truth M) and where the segmenter does (P), per chosen image."""

import pyarrow as pa

from tasks.tables.table import Column, Table

REGIONS = Table(
    name="regions",
    meaning="One row per mask of a chosen image: the ground truth and the segmenter's.",
    key=("image_id", "label", "origin"),
    rows_per_group=512,
    columns=(
        Column("image_id", pa.string(), "a chosen image"),
        Column("label", pa.string(), "the label that the mask marks, or `*` for all"),
        Column("origin", pa.string(), "`truth` (M) or `predicted` (P)"),
        Column("area", pa.int32(), "foreground of the mask", "pixels", low=0),
        Column(
            "mean_probability",
            pa.float64(),
            "mean segmenter probability inside P; null for M and for an empty P",
            null=True,
            low=0,
            high=1,
        ),
        Column("mask", pa.binary(), "the mask at working resolution, as one-bit PNG"),
    ),
)
