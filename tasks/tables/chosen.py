"""The images that an audit explains, and the background that SHAP compares them with."""

import pyarrow as pa

from tasks.tables.table import Column, Table

CHOSEN = Table(
    name="chosen",
    meaning="One row per image to explain, or per background image of the training split.",
    key=("image_id",),
    rows_per_group=64,
    columns=(
        Column("image_id", pa.string(), "an image of the dataset"),
        Column("pixel_sha256", pa.string(), "digest of the pixels; seeds the random methods"),
        Column("pixels", pa.binary(), "the RGB pixels at working resolution, as PNG"),
        Column("explain", pa.list_(pa.string()), "the labels to explain, in the labels' order"),
    ),
)
