"""Rows and files of a source that cannot be used, and why."""

import pyarrow as pa

from tasks.tables.table import Column, Table

SET_ASIDE = Table(
    name="set_aside",
    meaning="One row per row or file of the source that is no image of the dataset.",
    key=("number",),
    columns=(
        Column("number", pa.int32(), "running number, in the order in which they were met"),
        Column("image_id", pa.string(), "the image's name, where there is one", null=True),
        Column("source_file", pa.string(), "the file within the source folder", null=True),
        Column("row", pa.int32(), "the row of the source's table, from 1", null=True),
        Column("reason", pa.string(), "why, in one word of docs/data-dictionary.md"),
        Column("detail", pa.string(), "what exactly is wrong, and what to do"),
    ),
)
