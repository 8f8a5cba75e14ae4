"""How many methods have a cell among their top cells (XAIMed §3.2)."""

import pyarrow as pa

from tasks.tables.table import Column, Table

AGREEMENT = Table(
    name="agreement",
    meaning="One row per explained image and label, set of methods and cell of the grid.",
    key=("image_id", "label", "methods", "cell"),
    columns=(
        Column("image_id", pa.string(), "a chosen image"),
        Column("label", pa.string(), "the label explained"),
        Column("methods", pa.string(), "`paper` (agreement.methods) or `all`"),
        Column("cell", pa.int32(), "0 at the top left, row by row", low=0),
        Column("count", pa.int32(), "methods that have the cell among their top three", low=0),
        Column("valid_methods", pa.int32(), "methods with a map that can vote", low=0),
    ),
)
