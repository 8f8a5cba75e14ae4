"""Which methods explain an audit, and why the others do not."""

import pyarrow as pa

from tasks.tables.table import Column, Table

#: Columns that say what maps are made of; null where they are made of pixels.
GRID = (
    *("block", "grid_rows", "grid_columns", "first_row", "first_column"),
    *("step_rows", "step_columns", "placement", "found"),
)
#: Columns that say how fine maps are; null where there are none that count.
RESOLUTION = ("tie_share", "iou_ceiling", "own_ceiling", "resolution")
METHODS = Table(
    name="methods",
    meaning="One row per method of params.yaml, for one audit.",
    key=("method",),
    columns=(
        Column("method", pa.string(), "the method's name in params.yaml"),
        Column("status", pa.string(), "`explained`, `not_applicable` or `not_asked`"),
        Column("reason", pa.string(), "why it has no maps, in words; empty where it has"),
        Column("maps", pa.int64(), "rows of its table of maps", low=0),
        Column("block", pa.string(), "whose cells its maps are made of", null=True),
        Column("grid_rows", pa.int64(), "cells down", null=True, low=1),
        Column("grid_columns", pa.int64(), "cells across", null=True, low=1),
        Column("first_row", pa.float64(), "where the first row of cells looks, px", null=True),
        Column("first_column", pa.float64(), "and the first column", null=True),
        Column("step_rows", pa.float64(), "from one row of cells to the next, px", null=True),
        Column("step_columns", pa.float64(), "and from column to column", null=True),
        Column("placement", pa.string(), "`field` or `stretched`", null=True),
        Column("found", pa.string(), "`geometry`, `gradients` or `stretched`", null=True),
        Column(
            "tie_share",
            pa.float64(),
            "mean share of the top fraction that ties decided, of test rows that count",
            null=True,
            low=0,
            high=1,
        ),
        Column(
            "iou_ceiling",
            pa.float64(),
            "mean of the highest IoU that any map could have in these rows",
            null=True,
            low=0,
            high=1,
        ),
        Column(
            "own_ceiling",
            pa.float64(),
            "mean IoU of M as these cells see it; null where maps are made of pixels",
            null=True,
            low=0,
            high=1,
        ),
        Column("resolution", pa.string(), "`ok` or `coarse_map`", null=True),
    ),
)
