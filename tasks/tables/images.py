"""The images of a dataset that can be used, at working resolution."""

import pyarrow as pa

from tasks.tables.table import Column, Table

IMAGES = Table(
    name="images",
    meaning="One row per usable image of a dataset.",
    key=("image_id",),
    rows_per_group=256,
    columns=(
        Column("image_id", pa.string(), "the image's name, unique in its dataset"),
        Column("group_id", pa.string(), "the patient or lesion that the image shows"),
        Column("labels", pa.list_(pa.string()), "the image's labels, in the dataset's order"),
        Column("instances", pa.list_(pa.int32()), "how often each of `labels` occurs", "instances"),
        Column("width", pa.int32(), "width of the source image", "pixels", low=1),
        Column("height", pa.int32(), "height of the source image", "pixels", low=1),
        Column("pixel_sha256", pa.string(), "digest of the pixels at working resolution"),
        Column("pixels", pa.binary(), "the RGB pixels at working resolution, as PNG"),
        Column(
            "strata",
            pa.map_(pa.string(), pa.string()),
            "the dataset's own strata (age, sex, site, view), null where unknown",
        ),
        Column("source_file", pa.string(), "the file within the source folder", null=True),
        Column("notes", pa.list_(pa.string()), "what was odd in the image or its masks"),
    ),
)
