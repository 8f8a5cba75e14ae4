"""How a training went, epoch by epoch."""

import pyarrow as pa

from tasks.tables.table import Column, Table

HISTORY = Table(
    name="history",
    meaning="One row per epoch of a training; none for an adopted model.",
    key=("epoch",),
    columns=(
        Column("epoch", pa.int32(), "from 1", low=1),
        Column("train_loss", pa.float64(), "mean loss over the training split"),
        Column("tune_loss", pa.float64(), "mean loss over the tune split"),
        Column("best", pa.bool_(), "whether the weights of this epoch were kept at the end"),
    ),
)
