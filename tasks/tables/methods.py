"""Which methods explain an audit, and why the others do not."""

import pyarrow as pa

from tasks.tables.table import Column, Table

#: Columns that say what maps are made of; null where they are made of pixels.
GRID = (
    *("block", "grid_rows", "grid_columns", "first_row", "first_column"),
    *("step_rows", "step_columns", "placement", "found"),
)
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
    ),
)
