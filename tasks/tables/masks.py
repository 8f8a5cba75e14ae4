"""Ground-truth masks of a dataset, at working resolution."""

import pyarrow as pa

from tasks.tables.table import Column, Table

MASKS = Table(
    name="masks",
    meaning=(
        "One row per ground-truth mask. Where one mask holds for every label of its image, "
        "`label` is `*`."
    ),
    key=("image_id", "label"),
    rows_per_group=1024,
    columns=(
        Column("image_id", pa.string(), "an image of the images table"),
        Column("label", pa.string(), "the label that the mask marks, or `*` for all"),
        Column("area", pa.int32(), "foreground of the mask", "pixels", low=0),
        Column("mask", pa.binary(), "the mask at working resolution, as one-bit PNG"),
    ),
)
