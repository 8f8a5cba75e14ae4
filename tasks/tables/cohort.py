"""Which explained rows count in the tables, and why the others do not."""

import pyarrow as pa

from tasks.tables.table import Column, Table

COHORT = Table(
    name="cohort",
    meaning="One row per explained image and label.",
    key=("image_id", "label"),
    columns=(
        Column("image_id", pa.string(), "a chosen image"),
        Column("label", pa.string(), "the label explained"),
        Column("group_id", pa.string(), "the image's patient or lesion"),
        Column("split", pa.string(), "tune, calibrate or test"),
        Column("correct", pa.bool_(), "whether the image has the label"),
        Column("calibrated", pa.float64(), "calibrated probability", low=0, high=1),
        Column("counts", pa.bool_(), "whether the row enters the tables"),
        Column("reason", pa.string(), "`ok`, or why it does not"),
        Column("faulty_methods", pa.list_(pa.string()), "methods whose map is not finite"),
    ),
)
