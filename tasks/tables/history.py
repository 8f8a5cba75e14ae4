"""How a training went, epoch by epoch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from tasks.tables.table import Column, Table

if TYPE_CHECKING:
    from saliency_audit.models.fitting import History

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


def rows(history: History | None) -> Iterator[dict[str, Any]]:
    """Give the table's rows of a training; none where there was none."""
    if history is None:
        return
    for epoch in history.epochs:
        yield {
            "epoch": epoch.number,
            "train_loss": epoch.train_loss,
            "tune_loss": epoch.tune_loss,
            "best": epoch.number == history.best,
        }
