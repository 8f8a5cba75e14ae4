"""Figures as columns of a table, from their declarations."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from saliency_audit.measures.figure import Figure
from tasks.tables.table import Column


def columns(figures: Iterable[Figure]) -> tuple[Column, ...]:
    """Give a column for each figure, with its range; all may be null."""
    return tuple(
        Column(f.key, pa.float64(), f.meaning, f.unit, null=True, low=f.low, high=f.high)
        for f in figures
    )
