"""Which part of the audit each image serves."""

import pyarrow as pa

from tasks.tables.table import Column, Table

SPLIT = Table(
    name="split",
    meaning=(
        "One row per image. `tune` and `calibrate` are the halves of the validation split: the "
        "first stops training and sets thresholds, the second calibrates probabilities."
    ),
    key=("image_id",),
    columns=(
        Column("image_id", pa.string(), "an image of the images table"),
        Column("group_id", pa.string(), "its patient or lesion"),
        Column("split", pa.string(), "train, tune, calibrate or test"),
    ),
)
