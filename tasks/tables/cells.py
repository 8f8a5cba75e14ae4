"""What each cell of the grid holds of a map (XAIMed §3.2)."""

import pyarrow as pa

from tasks.tables.table import Column, Table

CELLS = Table(
    name="cells",
    meaning="One row per explained image and label, method and cell of the grid, row by row.",
    key=("image_id", "label", "method", "cell"),
    columns=(
        Column("image_id", pa.string(), "a chosen image"),
        Column("label", pa.string(), "the label explained"),
        Column("method", pa.string(), "the method's name in params.yaml"),
        Column("cell", pa.int32(), "0 at the top left, row by row", low=0),
        Column("mean", pa.float64(), "mean saliency", null=True, low=0, high=1),
        Column("median", pa.float64(), "median saliency", null=True, low=0, high=1),
        Column("minimum", pa.float64(), "lowest saliency", null=True, low=0, high=1),
        Column("maximum", pa.float64(), "highest saliency", null=True, low=0, high=1),
        Column("deviation", pa.float64(), "standard deviation", null=True, low=0),
        Column(
            "top", pa.bool_(), "whether it is among the method's three highest means", null=True
        ),
        Column("status", pa.string(), "the map's status"),
    ),
)
