"""Which methods explain an audit, and why the others do not."""

import pyarrow as pa

from tasks.tables.table import Column, Table

METHODS = Table(
    name="methods",
    meaning="One row per method of params.yaml, for one audit.",
    key=("method",),
    columns=(
        Column("method", pa.string(), "the method's name in params.yaml"),
        Column("status", pa.string(), "`explained`, `not_applicable` or `not_asked`"),
        Column("reason", pa.string(), "why it has no maps, in words; empty where it has"),
        Column("maps", pa.int64(), "rows of its table of maps", low=0),
    ),
)
